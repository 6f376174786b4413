"""The order in which the deployments of a pool are tried for one request.

Pure, but for the die it is given.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

from sluicegate.routing.snapshot import Route, Target

ConnectorT = TypeVar("ConnectorT")


def candidates(
    route: Route[ConnectorT], namespace: str, die: Callable[[], float]
) -> Iterator[Target[ConnectorT]]:
    """Every deployment that may serve `namespace`, best first: by priority, then drawn by weight.

    `die` gives a number in [0, 1). A deployment of weight 0 comes after its weighted siblings.
    """
    for tier in route.tiers:
        remaining = [target for target in tier if target.admits(namespace)]
        while len(remaining) > 1:
            yield remaining.pop(_draw(remaining, die()))
        yield from remaining


def _draw(targets: list[Target[ConnectorT]], share: float) -> int:
    """The index that a share in [0, 1) of the summed weights falls on."""
    point = share * sum(target.deployment.weight for target in targets)
    for index, target in enumerate(targets):
        point -= target.deployment.weight
        if point < 0:
            return index
    return 0


def upstream_model(route: Route[ConnectorT], target: Target[ConnectorT], name: str) -> str:
    """The model name to send upstream for the public `name`.

    A deployment of a prefix pool (`openai/*`) whose upstream model is `*` passes on what the `*`
    stood for.
    """
    model = target.deployment.upstream.model
    return model if model != "*" else name[len(route.prefix or "") :]

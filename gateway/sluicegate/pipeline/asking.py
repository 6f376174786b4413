"""What a request's deployments are chosen by: whose it is, and what it would cost."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from sluicegate.api.request import ResponsesRequest
from sluicegate.model import Usage
from sluicegate.pipeline.plan import Plan
from sluicegate.pricing import Priced, answer_cost
from sluicegate.providers.contract import Connector
from sluicegate.routing.select import upstream_model
from sluicegate.routing.snapshot import Route, Target
from sluicegate.routing.strategies import Asked, Shape, affinity_of

_BYTES_PER_TOKEN = 4  # of a request's JSON, as a rough mean
_USUAL_OUTPUT = 512  # tokens, where the client sets no bound


def asking(plan: Plan, route: Route[Connector]) -> Asked:
    """What of the plan's request counts in this pool; what does not is not computed."""
    pool = route.pool
    costs = pool.strategy == "LowestCost"
    return Asked(
        namespace=plan.caller.namespace,
        streamed=plan.request.stream,
        die=plan.gateway.die,
        affinity=None if pool.affinity == "None" else _affinity(plan, pool.affinity),
        shape=_shape(plan, route) if costs else None,
        cost=_cost(plan, route) if costs else None,
    )


def end_user(headers: Mapping[str, str], request: ResponsesRequest) -> str | None:
    """Whom the request is for, as the client says."""
    fields = request.fields
    return (
        headers.get("x-sluicegate-end-user")
        or fields.safety_identifier
        or fields.user
        or (fields.metadata or {}).get("user_id")
        or None
    )


def _affinity(plan: Plan, kind: str) -> int | None:
    if kind == "EndUser":
        name = end_user(plan.headers, plan.request)
    else:
        name = plan.caller.key.id if plan.caller.key is not None else None
    return affinity_of(name) if name is not None else None


def _shape(plan: Plan, route: Route[Connector]) -> Shape:
    """Powers of two near the tokens of input and output, and the model where it is the client's."""
    output = plan.request.fields.max_output_tokens or _USUAL_OUTPUT
    input_ = len(plan.request.body) // _BYTES_PER_TOKEN
    name = plan.name if route.prefix is not None else ""
    return Shape(input_.bit_length(), max(output, 1).bit_length(), name)


def _cost(plan: Plan, route: Route[Connector]) -> Callable[[Target[Connector], Shape], float]:
    at = plan.gateway.clock()

    def cost(target: Target[Connector], shape: Shape) -> float:
        called = Priced(
            target.connector.provider,
            upstream_model(route, target, plan.name),
            target.deployment.pricing,
        )
        tokens = Usage(input_tokens=1 << shape.input_bits, output_tokens=1 << shape.output_bits)
        usd = answer_cost(called, tokens, at=at)
        return math.inf if usd is None else float(usd)

    return cost

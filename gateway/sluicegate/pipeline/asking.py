"""What a request's deployments are chosen by: whose it is, and what it would cost."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import lru_cache

from sluicegate.api.length import BYTES_PER_TOKEN, least_tokens
from sluicegate.api.request import ResponsesRequest
from sluicegate.auth.authenticate import may_call
from sluicegate.config import Fallback
from sluicegate.model import Usage
from sluicegate.pipeline.account import priced
from sluicegate.pipeline.gateway import Gateway
from sluicegate.pipeline.plan import Plan
from sluicegate.pricing import answer_cost, context_window
from sluicegate.providers.contract import Connector
from sluicegate.routing.attempts import serves
from sluicegate.routing.select import upstream_model
from sluicegate.routing.snapshot import Route, Target
from sluicegate.routing.strategies import Asked, Shape, affinity_of

_LONG = 32 * 1024  # bytes; what is shorter has room in every model


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
        fits=_fits(plan, route) if may_be_long(plan) else None,
    )


def may_be_long(plan: Plan) -> bool:
    """Whether it is worth looking at how long the request is."""
    return len(plan.request.body) >= _LONG


def leads_to(plan: Plan, namespace: str, fallback: Fallback) -> tuple[Route[Connector], str] | None:
    """The pool that a fallback of `namespace` means, and the model's name there.

    A name means what it would mean to the pool's own namespace; the caller must have access to what
    it leads to.
    """
    found = plan.live.snapshot.resolve(namespace, fallback.model)
    if found is None:
        return None
    allowed = found[0].admits(plan.caller.namespace)
    return found if allowed and may_call(plan.caller, found[0].pool.model) else None


def end_user(gateway: Gateway, headers: Mapping[str, str], request: ResponsesRequest) -> str | None:
    """Whom the request is for, as the client says."""
    fields = request.fields
    return (
        headers.get(gateway.end_user_header)
        or fields.safety_identifier
        or fields.user
        or (fields.metadata or {}).get("user_id")
        or None
    )


def _affinity(plan: Plan, kind: str) -> int | None:
    if kind == "EndUser":
        name = end_user(plan.gateway, plan.headers, plan.request)
    else:
        name = plan.caller.key.id if plan.caller.key is not None else None
    return affinity_of(name) if name is not None else None


def _shape(plan: Plan, route: Route[Connector]) -> Shape:
    """Powers of two near the tokens of input and output, and the model where it is the client's."""
    expected = plan.account.expected
    name = plan.name if route.prefix is not None else ""
    return Shape(expected.input_tokens.bit_length(), expected.output_tokens.bit_length(), name)


def _cost(plan: Plan, route: Route[Connector]) -> Callable[[Target[Connector], Shape], float]:
    at = plan.gateway.clock()

    def cost(target: Target[Connector], shape: Shape) -> float:
        called = priced(target, upstream_model(route, target, plan.name))
        tokens = Usage(input_tokens=1 << shape.input_bits, output_tokens=1 << shape.output_bits)
        usd = answer_cost(called, tokens, at=at)
        return math.inf if usd is None else float(usd)

    return cost


def _fits(plan: Plan, route: Route[Connector]) -> Callable[[Target[Connector]], bool] | None:
    """Which models have room for the request, as far as is known.

    None where that makes no difference: all have, or none has and nobody else is there for it. Then
    the upstream is to judge.
    """
    windows = {
        target: window
        for tier in route.tiers
        for target in tier
        if (window := _window(target, upstream_model(route, target, plan.name))) is not None
    }
    if not windows or len(plan.request.body) // BYTES_PER_TOKEN <= min(windows.values()):
        return None
    least = least_tokens(plan.request)
    tight = {target for target, window in windows.items() if least > window}
    roomy = any(target not in tight for tier in route.tiers for target in tier)
    elsewhere = (
        leads_to(plan, route.pool.namespace, fallback)
        for fallback in route.pool.fallbacks
        if serves(fallback, ("ContextWindow",))
    )
    if not tight or not (roomy or any(elsewhere)):
        return None
    return lambda target: target not in tight


def _window(target: Target[Connector], model: str) -> int | None:
    own = target.deployment.model_info.context_window
    return own if own is not None else _known_window(target.connector.provider, model)


_known_window = lru_cache(maxsize=1024)(context_window)

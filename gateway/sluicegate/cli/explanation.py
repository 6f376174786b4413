"""What would happen to a request: who would be asked, who not and why, and what follows failures.

Nothing is decided here: the gateway's own code is asked, on snapshots that are thrown away.
"""

from __future__ import annotations

import difflib
import math
import random
from collections import Counter
from collections.abc import Iterator
from time import monotonic
from typing import get_args

import msgspec
from msgspec.structs import replace as changed

from sluicegate.auth.authenticate import Caller, may_call
from sluicegate.cli.imagined import Imagined
from sluicegate.cli.rehearsal import Question, Rehearsal, rehearse
from sluicegate.model import ApiError
from sluicegate.pipeline.asking import asking, leads_to
from sluicegate.pipeline.plan import Plan
from sluicegate.providers.contract import Connector
from sluicegate.routing.attempts import Attempt, Cause, Skip
from sluicegate.routing.select import PassedOver, Selection, order, upstream_model
from sluicegate.routing.snapshot import Route, Snapshot, Target
from sluicegate.routing.strategies import Asked

_CAUSES: tuple[Cause, ...] = get_args(Cause)
_DRAWS = 1000  # requests whose first choice is looked at
_ALIKE = 0.5  # from here on a name is worth suggesting


class Asking(msgspec.Struct, frozen=True):
    """A deployment that would be asked. `first` is the share of requests that it gets first."""

    deployment: str
    provider: str
    model: str
    priority: int
    weight: int
    first: float
    remarks: tuple[str, ...] = ()


class NotAsked(msgspec.Struct, frozen=True):
    """A deployment that would not be asked, and why."""

    deployment: str
    reason: str


class FallbackView(msgspec.Struct, frozen=True):
    """A fallback: the pool that it leads to, or why it is passed over. No causes: every one."""

    model: str
    causes: tuple[Cause, ...]
    pool: str | None
    problem: str | None = None


class PoolView(msgspec.Struct, frozen=True):
    """A pool, as this request finds it. `chosen_by` is a strategy or an affinity."""

    pool: str
    chosen_by: str
    asked: tuple[Asking, ...]
    not_asked: tuple[NotAsked, ...]
    fallbacks: tuple[FallbackView, ...]


class Failing(msgspec.Struct, frozen=True):
    """Who is asked, in order, where every attempt fails for `cause`, and what the client hears."""

    cause: Cause
    attempts: tuple[str, ...]
    status: int
    message: str


class Explanation(msgspec.Struct, frozen=True):
    """All of it. `pools` begins with that of the model; `--format json` prints it.

    `first` is who would be asked first, `refusal` why nobody would be. `hints` say more about a
    name that is not there. `not_checked` is what decides too and can't be seen from here.
    """

    model: str
    namespace: str
    key: str | None
    first: str | None
    refusal: str | None = None
    hints: tuple[str, ...] = ()
    suggestions: tuple[str, ...] = ()
    pools: tuple[PoolView, ...] = ()
    failing: tuple[Failing, ...] = ()
    not_checked: tuple[str, ...] = ()


async def explain(imagined: Imagined, question: Question) -> Explanation:
    """Explain what would become of a request."""
    snapshot = imagined.snapshot()
    usual = await rehearse(question, imagined.snapshot())
    told = Explanation(
        model=question.request.model,
        namespace=question.caller.namespace,
        key=key_name(question.caller),
        first=None if usual.error is not None else usual.course[-1].deployment,
        refusal=None if usual.error is None else usual.error.error.message,
    )
    try:
        plan = question.plan(snapshot)
    except ApiError:
        return _unknown(told, imagined, snapshot, question)
    runs: dict[Cause, Rehearsal] = {
        cause: await rehearse(question, imagined.snapshot(cause)) for cause in _CAUSES
    }
    full = frozenset(label for run in (usual, *runs.values()) for label in _full(run))
    too_dear = frozenset(pool for run in runs.values() for pool in run.too_dear)
    pools = tuple(_views(imagined, plan, full, too_dear))
    return changed(
        told,
        pools=pools,
        failing=tuple(
            Failing(cause, _attempts(run), run.error.status, run.error.error.message)
            for cause, run in runs.items()
            if run.error is not None and run.course
        ),
        not_checked=tuple(_not_checked(imagined, pools, plan)),
    )


def key_name(caller: Caller) -> str | None:
    """namespace/name of the caller's key."""
    return None if caller.key is None else f"{caller.key.namespace}/{caller.key.name}"


def _attempts(run: Rehearsal) -> tuple[str, ...]:
    return tuple(each.deployment for each in run.course if isinstance(each, Attempt))


def _full(run: Rehearsal) -> Iterator[str]:
    """Those whose own limits are below what the request alone would take."""
    asked: set[str] = set()  # a repetition may be one too many for who has been asked
    for each in run.course:
        if isinstance(each, Attempt):
            asked.add(each.deployment)
        elif each.reason is Skip.FULL and each.deployment not in asked:
            yield each.deployment


# --- names that lead nowhere ----------------------------------------------------------------------


def _unknown(
    told: Explanation, imagined: Imagined, snapshot: Snapshot[Connector], question: Question
) -> Explanation:
    """A name that the caller may not use: what else it could have meant."""
    caller, model = question.caller, question.request.model
    if snapshot.resolve(caller.namespace, model) is not None:  # there, but not for this key
        return told
    return changed(
        told,
        hints=(
            *_elsewhere(imagined, snapshot, caller, model),
            *(f"{who} is not served: {why}." for who, why in imagined.refused(model)),
        ),
        suggestions=_alike(snapshot, caller, model),
    )


def _alike(snapshot: Snapshot[Connector], caller: Caller, model: str) -> tuple[str, ...]:
    """Names that the caller might have meant."""
    names = {
        route.pool.model
        for route in snapshot.visible(caller.namespace)
        if may_call(caller, route.pool.model)
    }
    return tuple(difflib.get_close_matches(model, sorted(names), cutoff=_ALIKE))


def _elsewhere(
    imagined: Imagined, snapshot: Snapshot[Connector], caller: Caller, model: str
) -> Iterator[str]:
    """Pools of that name that are not the caller's."""
    name = model.rpartition("@")[0] or model
    for route in snapshot.routes.values():
        pool = route.pool
        if pool.model != name or pool.namespace == caller.namespace:
            continue
        if not route.admits(caller.namespace):
            yield f"Namespace {pool.namespace} has it, but does not share it with yours."
            for member in pool.members:
                yield from imagined.not_shared(pool.namespace, member)
        elif not pool.shared and "@" not in model:
            yield f"It can be had as {pool.model}@{pool.namespace}."


# --- pools ----------------------------------------------------------------------------------------


def _views(
    imagined: Imagined, plan: Plan, full: frozenset[str], too_dear: frozenset[str]
) -> Iterator[PoolView]:
    """The pool that is asked for, then those that it and its fallbacks fall back on."""
    seen: list[Route[Connector]] = [plan.route]
    names = [plan.name]
    for number, route in enumerate(seen):  # grows on the way
        plan.route, plan.name = route, names[number]
        fallbacks: list[FallbackView] = []
        for fallback in route.pool.fallbacks:
            found = leads_to(plan, route.pool.namespace, fallback)
            problem = (
                _no_way(plan, route.pool.namespace, fallback.model)
                if found is None
                else f"a budget of key {key_name(plan.caller)} does not allow one request"
                if found[0].pool.id in too_dear
                else None
            )
            if found is not None and problem is None and found[0] not in seen:
                seen.append(found[0])
                names.append(found[1])
            fallbacks.append(
                FallbackView(
                    fallback.model,
                    fallback.causes,
                    None if found is None or problem is not None else _named(found[0]),
                    problem,
                )
            )
        yield _view(imagined, plan, full, tuple(fallbacks))


def _no_way(plan: Plan, namespace: str, model: str) -> str:
    """Why a fallback is passed over."""
    found = plan.live.snapshot.resolve(namespace, model)
    if found is None:
        return f"namespace {namespace} knows no such model"
    if not found[0].admits(plan.caller.namespace):
        return f"{_named(found[0])} is not for namespace {plan.caller.namespace}"
    return f"key {key_name(plan.caller)} may not call it"


def _view(
    imagined: Imagined, plan: Plan, full: frozenset[str], fallbacks: tuple[FallbackView, ...]
) -> PoolView:
    route, now = plan.route, monotonic()
    asked = asking(plan, route)
    found = order(route, asked, now)
    shares = _shares(_twin(imagined, route), asked, full)
    sticky = asked.affinity is not None
    return PoolView(
        pool=_named(route),
        chosen_by=f"affinity {route.pool.affinity}" if sticky else route.pool.strategy,
        asked=tuple(
            _asking(plan, target, asked, shares[target.label], _remarks(imagined, target))
            for target in found.targets
            if target.label not in full
        ),
        not_asked=(
            *(NotAsked(each.target.label, _passed_over(each, now)) for each in found.passed_over),
            *(
                NotAsked(target.label, "full: one request is more than its limits allow")
                for target in found.targets
                if target.label in full
            ),
            *_left_out(imagined, plan),
        ),
        fallbacks=fallbacks,
    )


def _twin(imagined: Imagined, route: Route[Connector]) -> Route[Connector]:
    """The same pool in a snapshot of its own, to draw from."""
    return imagined.snapshot().routes[route.pool.id]


def _shares(route: Route[Connector], asked: Asked, full: frozenset[str]) -> Counter[str]:
    """How many of 1,000 such requests go to each deployment first, by its label."""
    counted = Counter[str]()
    drawn = _with_chance(asked)
    now = monotonic()
    for _ in range(_DRAWS):
        selection = Selection(route, drawn)
        target = selection.next(now, [])
        while target is not None and target.label in full:
            target = selection.next(now, [])
        if target is None:
            break
        counted[target.label] += 1
        if target.state.out:  # a probe, and one is enough
            target.state.begin(now, streamed=asked.streamed)
    return counted


def _with_chance(asked: Asked) -> Asked:
    return Asked(
        namespace=asked.namespace,
        streamed=asked.streamed,
        die=random.Random(0).random,  # noqa: S311 -- draws that are the same each time
        affinity=asked.affinity,
        shape=asked.shape,
        cost=asked.cost,
    )


def _asking(
    plan: Plan, target: Target[Connector], asked: Asked, share: int, remarks: tuple[str, ...]
) -> Asking:
    deployment = target.deployment
    model = upstream_model(plan.route, target, plan.name)
    return Asking(
        deployment=target.label,
        provider=target.connector.provider,
        model=model,
        priority=deployment.priority,
        weight=deployment.weight,
        first=share / _DRAWS,
        remarks=(*_price(target, asked), *remarks, *_translated(plan, target, model)),
    )


def _price(target: Target[Connector], asked: Asked) -> Iterator[str]:
    if asked.cost is not None and asked.shape is not None:
        cost = asked.cost(target, asked.shape)
        yield "price not known" if math.isinf(cost) else f"about ${cost:.6f}"


def _remarks(imagined: Imagined, target: Target[Connector]) -> tuple[str, ...]:
    """How it is doing, and what of it was not checked."""
    remarks: list[str] = []
    if imagined.gateway is not None:
        health = imagined.gateway.deployments.get(target.label)
        if health is None:
            remarks.append("the gateway does not have it")
        else:
            remarks.append(f"{health.in_flight} in flight")
            if health.seconds_to_output is not None:
                remarks.append(f"{health.seconds_to_output * 1000:.0f} ms to output")
            if target.state.out:
                remarks.append("to be probed after its cooldown")
            limits = target.deployment.limits
            most = None if limits is None else limits.max_parallel_requests
            if most is not None and health.in_flight >= most:
                remarks.append(f"full: maxParallelRequests is {most}")
    why = imagined.unchecked.get(target.label)
    if why is not None:
        remarks.append(f"credential not checked: {why}")
    return tuple(remarks)


def _translated(plan: Plan, target: Target[Connector], model: str) -> Iterator[str]:
    """What it makes of the request."""
    translator = target.connector.translator(plan.request, model)
    try:
        translator.request()
    except ApiError as error:
        yield f"would refuse the request: {error.error.message}"
    if translator.dropped:
        yield f"would leave out {', '.join(translator.dropped)}"


def _passed_over(each: PassedOver[Connector], now: float) -> str:
    state = each.target.state
    match each.reason:
        case Skip.COOLDOWN:
            if state.probing:
                return f"cooldown after {state.cause}: it is being probed"
            return f"cooldown after {state.cause}: {max(state.until - now, 0.0):.1f} s left"
        case Skip.TOO_LONG:
            return "too_long: the request does not fit into its context window"
        case Skip.FULL:
            return "full"


def _left_out(imagined: Imagined, plan: Plan) -> Iterator[NotAsked]:
    """Members that no request of this caller gets to."""
    route, targets = plan.route, plan.live.snapshot.targets
    for name in route.pool.members:
        label = f"{route.pool.namespace}/{name}"
        target = targets.get(f"md/{label}")
        if target is None:
            reasons = (each for each in route.unavailable if each.startswith((label + ":", label)))
            reason = next(reasons, "it can't be called")
            yield NotAsked(label, reason.removeprefix(label).lstrip(": ").removeprefix("is "))
        elif not target.admits(plan.caller.namespace):
            yield NotAsked(label, f"not for namespace {plan.caller.namespace}: allowedNamespaces")
    for label, why in imagined.refused(route.pool.model, route.pool.namespace):
        yield NotAsked(label, f"not served: {why}")


def _not_checked(imagined: Imagined, pools: tuple[PoolView, ...], plan: Plan) -> Iterator[str]:
    if imagined.gateway is None:
        yield "the health of the deployments: all are taken for well (--admin asks a gateway)"
    key = plan.caller.key
    if key is not None and (key.limits or key.budget or key.end_users):
        yield f"how much of its limits and budget key {key_name(plan.caller)} has used"
    limited = imagined.snapshot().targets
    if any(
        (target := limited.get(f"md/{each.deployment}")) is not None and target.deployment.limits
        for pool in pools
        for each in pool.asked
    ):
        yield "how much of their own limits the deployments have used"


def _named(route: Route[Connector]) -> str:
    return f"{route.pool.namespace}/{route.pool.model}"

"""One attempt after another, until one answers or none is left.

An attempt counts as answered once it has something that the client may be given: a whole body, or
the first event that carries output. Until then nothing has been written, so another deployment may
take over. `routing.attempts` decides what comes next; this module waits and asks.
"""

from __future__ import annotations

import asyncio
import math
from time import monotonic
from typing import NamedTuple

from sluicegate.config import Fallback
from sluicegate.limits import Refusal, refusals_error
from sluicegate.model import ApiError
from sluicegate.pipeline.admission import Admission, admit_attempt, may_be_full
from sluicegate.pipeline.asking import asking, leads_to, may_be_long
from sluicegate.pipeline.attempt import OpenStream, WholeAnswer, attempt
from sluicegate.pipeline.exchange import ClientGone
from sluicegate.pipeline.plan import AttemptFailed, Plan, Running
from sluicegate.pipeline.relay import Relay
from sluicegate.pipeline.renewal import second_look
from sluicegate.providers.contract import Connector
from sluicegate.routing.attempts import (
    MOST_ATTEMPTS,
    Cause,
    Outcome,
    Skip,
    Skipped,
    Standing,
    Step,
    next_step,
    pause_before_repeat,
    serves,
    usefulness,
)
from sluicegate.routing.select import PassedOver, Selection, least_bad
from sluicegate.routing.snapshot import Route, Target


async def first_answer(
    plan: Plan, relay: Relay | None, admission: Admission | None
) -> tuple[WholeAnswer | OpenStream, Running]:
    """Ask the deployments of the plan's pool, and of those that it falls back on.

    `relay` is where a stream goes, None for a whole answer. The attempt of an open stream is the
    caller's to end. Raises ApiError where all have failed: the most useful of their errors.
    """
    plan.route.budget.request(monotonic())
    course: _Course | None = None
    target = _only(plan)
    while True:
        if target is None:
            course = course or _Course(plan, admission)
            target = await course.following()
        held = await admit_attempt(plan, target) if may_be_full(target) else None
        if isinstance(held, Refusal):
            course = course or _Course(plan, admission)
            course.full(target, held)
            target = None
            continue
        plan.target = target
        running = Running(plan, target, held)
        over = True
        try:
            answer = await attempt(plan, target, relay)
            running.answered()
            if isinstance(answer, WholeAnswer):
                running.succeeded()
            else:
                over = False
        except AttemptFailed as failure:
            running.failed(failure)
            if (relay is not None and relay.begun) or plan.gateway.closing.begun:
                raise failure.error from failure
            course = course or _Course(plan, admission)
            course.failed(target, failure)
            target = None
        except (asyncio.CancelledError, ClientGone):
            running.cancelled()
            raise
        else:
            return answer, running
        finally:
            if over:
                running.end()


def _only(plan: Plan) -> Target[Connector] | None:
    """The target where there is nothing to choose: the common case, and a quick one."""
    single = plan.route.single
    if single is None or single.state.out or not single.admits(plan.caller.namespace):
        return None
    # A long request may be one for a fallback.
    return None if plan.route.pool.fallbacks and may_be_long(plan) else single


class _Failed(NamedTuple):
    """The latest attempt at a deployment of the pool: it failed, `at` a monotonic time.

    `tried` counts the deployment's attempts.
    """

    target: Target[Connector]
    failure: AttemptFailed
    at: float
    tried: int


class _Told(NamedTuple):
    """What the client hears, and the pool that it is about."""

    failed: _Failed
    route: Route[Connector]


class _Left(NamedTuple):
    """A pool that was left while some of its deployments were out of rotation."""

    route: Route[Connector]
    name: str
    selection: Selection[Connector] | None
    passed_over: list[PassedOver[Connector]]


class _Course:
    """The way of one request through its pools."""

    __slots__ = (
        "_admission",
        "_attempts",
        "_earlier",
        "_fallbacks",
        "_last",
        "_looked",
        "_passed_over",
        "_plan",
        "_refusals",
        "_selection",
        "_told",
        "_too_dear",
        "_tried",
        "_visited",
    )

    def __init__(self, plan: Plan, admission: Admission | None) -> None:
        self._plan = plan
        self._admission = admission
        self._attempts = 0  # in all pools
        self._visited = [plan.route]
        self._fallbacks: list[tuple[str, Fallback]] = []  # of earlier pools, with their namespaces
        self._earlier: list[_Left] = []
        self._told: _Told | None = None  # of an earlier pool
        self._too_dear: ApiError | None = None  # the latest fallback that the budget refused
        self._looked: set[str] = set()  # deployments whose credential was looked for again
        self._refusals: list[Refusal] = []  # of those that were full, in all pools
        # What follows is of the pool of the moment.
        self._selection: Selection[Connector] | None = None
        self._tried: list[_Failed] = []
        self._last: Outcome | None = None
        self._passed_over: list[PassedOver[Connector]] = []

    def failed(self, target: Target[Connector], failure: AttemptFailed) -> None:
        """An attempt has failed."""
        self._attempts += 1
        self._last = failure.outcome
        before = next((each for each in self._tried if each.target is target), None)
        if before is not None:
            self._tried.remove(before)
        tried = 1 if before is None else before.tried + 1
        self._tried.append(_Failed(target, failure, monotonic(), tried))

    def full(self, target: Target[Connector], refusal: Refusal) -> None:
        """A deployment can't take the request: it is not asked for it again."""
        self._refusals.append(refusal)
        self._passed_over.append(PassedOver(target, Skip.FULL))
        self._plan.course.append(Skipped(target.label, Skip.FULL))
        for at, each in enumerate(self._tried):
            if each.target is target:
                self._tried[at] = each._replace(tried=target.deployment.retry.attempts)

    async def following(self) -> Target[Connector]:
        """Who is asked next, after the wait that belongs to it. Raises ApiError: nobody."""
        plan = self._plan
        renewed = await self._renewed()
        if renewed is not None:
            return renewed
        while True:
            now = monotonic()
            other = self._other(now)
            if other is not None and not self._attempts:
                return other
            fallback = self._fallback()  # by what has happened to the others, too
            again, pause = self._soonest(now, elsewhere=fallback is not None)
            out = least_bad(self._passed_over)
            standing = Standing(
                attempts=self._attempts,
                time_left=plan.deadline - now,
                last=self._last,
                other=other is not None,
                out=out is not None,
                pause=pause,
                fallback=fallback is not None,
                earlier=bool(self._earlier),
                budget=plan.route.budget.left(now),
            )
            step = next_step(standing)
            if step is Step.NEXT and other is not None:
                return other
            if step is Step.REPEAT and again is not None and pause is not None:
                plan.route.budget.repeat(now)
                await plan.gateway.closing.pause(pause)
                if plan.gateway.closing.begun:
                    raise again.failure.error from again.failure
                return again.target
            if step is Step.LAST_RESORT and out is not None:
                if self._attempts:
                    plan.route.budget.repeat(now)
                self._passed_over.remove(out)
                return out.target
            if step is Step.FALLBACK and fallback is not None:
                await self._go_on_if_affordable(*fallback)
            elif step is Step.RETURN:
                self._go_back()
            else:
                raise self._error(now)

    async def _renewed(self) -> Target[Connector] | None:
        """Who was asked last, with a newer credential, once for each deployment."""
        if self._last is not Outcome.CREDENTIAL or self._attempts >= MOST_ATTEMPTS:
            return None
        target, failure = self._tried[-1].target, self._tried[-1].failure
        if target.deployment.id in self._looked:
            return None
        self._looked.add(target.deployment.id)
        return await second_look(self._plan, target, failure)

    # --- in a pool --------------------------------------------------------------------------------

    def _other(self, now: float) -> Target[Connector] | None:
        """Another deployment in rotation, where that may help."""
        if self._last is not None and not self._last.fails_over:
            return None
        if self._selection is None:
            # The pool's only deployment may have been looked at before there was a selection.
            first = self._tried or self._passed_over
            done = first[-1].target if first else None
            asked = asking(self._plan, self._plan.route)
            self._selection = Selection(self._plan.route, asked, done)
        known = len(self._passed_over)
        target = self._selection.next(now, self._passed_over)
        for each in self._passed_over[known:]:
            self._plan.course.append(Skipped(each.target.label, each.reason))
        return target

    def _soonest(self, now: float, *, elsewhere: bool) -> tuple[_Failed | None, float | None]:
        """Who may be asked again first, and the wait until then.

        Where the request can go `elsewhere`, nobody is asked again who is out of rotation then.
        """
        soonest: _Failed | None = None
        shortest: float | None = None
        share = self._plan.gateway.die()
        for each in self._tried:
            after = each.failure.error.retry_after
            pause = pause_before_repeat(
                each.target.deployment.retry,
                each.tried,
                each.failure.outcome,
                None if after is None else max(after + each.at - now, 0.0),
                self._plan.deadline - now,
                share,
                last=True,
            )
            state = each.target.state
            if pause is None or (elsewhere and state.out and now + pause < state.until):
                continue
            if shortest is None or pause < shortest:
                soonest, shortest = each, pause
        return soonest, shortest

    def _causes(self) -> set[Cause]:
        """What has happened in this pool."""
        if self._last is not None and not self._last.fails_over:
            return {self._last.cause} if self._last.cause is not None else set()
        causes: set[Cause] = {each.cause for each in self._passed_over}
        for each in self._tried:
            if each.failure.outcome.cause is not None:
                causes.add(each.failure.outcome.cause)
        return causes or {"Error"}

    # --- from pool to pool ------------------------------------------------------------------------

    def _fallback(self) -> tuple[Route[Connector], str, int] | None:
        """The next pool to fall back on, the name there, how many fallbacks are done then."""
        if self._last is not None and not self._last.fails_over and self._last.cause is None:
            return None  # what is wrong with the request is wrong everywhere
        for count, (namespace, fallback) in enumerate(self._all_fallbacks(), 1):
            found = leads_to(self._plan, namespace, fallback)
            if found is not None and found[0] not in self._visited:
                return (*found, count)
        return None

    def _all_fallbacks(self) -> list[tuple[str, Fallback]]:
        pool = self._plan.route.pool
        if not pool.fallbacks:
            return self._fallbacks
        causes = self._causes()
        own = [(pool.namespace, each) for each in pool.fallbacks if serves(each, causes)]
        return self._fallbacks + own

    async def _go_on_if_affordable(self, route: Route[Connector], name: str, done: int) -> None:
        """Go on, or pass a pool over that the budget does not allow."""
        refusal = None if self._admission is None else await self._admission.follow(route, name)
        if refusal is None:
            self._go_on(route, name, done)
        else:
            self._visited.append(route)
            self._too_dear = refusal
            namespace = self._plan.caller.namespace
            self._plan.course.extend(
                Skipped(target.label, "too_dear")
                for tier in route.tiers
                for target in tier
                if target.admits(namespace)
            )

    def _go_on(self, route: Route[Connector], name: str, done: int) -> None:
        """Leave this pool for another."""
        self._fallbacks = self._all_fallbacks()[done:]
        if least_bad(self._passed_over) is not None:
            left = _Left(self._plan.route, self._plan.name, self._selection, self._passed_over)
            self._earlier.append(left)
        self._visited.append(route)
        self._enter(_Left(route, name, None, []))
        route.budget.request(monotonic())

    def _go_back(self) -> None:
        """To the first pool that has someone left who may be asked as a last resort."""
        self._enter(self._earlier.pop(0))

    def _enter(self, pool: _Left) -> None:
        self._told = self._told or self._best()
        self._plan.route, self._plan.name = pool.route, pool.name
        self._selection, self._passed_over = pool.selection, pool.passed_over
        self._tried, self._last = [], None

    # --- the end ----------------------------------------------------------------------------------

    def _best(self) -> _Told | None:
        """The most useful of this pool's failures."""
        best = max(
            self._tried,
            key=lambda each: (
                usefulness(each.failure.outcome),
                -_wait(each.failure.error),
                each.at,
            ),
            default=None,
        )
        return None if best is None else _Told(best, self._plan.route)

    def _error(self, now: float) -> ApiError:
        """What the client hears: of the model that it asked for, if anyone was asked there."""
        best = self._best()
        told = best if self._plan.route is self._visited[0] and best else self._told or best
        if now >= self._plan.deadline and self._last is Outcome.TIMEOUT:
            told = _Told(self._tried[-1], self._plan.route)
        if told is None:
            if self._refusals:
                return refusals_error(self._visited[0].pool.model, self._refusals)
            if self._too_dear is not None:
                return self._too_dear
            return nothing_to_try(self._plan.request.model, self._visited[0])
        self._plan.route, self._plan.target = told.route, told.failed.target
        return told.failed.failure.error


def _wait(error: ApiError) -> float:
    """Seconds after which it may be tried again; unknown is longer than any that is known."""
    return math.inf if error.retry_after is None else error.retry_after


def nothing_to_try(name: str, route: Route[Connector]) -> ApiError:
    """The error where no deployment can be asked."""
    reasons = "; ".join(route.unavailable) or "it has no deployment for this caller"
    return ApiError(
        503,
        f"Model '{name}' can't be served now: {reasons}.",
        type="server_error",
        code="model_unavailable",
        param="model",
    )

"""Gateways that don't know each other: the real selection, health, next step and retry budget.

What is modelled here is only what `pipeline/course.py` does around them: waiting, and telling the
state of a deployment what became of an attempt. One pool, so no fallbacks.
"""

import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, TypeAlias

import msgspec

from bench.routing.clock import Clock
from bench.routing.upstreams import Profile, Reply, Upstream
from sluicegate.config import (
    AmbientCredential,
    Config,
    Cooldown,
    Deployment,
    EchoUpstream,
    Pool,
    Retry,
    Timeouts,
    entry_revision,
)
from sluicegate.routing.attempts import Outcome, Standing, next_step, pause_before_repeat
from sluicegate.routing.attempts import Step as NextStep
from sluicegate.routing.select import PassedOver, Selection, least_bad
from sluicegate.routing.snapshot import Route, Target, build_steps
from sluicegate.routing.strategies import AnyTarget, Asked, Shape

Strategy: TypeAlias = Literal["Weighted", "LeastBusy", "LowestLatency", "LowestCost"]
_SHAPE = Shape(10, 10)


class Policy(msgspec.Struct, frozen=True):
    """What the manifests of a pool say."""

    strategy: Strategy = "Weighted"
    cooldown: Cooldown = Cooldown()
    retry: Retry = Retry()
    first_byte: float = 10.0


@dataclass(slots=True)
class Record:
    """What became of one request. `first` is the seconds until its first event, None: failed."""

    came: float
    asked: list[str] = field(default_factory=list[str])  # upstreams, in order
    first: float | None = None
    usd: float = 0.0


class _Failed(NamedTuple):
    target: Target[Upstream]
    reply: Reply
    at: float
    tried: int


class Gateway:
    """One gateway process."""

    def __init__(
        self, clock: Clock, upstreams: Mapping[str, Upstream], policy: Policy, seed: str
    ) -> None:
        self.clock = clock
        self.policy = policy
        self.random = random.Random(seed)
        self.route = _route(upstreams, policy)
        self.asked = Asked(namespace="n", die=self.random.random, shape=_SHAPE, cost=_cost)

    def serve(self, record: Record) -> None:
        """A request has come."""
        self.route.budget.request(self.clock.now)
        _Course(self, record).go_on()


class _Course:
    """The way of one request, as `pipeline/course.py` goes it."""

    def __init__(self, gateway: Gateway, record: Record) -> None:
        self._gateway = gateway
        self._record = record
        self._selection = Selection(gateway.route, gateway.asked)
        self._passed_over: list[PassedOver[Upstream]] = []
        self._tried: list[_Failed] = []
        self._last: Outcome | None = None

    def go_on(self) -> None:
        """Ask the next one, plan to, or give up."""
        clock, budget = self._gateway.clock, self._gateway.route.budget
        now = clock.now
        other = self._selection.next(now, self._passed_over)
        if other is not None and not self._record.asked:
            self._ask(other)
            return
        again, pause = self._soonest(now)
        out = least_bad(self._passed_over)
        step = next_step(
            Standing(
                attempts=len(self._record.asked),
                time_left=math.inf,
                last=self._last,
                other=other is not None,
                out=out is not None,
                pause=pause,
                fallback=False,
                earlier=False,
                budget=budget.left(now),
            )
        )
        if step is NextStep.NEXT and other is not None:
            self._ask(other)
        elif step is NextStep.REPEAT and again is not None and pause is not None:
            budget.repeat(now)
            clock.after(pause, lambda: self._ask(again.target))
        elif step is NextStep.LAST_RESORT and out is not None:
            if self._record.asked:
                budget.repeat(now)
            self._passed_over.remove(out)
            self._ask(out.target)

    def _soonest(self, now: float) -> tuple[_Failed | None, float | None]:
        """Who may be asked again first, and the wait until then."""
        soonest, shortest = None, None
        share = self._gateway.random.random()
        for each in self._tried:
            after = each.reply.retry_after
            pause = pause_before_repeat(
                each.target.deployment.retry,
                each.tried,
                each.reply.outcome,
                None if after is None else max(after + each.at - now, 0.0),
                math.inf,
                share,
                last=True,
            )
            if pause is not None and (shortest is None or pause < shortest):
                soonest, shortest = each, pause
        return soonest, shortest

    def _ask(self, target: Target[Upstream]) -> None:
        clock, upstream, began = self._gateway.clock, target.connector, self._gateway.clock.now
        self._record.asked.append(upstream.profile.name)
        target.state.begin(began, streamed=True)
        reply = upstream.ask(began, self._gateway.policy.first_byte)
        if reply.outcome is Outcome.OK:
            clock.after(reply.first, lambda: self._answered(target, began))
            clock.after(reply.whole, lambda: self._ended(target, began))
        else:
            clock.after(reply.first, lambda: self._failed(target, began, reply))

    def _answered(self, target: Target[Upstream], began: float) -> None:
        now = self._gateway.clock.now
        target.state.answered(now, began, streamed=True)
        self._record.first = now - self._record.came
        self._record.usd = target.connector.profile.usd

    def _ended(self, target: Target[Upstream], began: float) -> None:
        target.state.succeeded(self._gateway.clock.now, began)
        target.state.end(began, streamed=True, answered=True)
        target.connector.leave()

    def _failed(self, target: Target[Upstream], began: float, reply: Reply) -> None:
        now = self._gateway.clock.now
        target.state.failed(
            now, began, target.deployment.cooldown, reply.outcome, wait=reply.retry_after
        )
        target.state.end(began, streamed=True, answered=False)
        target.connector.leave()
        self._last = reply.outcome
        before = next((each for each in self._tried if each.target is target), None)
        if before is not None:
            self._tried.remove(before)
        tried = 1 if before is None else before.tried + 1
        self._tried.append(_Failed(target, reply, now, tried))
        self.go_on()


def simulate(
    profiles: Sequence[Profile],
    policy: Policy,
    *,
    seconds: float,
    per_second: Callable[[float], float],
    gateways: int = 3,
    seed: int = 1,
) -> list[Record]:
    """Requests come as a Poisson process, at a rate that may change; each to one of the gateways.

    The same seed gives the same arrivals and, attempt by attempt, the same latencies.
    """
    clock = Clock()
    upstreams = {each.name: Upstream(each, f"{seed}/{each.name}") for each in profiles}
    served = [Gateway(clock, upstreams, policy, f"{seed}/{n}") for n in range(gateways)]
    arrivals = random.Random(seed)
    records: list[Record] = []

    def come() -> None:
        if clock.now < seconds:
            record = Record(clock.now)
            records.append(record)
            arrivals.choice(served).serve(record)
            clock.after(arrivals.expovariate(per_second(clock.now)), come)

    clock.after(0.0, come)
    clock.run()
    return records


def _cost(target: AnyTarget, shape: Shape) -> float:
    del shape
    upstream: Upstream = target.connector
    return upstream.profile.usd


def _route(upstreams: Mapping[str, Upstream], policy: Policy) -> Route[Upstream]:
    members = [
        Deployment(
            namespace="n",
            name=name,
            model="m",
            upstream=EchoUpstream(),
            credential=AmbientCredential(),
            weight=upstream.profile.weight,
            retry=policy.retry,
            cooldown=policy.cooldown,
            timeouts=Timeouts(first_byte=policy.first_byte),
        )
        for name, upstream in upstreams.items()
    ]
    pool = Pool("n", "m", tuple(upstreams), strategy=policy.strategy)
    entries = {entry.id: entry for entry in (*members, pool)}
    config = Config(entries, {id_: entry_revision(entry) for id_, entry in entries.items()})
    steps = build_steps(config, "0" * 12, 1, lambda each, _: upstreams[each.name])
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value.routes[pool.id]

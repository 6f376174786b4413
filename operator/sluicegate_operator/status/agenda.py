"""Whose status is to be written, and when.

A change that people wait for is written at once; that an object is on its way is written when it
has been so for a second; that a gateway came or went is worth one write a minute for each object.
All writes share one budget. No I/O; `now` is a monotonic clock's, in seconds.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Generator
from itertools import count
from typing import Literal, NamedTuple, TypeAlias

from msgspec import Struct

from sluicegate.resources import ResourceRef
from sluicegate_operator.budget import Budget
from sluicegate_operator.status.fleet import Fleet
from sluicegate_operator.status.judge import Facts, is_of, plan_status
from sluicegate_operator.status.values import Status
from sluicegate_operator.versions import is_older

PROGRESS = 1.0  # seconds before an intermediate state is written
MEMBERSHIP = 60.0  # seconds between two writes that tell only how many gateways there are
CONTESTED = (
    60.0  # seconds that an object which another operator has written is left alone, at first
)
_LONGEST_CONTEST = 64  # times CONTESTED
_ECHO = 10.0  # seconds that an older version than the one we have written is not believed
# Writes a second; what was not used is saved up, for the day that thousands of objects are applied.
RATE = 50.0
BURST = 1000.0

Urgency: TypeAlias = Literal["transition", "progress", "membership", "contested"]
_ORDER: dict[Urgency, int] = {"transition": 0, "progress": 1, "membership": 2, "contested": 3}


class Seen(Struct, frozen=True, gc=False):
    """An object as the API server has it: what a write is fenced by, and what is written there."""

    uid: str
    resource_version: str
    status: Status = Status()


class Write(NamedTuple):
    """A status to be written. `before` is the one it takes the place of."""

    ref: ResourceRef
    seen: Seen
    status: Status


class _Pending(NamedTuple):
    urgency: Urgency
    since: float  # when there was first something of this urgency to write
    not_before: float
    number: int


class _Contest(NamedTuple):
    until: float
    times: int


def urgency(before: Status, planned: Status) -> Urgency | None:
    """How much a new status matters; None where it says nothing new."""
    if before == planned:
        return None
    ready = planned.condition("Ready")
    if _said(before) == _said(planned):
        settled = ready is not None and ready.status == "True"
        return "membership" if settled else "progress"
    waiting = ready is not None and ready.reason == "Waiting"
    return "progress" if waiting else "transition"


def _said(status: Status) -> object:
    """All but the number of gateways, and the words of those who wait for some of them."""
    conditions = tuple(
        (one.type, one.status, one.reason, one.observed_generation)
        + (() if one.reason == "Waiting" else (one.message,))
        for one in status.conditions
    )
    return (
        conditions,
        status.revision,
        (status.controller, status.observed_generation),
        (status.model, status.provider, status.type, status.secret_name, status.keys),
    )


class Agenda:
    """The statuses that differ from what they should be.

    `clock` gives RFC 3339 times. `contest` is told of an object that another operator has written.
    """

    def __init__(
        self,
        controller: str,
        clock: Callable[[], str],
        *,
        budget: Budget | None = None,
        contest: Callable[[ResourceRef, str], None] = lambda _ref, _other: None,
    ) -> None:
        self._controller = controller
        self._clock = clock
        self._contest = contest
        self._budget = budget or Budget(RATE, BURST)
        self._fleet = Fleet()
        self._seen: dict[ResourceRef, Seen] = {}
        self._facts: dict[ResourceRef, Facts] = {}
        self._unsettled: set[ResourceRef] = set()  # what an acknowledgement may change
        # Since which sequence the entries are held that every gateway has acknowledged.
        self._converged: dict[ResourceRef, int | None] = {}
        self._review: dict[ResourceRef, None] = {}
        self._pending: dict[ResourceRef, _Pending] = {}
        self._later: list[tuple[float, int, ResourceRef]] = []
        self._due: list[tuple[int, int, ResourceRef]] = []
        self._writing: set[ResourceRef] = set()
        self._membership: dict[ResourceRef, float] = {}  # when only that was written last
        self._contests: dict[ResourceRef, _Contest] = {}
        self._echoes: dict[ResourceRef, float] = {}
        self._numbers = count()

    # --- what is known ----------------------------------------------------------------------------

    def see(self, ref: ResourceRef, seen: Seen, now: float) -> None:
        """Take an object as the API server has it."""
        before = self._seen.get(ref)
        if before is not None and before.uid != seen.uid:
            self.forget(ref)
        elif (
            before is not None
            and now < self._echoes.get(ref, now)
            and is_older(seen.resource_version, before.resource_version)
        ):
            return  # the reflector has yet to tell of our own write
        self._seen[ref] = seen
        other = seen.status.controller
        if (
            other is not None
            and other != self._controller
            and (before is None or before.status != seen.status)
        ):
            times = self._contests[ref].times + 1 if ref in self._contests else 0
            wait = CONTESTED * min(2**times, _LONGEST_CONTEST)
            self._contests[ref] = _Contest(now + wait, times)
            self._contest(ref, other)
        self._review[ref] = None

    def know(self, ref: ResourceRef, facts: Facts) -> None:
        """Take what an object came to."""
        if self._facts.get(ref) != facts:
            self._facts[ref] = facts
            self._review[ref] = None

    def facts_of(self, ref: ResourceRef) -> Facts | None:
        """What an object came to, as last told."""
        return self._facts.get(ref)

    def status_of(self, ref: ResourceRef) -> Status:
        """The status that an object has."""
        seen = self._seen.get(ref)
        return seen.status if seen is not None else Status()

    def forget(self, ref: ResourceRef) -> None:
        """An object is gone."""
        for known in (self._seen, self._facts, self._review, self._pending, self._membership):
            known.pop(ref, None)
        self._contests.pop(ref, None)
        self._echoes.pop(ref, None)
        self._converged.pop(ref, None)
        self._unsettled.discard(ref)

    def take_fleet(self, fleet: Fleet) -> None:
        """Take the gateways as they stand. An acknowledgement concerns only who waits for one."""
        before, self._fleet = self._fleet, fleet
        if _shape(before) != _shape(fleet) or _fell_back(before, fleet):
            self._review.update(dict.fromkeys(self._facts))
        elif before != fleet:
            self._review.update(dict.fromkeys(self._unsettled))

    # --- what is to be written --------------------------------------------------------------------

    def review_steps(self, now: float) -> Generator[None, None, None]:
        """Look again at the objects of which something is new."""
        while self._review:
            ref, _ = self._review.popitem()
            self._look(ref, now)
            yield

    def _look(self, ref: ResourceRef, now: float) -> None:
        planned = self._plan(ref)
        if planned is None:
            self._pending.pop(ref, None)
            return
        seen, status = planned
        programmed = status.condition("Programmed")
        if programmed is not None and programmed.status == "True":
            self._unsettled.discard(ref)
            self._converged[ref] = self._facts[ref].held_since
        else:
            self._unsettled.add(ref)
        if ref in self._writing:
            return
        matters = urgency(seen.status, status)
        if matters is None:
            self._pending.pop(ref, None)
            return
        contest = self._contests.get(ref)
        if contest is not None and now < contest.until:
            matters = "contested"
        pending = self._pending.get(ref)
        if pending is not None and pending.urgency == matters:
            return
        not_before = self._not_before(ref, matters, now)
        self._put(ref, _Pending(matters, now, not_before, next(self._numbers)))

    def _not_before(self, ref: ResourceRef, matters: Urgency, now: float) -> float:
        match matters:
            case "transition":
                return now
            case "progress":
                return now + PROGRESS
            case "membership":
                return max(now + PROGRESS, self._membership.get(ref, now - MEMBERSHIP) + MEMBERSHIP)
            case "contested":
                return self._contests[ref].until

    def _put(self, ref: ResourceRef, pending: _Pending) -> None:
        self._pending[ref] = pending
        heapq.heappush(self._later, (pending.not_before, pending.number, ref))

    def _plan(self, ref: ResourceRef) -> tuple[Seen, Status] | None:
        seen, facts = self._seen.get(ref), self._facts.get(ref)
        if seen is None or facts is None:
            return None
        inherited = facts.inherited and is_of(seen.status, facts)
        latch = inherited or self._converged.get(ref) == facts.held_since
        status = plan_status(
            facts, seen.status, self._fleet, self._controller, self._clock(), latch=latch
        )
        return seen, status

    def take(self, now: float, most: int) -> list[Write]:
        """The writes to be made now, at most so many.

        Each is to be answered with `written` or `failed`.
        """
        while self._later and self._later[0][0] <= now:
            _, number, ref = heapq.heappop(self._later)
            pending = self._pending.get(ref)
            if pending is not None and pending.number == number:
                heapq.heappush(self._due, (_ORDER[pending.urgency], number, ref))
        writes: list[Write] = []
        while self._due and len(writes) < most and self._budget.has(now):
            _, number, ref = heapq.heappop(self._due)
            pending = self._pending.get(ref)
            if pending is None or pending.number != number or ref in self._writing:
                continue
            del self._pending[ref]
            planned = self._plan(ref)
            if planned is None or planned[0].status == planned[1]:
                continue
            self._budget.take(now)
            self._writing.add(ref)
            if pending.urgency == "membership":
                self._membership[ref] = now
            writes.append(Write(ref, *planned))
        return writes

    def next_due(self, now: float) -> float | None:
        """When `take` has something to give; None while nothing is to be written."""
        if self._review:
            return now
        if self._due:
            return max(now, self._budget.next_at(now))
        return max(self._later[0][0], self._budget.next_at(now)) if self._later else None

    def written(self, write: Write, resource_version: str, now: float) -> None:
        """A write was answered; the object has this version now."""
        self._writing.discard(write.ref)
        seen = self._seen.get(write.ref)
        if seen is None or seen.uid != write.seen.uid:
            return
        if is_older(seen.resource_version, resource_version):
            self._seen[write.ref] = Seen(seen.uid, resource_version, write.status)
            self._echoes[write.ref] = now + _ECHO
        self._review[write.ref] = None

    def failed(self, write: Write, now: float, retry_in: float) -> None:
        """A write was refused or lost: again, after some seconds."""
        self._writing.discard(write.ref)
        if write.ref in self._seen:
            pending = _Pending("transition", now, now + retry_in, next(self._numbers))
            self._put(write.ref, pending)

    @property
    def waiting(self) -> int:
        """How many statuses are to be written."""
        return len(self._pending) + len(self._writing)


def _shape(fleet: Fleet) -> object:
    """What changes of everybody's status if it changes."""
    return fleet.replicas, tuple(
        (
            *(gateway.name, gateway.voice, gateway.error, gateway.refused),
            *(gateway.sequence > 0, gateway.outdated),
        )
        for gateway in fleet.gateways
    )


def _fell_back(before: Fleet, after: Fleet) -> bool:
    held = {gateway.name: gateway.sequence for gateway in before.gateways}
    return any(gateway.sequence < held.get(gateway.name, 0) for gateway in after.gateways)

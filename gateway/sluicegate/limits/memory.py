"""Counts of one process, in its memory."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence

from sluicegate.limits.claims import (
    Ceiling,
    Claim,
    Kind,
    Refusal,
    Reservation,
    Settlement,
    Standing,
    settlements,
)
from sluicegate.limits.periods import WINDOW, Period, period_end, period_start

_LOOKED_AT = 2  # old subjects for each new one, so that no sweep ever holds the event loop


class _Counts:
    """Of one subject; see Standing."""

    __slots__ = ("money", "parallel", "period", "requests", "since", "tokens", "window")

    def __init__(self) -> None:
        self.requests = 0
        self.tokens = 0
        self.window = 0
        self.parallel = 0
        self.money = 0
        self.since = 0
        self.period: Period = "Month"

    def roll(self, ceiling: Ceiling, now: int) -> None:
        """Begin at zero what is over."""
        # A clock that is set back by less than a window lengthens it; by more, it begins anew.
        if self.window and abs(now - self.window) >= WINDOW:
            self.requests = self.tokens = self.window = 0
        if ceiling.money is not None:
            self.period = ceiling.period
        if self.since and self.since < period_start(self.period, now):
            self.money = self.since = 0

    def refuses(self, claim: Claim) -> Kind | None:
        ceiling, requests = claim.ceiling, claim.requests
        most = ceiling.requests
        if most is not None and self.requests + requests > most:
            return Kind.REQUESTS
        most = ceiling.tokens
        if most is not None and self.tokens + claim.tokens > most:
            return Kind.TOKENS
        most = ceiling.parallel
        if most is not None and self.parallel + requests > most:
            return Kind.PARALLEL
        most = ceiling.money
        if most is not None and not ceiling.warns:
            # Free of charge or not, nothing is served on a budget that is spent.
            spent = self.money
            if spent + claim.money > most or (requests and spent >= most):
                return Kind.BUDGET
        return None

    def take(self, claim: Claim, now: int) -> None:
        ceiling, requests, tokens, money = claim.ceiling, claim.requests, claim.tokens, claim.money
        windows = ceiling.requests is not None or ceiling.tokens is not None
        if windows and (requests or tokens):
            if not self.window:
                self.window = now
            self.requests += requests
            self.tokens += tokens
        if ceiling.parallel is not None:
            self.parallel += requests
        if money and ceiling.money is not None:
            if not self.since:
                self.since = now
            self.money += money

    def settle(self, end: Settlement, now: int) -> None:
        tokens, money = end.tokens, end.money
        if tokens and (tokens > 0 or self.window == end.window):
            if not self.window:
                self.window = now
            self.tokens += tokens
        if money and (money > 0 or self.since == end.since):
            if not self.since:
                self.since = now
            self.money += money
        self.parallel -= end.slots

    def standing(self, ceiling: Ceiling) -> Standing:
        if ceiling.money is None:
            return Standing(self.requests, self.tokens, self.window, self.parallel)
        return Standing(
            self.requests, self.tokens, self.window, self.parallel, self.money, self.since
        )

    def idle(self, now: int) -> bool:
        """Whether a new one would say the same."""
        return not self.parallel and not (
            (self.window and abs(now - self.window) < WINDOW)
            or (self.since and now < period_end(self.period, self.since))
        )


class MemoryStore:
    """Counts of this process. They outlive reloads of the configuration, not the process.

    `clock` gives Unix seconds. Subjects that nothing is counted of any more are dropped as new ones
    come. Of the end users the `most` last seen are remembered.
    """

    def __init__(self, clock: Callable[[], float], *, most: int = 50_000) -> None:
        self._clock = clock
        self._most = most
        self._lasting: OrderedDict[str, _Counts] = OrderedDict()
        self._forgettable: OrderedDict[str, _Counts] = OrderedDict()

    def __len__(self) -> int:
        return len(self._lasting) + len(self._forgettable)

    def reserve(self, claims: Sequence[Claim]) -> Reservation | Refusal:
        """Take what all claims ask, or nothing. No two claims are of one subject."""
        now = self._now()
        held = [(claim, self._counts(claim, now)) for claim in claims]
        for claim, counts in held:
            kind = counts.refuses(claim)
            if kind is not None:
                standings = [each.standing(claim.ceiling) for claim, each in held]
                return Refusal(claim, kind, tuple(standings), tuple(claims), now)
        standings: list[Standing] = []
        for claim, counts in held:
            counts.take(claim, now)
            standings.append(counts.standing(claim.ceiling))
            self._keep(claim, counts, now)
        return Reservation("", tuple(claims), tuple(standings), now)

    def settle(self, reservation: Reservation, tokens: int | None, money: int | None) -> None:
        """Count what was really used in place of what was reserved, and free the slots.

        To be called once for each reservation. None: what was reserved is as good as what is known.
        """
        for end in settlements(reservation, tokens, money):
            self.charge(end)

    def charge(self, end: Settlement) -> None:
        """Count what is known of one subject beside what was reserved."""
        now = self._now()
        counts = self._counts(end, now)
        counts.settle(end, now)
        self._keep(end, counts, now)

    def learn(self, claims: Iterable[tuple[Claim, Standing]]) -> None:
        """Take over what another store counts, but for the slots, which are held elsewhere."""
        now = self._now()
        for claim, standing in claims:
            counts = self._counts(claim, now)
            counts.requests, counts.tokens, counts.window = (
                standing.requests,
                standing.tokens,
                standing.window,
            )
            counts.money, counts.since, counts.period = (
                standing.money,
                standing.since,
                claim.ceiling.period,
            )
            self._keep(claim, counts, now)

    def _now(self) -> int:
        return int(self._clock() * 1000)

    def _counts(self, of: Claim | Settlement, now: int) -> _Counts:
        """Those of a subject, without what is over; new ones where nothing is counted."""
        subject = of.subject
        counts = self._lasting.get(subject) or self._forgettable.get(subject) or _Counts()
        counts.roll(of.ceiling, now)
        return counts

    def _keep(self, of: Claim | Settlement, counts: _Counts, now: int) -> None:
        subject = of.subject
        if subject in self._lasting:
            return
        if subject in self._forgettable:
            self._forgettable.move_to_end(subject)
        elif not counts.idle(now):
            subjects = self._forgettable if of.forgettable else self._lasting
            subjects[subject] = counts
            self._forget(subjects, now)

    def _forget(self, subjects: OrderedDict[str, _Counts], now: int) -> None:
        """Look at the oldest: drop what is idle, put the others last."""
        for _ in range(_LOOKED_AT):
            subject, counts = subjects.popitem(last=False)
            full = subjects is self._forgettable and len(subjects) >= self._most
            if not (counts.idle(now) or (full and not counts.parallel)):
                subjects[subject] = counts
            if len(subjects) <= 1:
                break

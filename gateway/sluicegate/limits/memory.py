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
from sluicegate.limits.periods import Period, period_end, period_start, window_over

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
        if self.window and window_over(self.window, now):
            self.requests = self.tokens = self.window = 0
        if ceiling.money is not None:
            self.period = ceiling.period
        if self.since and self.since < period_start(self.period, now):
            self.money = self.since = 0

    def refuses(self, claim: Claim) -> Kind | None:
        ceiling = claim.ceiling
        if ceiling.requests is not None and self.requests + claim.requests > ceiling.requests:
            return Kind.REQUESTS
        if ceiling.tokens is not None and self.tokens + claim.tokens > ceiling.tokens:
            return Kind.TOKENS
        if ceiling.parallel is not None and self.parallel + claim.requests > ceiling.parallel:
            return Kind.PARALLEL
        if ceiling.money is not None and not ceiling.warns:
            # Free of charge or not, nothing is served on a budget that is spent.
            spent = self.money >= ceiling.money and claim.requests
            if spent or self.money + claim.money > ceiling.money:
                return Kind.BUDGET
        return None

    def take(self, claim: Claim, now: int) -> None:
        ceiling = claim.ceiling
        if ceiling.counts_windows and (claim.requests or claim.tokens):
            self.window = self.window or now
            self.requests += claim.requests
            self.tokens += claim.tokens
        if ceiling.parallel is not None:
            self.parallel += claim.requests
        if ceiling.money is not None and claim.money:
            self.since = self.since or now
            self.money += claim.money

    def settle(self, end: Settlement, now: int) -> None:
        if end.tokens and (end.tokens > 0 or self.window == end.window):
            self.window = self.window or now
            self.tokens += end.tokens
        if end.money and (end.money > 0 or self.since == end.since):
            self.since = self.since or now
            self.money += end.money
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
            (self.window and not window_over(self.window, now))
            or (self.since and now < period_end(self.period, self.since))
        )


def _standings(held: Iterable[tuple[Claim, _Counts]]) -> tuple[Standing, ...]:
    return tuple([counts.standing(claim.ceiling) for claim, counts in held])


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
        held = [(claim, self._find(claim.subject, claim.forgettable)) for claim in claims]
        for claim, counts in held:
            counts.roll(claim.ceiling, now)
        for claim, counts in held:
            kind = counts.refuses(claim)
            if kind is not None:
                return Refusal(claim, kind, _standings(held), tuple(claims), now)
        for claim, counts in held:
            counts.take(claim, now)
            self._keep(claim.subject, claim.forgettable, counts, now)
        return Reservation("", tuple(claims), _standings(held), now)

    def settle(self, reservation: Reservation, tokens: int | None, money: int | None) -> None:
        """Count what was really used in place of what was reserved, and free the slots.

        To be called once for each reservation. None: what was reserved is as good as what is known.
        """
        for end in settlements(reservation, tokens, money):
            self.charge(end)

    def charge(self, end: Settlement) -> None:
        """Count what is known of one subject beside what was reserved."""
        now = self._now()
        counts = self._find(end.subject, end.forgettable)
        counts.roll(end.ceiling, now)
        counts.settle(end, now)
        self._keep(end.subject, end.forgettable, counts, now)

    def learn(self, claims: Iterable[tuple[Claim, Standing]]) -> None:
        """Take over what another store counts, but for the slots, which are held elsewhere."""
        now = self._now()
        for claim, standing in claims:
            counts = self._find(claim.subject, claim.forgettable)
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
            self._keep(claim.subject, claim.forgettable, counts, now)

    def _now(self) -> int:
        return int(self._clock() * 1000)

    def _find(self, subject: str, forgettable: bool) -> _Counts:  # noqa: FBT001 -- a claim's own flag, passed on
        subjects = self._forgettable if forgettable else self._lasting
        return subjects.get(subject) or _Counts()

    def _keep(self, subject: str, forgettable: bool, counts: _Counts, now: int) -> None:  # noqa: FBT001 -- as above
        subjects = self._forgettable if forgettable else self._lasting
        if subject in subjects:
            subjects.move_to_end(subject)
        elif not counts.idle(now):
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

"""Counts of one process, in its memory."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable

from sluicegate.limits.periods import WINDOW, Period, period_start
from sluicegate.limits.reservations import (
    Amount,
    Ceiling,
    Kind,
    Refusal,
    Reservation,
    Standing,
    Subject,
)

_LOOKED_AT = 2  # old subjects for each new one, so that no sweep ever holds the event loop


class _Counts:
    """Of one subject; see Standing."""

    __slots__ = ("money", "others", "parallel", "period", "requests", "since", "tokens", "window")

    def __init__(self) -> None:
        self.requests = 0
        self.tokens = 0
        self.window = 0
        self.parallel = 0
        self.money = 0
        self.since = 0
        self.period: Period = "Month"
        # Money and its beginning, of periods that the budget had before.
        self.others: dict[Period, tuple[int, int]] | None = None

    def roll(self, now: int) -> None:
        """Begin at zero what is over."""
        # A clock that is set back by less than a window lengthens it; by more, it begins anew.
        if self.window and abs(now - self.window) >= WINDOW:
            self.requests = self.tokens = self.window = 0
        if self.since and self.since < period_start(self.period, now):
            self.money = self.since = 0
        if self.others:
            self.others = {
                period: (money, since)
                for period, (money, since) in self.others.items()
                if since >= period_start(period, now)
            }

    def turn_to(self, period: Period) -> None:
        """Count the money of another period. What the others have is still theirs.

        Calls that were reserved before are settled there, and a budget may get its period back.
        """
        others = self.others or {}
        if self.since:
            others[self.period] = self.money, self.since
        self.money, self.since = others.pop(period, (0, 0))
        self.period, self.others = period, others or None

    def refuses(self, ceiling: Ceiling, amount: Amount) -> Kind | None:
        requests = amount.requests
        most = ceiling.requests
        if most is not None and self.requests + requests > most:
            return Kind.REQUESTS
        most = ceiling.tokens
        if most is not None and self.tokens + amount.tokens > most:
            return Kind.TOKENS
        most = ceiling.parallel
        if most is not None and self.parallel + requests > most:
            return Kind.PARALLEL
        most = ceiling.money
        if most is not None and not ceiling.warns:
            # Free of charge or not, nothing is served on a budget that is spent.
            spent = self.money
            if spent + amount.money > most or (requests and spent >= most):
                return Kind.BUDGET
        return None

    def take(self, ceiling: Ceiling, amount: Amount, now: int) -> Standing:
        """How it stands then."""
        requests = amount.requests
        if ceiling.tokens is not None:
            self._count(requests, amount.tokens, now)
        elif ceiling.requests is not None:
            self._count(requests, 0, now)
        if ceiling.parallel is not None:
            self.parallel += requests
        if ceiling.money is not None:
            self._spend(amount.money, now)
        return self.standing(ceiling)

    def settle(self, ceiling: Ceiling, standing: Standing, rest: Amount, now: int) -> None:
        """See Amount.settled; `standing` is that of the reservation.

        What was used beyond the reservation counts in the present window or period, if that of the
        reservation is over; what was not used is given back only where it was counted.
        """
        tokens, money = rest.tokens, rest.money
        if ceiling.tokens is not None and (tokens > 0 or self.window == standing.window):
            self._count(0, tokens, now)
        if ceiling.money is not None and (money > 0 or self.since == standing.since):
            self._spend(money, now)
        if ceiling.parallel is not None:
            self.parallel -= rest.requests

    def _count(self, requests: int, tokens: int, now: int) -> None:
        if requests or tokens:
            if not self.window:
                self.window = now
            self.requests += requests
            self.tokens += tokens

    def _spend(self, money: int, now: int) -> None:
        if money:
            if not self.since:
                self.since = now
            self.money += money

    def standing(self, ceiling: Ceiling) -> Standing:
        if ceiling.money is None:
            return Standing(self.requests, self.tokens, self.window, self.parallel)
        return Standing(
            self.requests, self.tokens, self.window, self.parallel, self.money, self.since
        )

    def idle(self, now: int) -> bool:
        """Whether a new one would say the same."""
        self.roll(now)
        return not (self.parallel or self.window or self.since or self.others)


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

    def reserve(self, subjects: tuple[Subject, ...], amount: Amount) -> Reservation | Refusal:
        """Take `amount` of each of the subjects, or nothing. No subject is named twice."""
        now = self._now()
        held = [(subject, self._counts(subject, now)) for subject in subjects]
        for subject, counts in held:
            kind = counts.refuses(subject.ceiling, amount)
            if kind is not None:
                standings = tuple(each.standing(who.ceiling) for who, each in held)
                return Refusal(subject, kind, amount, subjects, standings, now)
        taken: list[Standing] = []
        for subject, counts in held:
            taken.append(counts.take(subject.ceiling, amount, now))
            self._keep(subject, counts, now)
        return Reservation("", subjects, amount, tuple(taken), now)

    def settle(self, reservation: Reservation, tokens: int | None, money: int | None) -> None:
        """Count what was really used in place of what was reserved, and free the slots.

        To be called once for each reservation. None: what was reserved is as good as what is known.
        """
        now = self._now()
        rest = reservation.amount.settled(tokens, money)
        for at, subject in enumerate(reservation.subjects):
            counts = self._counts(subject, now)
            counts.settle(subject.ceiling, reservation.standings[at], rest, now)
            self._keep(subject, counts, now)

    def charge(self, subject: Subject, money: int) -> None:
        """Count money that nobody reserved."""
        now = self._now()
        counts = self._counts(subject, now)
        counts.settle(subject.ceiling, Standing(), Amount(0, 0, money), now)
        self._keep(subject, counts, now)

    def learn(self, standings: Iterable[tuple[Subject, Standing]]) -> None:
        """Take over what another store counts, but for the slots, which are held elsewhere."""
        now = self._now()
        for subject, standing in standings:
            counts = self._counts(subject, now)
            counts.requests, counts.tokens, counts.window = (
                standing.requests,
                standing.tokens,
                standing.window,
            )
            counts.money, counts.since = standing.money, standing.since
            self._keep(subject, counts, now)

    def _now(self) -> int:
        return int(self._clock() * 1000)

    def _counts(self, subject: Subject, now: int) -> _Counts:
        """Those of a subject, without what is over; new ones where nothing is counted."""
        id_, ceiling = subject.id, subject.ceiling
        counts = self._lasting.get(id_) or self._forgettable.get(id_) or _Counts()
        if ceiling.money is not None and counts.period != ceiling.period:
            counts.turn_to(ceiling.period)
        counts.roll(now)
        return counts

    def _keep(self, subject: Subject, counts: _Counts, now: int) -> None:
        id_ = subject.id
        if id_ in self._lasting:
            return
        if id_ in self._forgettable:
            self._forgettable.move_to_end(id_)
        elif not counts.idle(now):
            subjects = self._forgettable if subject.forgettable else self._lasting
            subjects[id_] = counts
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

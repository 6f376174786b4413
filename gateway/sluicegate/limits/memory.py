"""Counts of one process, in its memory."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Iterable

from sluicegate.limits.periods import WINDOW, Period, period_end, period_start
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

    __slots__ = (
        "lasts",
        "money",
        "others",
        "parallel",
        "period",
        "requests",
        "since",
        "tokens",
        "window",
    )

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
        self.lasts = 0  # nothing is over before, unless the clock goes back

    def turn_to(self, period: Period, now: int) -> None:
        """Begin at zero what is over, and count the money of this period.

        What the others have is still theirs: calls that were reserved before are settled there, and
        a budget may get its period back.
        """
        if period != self.period:
            others = self.others or {}
            if self.since:
                others[self.period] = self.money, self.since
            self.money, self.since = others.pop(period, (0, 0))
            self.period, self.others = period, others
        self.lasts = period_end(period, now)
        # A clock that is set back by less than a window lengthens it; by more, it begins anew.
        if self.window and abs(now - self.window) >= WINDOW:
            self.requests = self.tokens = self.window = 0
        elif self.window:
            self.lasts = min(self.lasts, self.window + WINDOW)
        if self.since and self.since < period_start(period, now):
            self.money = self.since = 0
        if self.others is not None:
            self.others = {
                period: (money, since)
                for period, (money, since) in self.others.items()
                if since >= period_start(period, now)
            } or None

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

    def add(
        self, ceiling: Ceiling, requests: int, slots: int, tokens: int, money: int, now: int
    ) -> None:
        """Count this, as far as it is limited."""
        if ceiling.tokens is None:
            tokens = 0
            if ceiling.requests is None:
                requests = 0
        if requests or tokens:
            if not self.window:
                self.window, self.lasts = now, min(self.lasts, now + WINDOW)
            self.requests += requests
            self.tokens += tokens
        if ceiling.parallel is not None:
            self.parallel += slots
        if money and ceiling.money is not None:
            if not self.since:
                self.since, self.lasts = now, min(self.lasts, period_end(self.period, now))
            self.money += money

    def standing(self, ceiling: Ceiling) -> Standing:
        if ceiling.money is None:
            return Standing(self.requests, self.tokens, self.window, self.parallel)
        return Standing(
            self.requests, self.tokens, self.window, self.parallel, self.money, self.since
        )

    def idle(self, now: int) -> bool:
        """Whether a new one would say the same."""
        self.turn_to(self.period, now)
        return not (self.parallel or self.window or self.since or self.others)


class MemoryStore:
    """Counts of this process. They outlive reloads of the configuration, not the process.

    `clock` gives Unix seconds. Subjects that nothing is counted of any more are dropped as new ones
    come. Of the end users the `most` last seen are remembered.
    """

    def __init__(self, clock: Callable[[], float], *, most: int = 50_000) -> None:
        self._clock = clock
        self._most = most
        self._lasting: dict[str, _Counts] = {}
        self._turns: deque[str] = deque()  # whose counts of these are looked at next
        self._forgettable: OrderedDict[str, _Counts] = OrderedDict()

    def __len__(self) -> int:
        return len(self._lasting) + len(self._forgettable)

    def reserve(self, subjects: tuple[Subject, ...], amount: Amount) -> Reservation | Refusal:
        """Take `amount` of each of the subjects, or nothing. No subject is named twice."""
        now = self._now()
        found: list[tuple[Subject, _Counts]] = []
        for subject in subjects:
            counts = self._counts(subject, now)
            kind = counts.refuses(subject.ceiling, amount)
            if kind is not None:
                all_ = tuple(self._counts(each, now).standing(each.ceiling) for each in subjects)
                return Refusal(subject, kind, amount, subjects, all_, now)
            found.append((subject, counts))
        requests, tokens, money = amount.requests, amount.tokens, amount.money
        standings: list[Standing] = []
        for subject, counts in found:
            ceiling = subject.ceiling
            counts.add(ceiling, requests, requests, tokens, money, now)
            standings.append(counts.standing(ceiling))
            if subject.id not in self._lasting:
                self._keep(subject, counts, now)
        return Reservation("", subjects, amount, tuple(standings), now)

    def settle(self, reservation: Reservation, tokens: int | None, money: int | None) -> None:
        """Count what was really used in place of what was reserved, and free the slots.

        To be called once for each reservation. None: what was reserved is as good as what is known.
        What was used beyond the reservation counts in the present window or period, if that of the
        reservation is over; what was not used is given back only where it was counted.
        """
        now = self._now()
        amount = reservation.amount
        tokens, money = amount.exceeded(tokens, money)
        for at, subject in enumerate(reservation.subjects):
            counts, held = self._counts(subject, now), reservation.standings[at]
            counts.add(
                subject.ceiling,
                0,
                -amount.requests,
                tokens if tokens > 0 or counts.window == held.window else 0,
                money if money > 0 or counts.since == held.since else 0,
                now,
            )
            if subject.id not in self._lasting:
                self._keep(subject, counts, now)

    def charge(self, subject: Subject, money: int) -> None:
        """Count money that nobody reserved."""
        now = self._now()
        counts = self._counts(subject, now)
        counts.add(subject.ceiling, 0, 0, 0, money, now)
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
            counts.lasts = 0
            self._keep(subject, counts, now)

    def _now(self) -> int:
        return int(self._clock() * 1000)

    def _counts(self, subject: Subject, now: int) -> _Counts:
        """Those of a subject, without what is over; new ones where nothing is counted."""
        id_, period = subject.id, subject.ceiling.period
        counts = self._lasting.get(id_) or self._forgettable.get(id_) or _Counts()
        if not counts.window <= now < counts.lasts or counts.period != period:
            counts.turn_to(period, now)
        return counts

    def _keep(self, subject: Subject, counts: _Counts, now: int) -> None:
        """Remember those of a subject that is not known, and of a forgettable that it was seen."""
        id_ = subject.id
        if id_ in self._forgettable:
            self._forgettable.move_to_end(id_)
        elif id_ not in self._lasting and not counts.idle(now):
            if subject.forgettable:
                self._forgettable[id_] = counts
                self._forget_oldest(now)
            else:
                self._lasting[id_] = counts
                self._turns.append(id_)
                self._forget_idle(now)

    def _forget_idle(self, now: int) -> None:
        """Look at a few of those that last, each in its turn: drop what is idle."""
        for _ in range(_LOOKED_AT):
            id_ = self._turns.popleft()
            if self._lasting[id_].idle(now):
                del self._lasting[id_]
            else:
                self._turns.append(id_)

    def _forget_oldest(self, now: int) -> None:
        """Look at the oldest end users: drop what is idle or too much, put the others last."""
        for _ in range(_LOOKED_AT):
            id_, counts = self._forgettable.popitem(last=False)
            full = len(self._forgettable) >= self._most
            if not (counts.idle(now) or (full and not counts.parallel)):
                self._forgettable[id_] = counts
            if len(self._forgettable) <= 1:
                break

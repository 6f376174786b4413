"""What is asked of a store and what it answers.

Money is an integer, in nano-USD; times are Unix milliseconds.
"""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum
from functools import lru_cache
from math import ceil

import msgspec

from sluicegate.config import Budget, Limits
from sluicegate.limits.periods import Period

_NANO = 1_000_000_000


class Kind(StrEnum):
    """What there was too little of."""

    REQUESTS = "requests"
    TOKENS = "tokens"
    PARALLEL = "parallel"
    BUDGET = "budget"


class SubjectKind(StrEnum):
    """Whose the limit is."""

    KEY = "key"
    END_USER = "end_user"
    NAMESPACE = "namespace"
    DEPLOYMENT = "deployment"


class Ceiling(msgspec.Struct, frozen=True, gc=False):
    """What a subject may take; None: as much as it wants. `warns`: the budget refuses nothing."""

    requests: int | None = None
    tokens: int | None = None
    parallel: int | None = None
    money: int | None = None
    period: Period = "Month"
    warns: bool = False


class Subject(msgspec.Struct, frozen=True, gc=False):
    """Who is limited, and to what. `id` names it in stores, `words` to people."""

    id: str
    ceiling: Ceiling
    kind: SubjectKind = SubjectKind.KEY
    words: str = ""

    @property
    def forgettable(self) -> bool:
        """Whether there may be any number of such subjects.

        A store of bounded memory may forget the oldest of them.
        """
        return self.kind is SubjectKind.END_USER


class Amount(msgspec.Struct, frozen=True, gc=False):
    """What one request takes of each of its subjects; of what one is not limited in, nothing.

    `requests` is 1 for a request, which takes a parallel slot too; 0 for more tokens or money of
    one that has been counted.
    """

    requests: int = 1
    tokens: int = 0
    money: int = 0

    def exceeded(self, tokens: int | None, money: int | None) -> tuple[int, int]:
        """By how much: more tokens and money than this, or (below zero) less.

        None: what was expected is as good as what is known.
        """
        return (
            0 if tokens is None else tokens - self.tokens,
            0 if money is None else money - self.money,
        )


class Standing(msgspec.Struct, frozen=True, gc=False):
    """How a subject stands after a reservation.

    `window` is when the minute began that `requests` and `tokens` were counted in, `since` when the
    first of `money` was spent in this period; 0: nothing yet. They also tell one count from its
    successor, so that what was reserved in the one is never given back to the other. Money is told
    of a subject that has a budget, and so are slots where they are limited.
    """

    requests: int = 0
    tokens: int = 0
    window: int = 0
    parallel: int = 0
    money: int = 0
    since: int = 0


class Reservation(msgspec.Struct, frozen=True, gc=False):
    """A granted one. `standings` are in the order of the subjects."""

    id: str
    subjects: tuple[Subject, ...]
    amount: Amount
    standings: tuple[Standing, ...]
    now: int


class Refusal(msgspec.Struct, frozen=True, gc=False):
    """`subject` may not take `amount`, for want of `kind`; nothing has been counted.

    `standings` are in the order of the subjects.
    """

    subject: Subject
    kind: Kind
    amount: Amount
    subjects: tuple[Subject, ...]
    standings: tuple[Standing, ...]
    now: int

    @property
    def standing(self) -> Standing:
        """How the subject stands that refused."""
        return self.standings[self.subjects.index(self.subject)]


@lru_cache(maxsize=4096)
def ceiling_of(limits: Limits | None, budget: Budget | None) -> Ceiling | None:
    """The ceiling of these limits and this budget; None where there is none."""
    if limits is None and budget is None:
        return None
    limits = limits or Limits()
    ceiling = Ceiling(
        limits.requests_per_minute, limits.tokens_per_minute, limits.max_parallel_requests
    )
    if budget is None:
        return ceiling
    return msgspec.structs.replace(
        ceiling,
        money=nano_usd(Decimal(budget.amount_usd)),
        period=budget.period,
        warns=budget.on_exceeded == "Warn",
    )


def nano_usd(usd: Decimal) -> int:
    """An amount as stores count it, rounded up."""
    return ceil(usd * _NANO)


def usd(nano: int) -> str:
    """With the cents, and as many further digits as there are."""
    amount = Decimal(nano) / _NANO
    return f"{amount:.2f}" if amount == round(amount, 2) else f"{amount.normalize():f}"

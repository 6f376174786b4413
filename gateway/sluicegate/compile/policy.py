"""Limits and budgets of a spec to those of an entry."""

from __future__ import annotations

from functools import lru_cache
from typing import TypeVar

from sluicegate.config import Budget, Limits
from sluicegate.resources.policy import Budget as BudgetSpec
from sluicegate.resources.policy import Limits as LimitsSpec

_T = TypeVar("_T", Limits, Budget)


def limits_of(limits: LimitsSpec | None) -> Limits | None:
    """The limits of an entry; None where nothing is limited."""
    if limits is None:
        return None
    compiled = Limits(
        limits.requests_per_minute, limits.tokens_per_minute, limits.max_parallel_requests
    )
    return None if compiled == Limits() else _first(compiled)


def budget_of(budget: BudgetSpec | None) -> Budget | None:
    """The budget of an entry."""
    if budget is None:
        return None
    return _first(Budget(budget.amount_usd, budget.period, budget.on_exceeded))


@lru_cache
def _first(value: _T) -> _T:
    """The first of equal values: thousands of keys have few different limits and budgets."""
    return value

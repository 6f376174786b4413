"""Limits and budgets of a spec to those of an entry."""

from __future__ import annotations

from sluicegate.config import Budget, Limits
from sluicegate.resources.policy import Budget as BudgetSpec
from sluicegate.resources.policy import Limits as LimitsSpec


def limits_of(limits: LimitsSpec | None) -> Limits | None:
    """The limits of an entry; None where nothing is limited."""
    if limits is None:
        return None
    compiled = Limits(
        limits.requests_per_minute, limits.tokens_per_minute, limits.max_parallel_requests
    )
    return None if compiled == Limits() else compiled


def budget_of(budget: BudgetSpec | None) -> Budget | None:
    """The budget of an entry."""
    if budget is None:
        return None
    return Budget(budget.amount_usd, budget.period, budget.on_exceeded)

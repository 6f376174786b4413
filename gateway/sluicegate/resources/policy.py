"""Parts that both kinds use: limits, budgets, references to Secrets."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import Field

from sluicegate.resources.fields import Amount, Fields, ObjectName, SecretKey

Count: TypeAlias = Annotated[int, Field(ge=1, le=1_000_000_000)]


class Limits(Fields):
    """How much may be used. A limit that is left out does not exist."""

    requests_per_minute: Count | None = Field(None, description="Requests admitted per minute.")
    tokens_per_minute: Count | None = Field(
        None, description="Tokens, input and output together, per minute."
    )
    max_parallel_requests: Count | None = Field(
        None, description="Requests in flight at the same time."
    )


class Budget(Fields):
    """Money that may be spent in a period."""

    amount_usd: Amount = Field(
        alias="amountUSD",
        description='The amount in US dollars, a decimal string in quotes, as in "50.00".',
    )
    period: Literal["1d", "7d", "30d", "Month"] = Field(
        description="The period after which spending starts at zero again; Month is the calendar "
        "month in UTC."
    )
    on_exceeded: Literal["Reject", "Warn"] = Field(
        "Reject",
        description="What happens when it is spent: Reject answers 429 insufficient_quota, Warn "
        "only reports it.",
    )


class SecretEntryRef(Fields):
    """One entry of a Secret in the object's own namespace."""

    name: ObjectName = Field(description="Name of the Secret, in the namespace of this object.")
    key: SecretKey = Field(description="Name of the entry in the Secret's data.")


class SecretRef(Fields):
    """A Secret in the object's own namespace."""

    name: ObjectName = Field(description="Name of the Secret, in the namespace of this object.")

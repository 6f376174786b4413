"""A status, as it stands in an object."""

from __future__ import annotations

from typing import Literal, TypeAlias

from msgspec import Struct, field

Truth: TypeAlias = Literal["True", "False", "Unknown"]


class Condition(Struct, frozen=True, rename="camel", gc=False):
    """One condition (metav1.Condition)."""

    type: str
    status: Truth
    reason: str
    message: str
    last_transition_time: str
    observed_generation: int = 0


class Gateways(Struct, frozen=True, gc=False):
    """How many gateways there are, how many serve this version, and both in one word."""

    desired: int
    updated: int
    summary: str


class KeyStatus(Struct, frozen=True, rename="camel", omit_defaults=True, gc=False):
    """A key that is accepted. The id is not secret."""

    id: str
    created_at: str | None = None
    not_after: str | None = None


class Spend(Struct, frozen=True, gc=False):
    """What a key has spent in a period; times are RFC 3339 text."""

    amount_usd: str = field(name="amountUSD")
    period_start: str = field(name="periodStart")
    observed_at: str = field(name="observedAt")


class Columns(Struct, frozen=True, gc=False):
    """What a status repeats for people who list objects."""

    model: str | None = None
    provider: str | None = None
    type: str | None = None
    secret_name: str | None = None
    keys: tuple[KeyStatus, ...] | None = None


class Status(Struct, frozen=True, rename="camel", gc=False):
    """The fields of a status that the operator writes; a null takes one away (RFC 7396)."""

    conditions: tuple[Condition, ...] = ()
    observed_generation: int = 0
    controller: str | None = None
    revision: str | None = None
    gateways: Gateways | None = None
    model: str | None = None
    provider: str | None = None
    type: str | None = None
    secret_name: str | None = None
    keys: tuple[KeyStatus, ...] | None = None

    def condition(self, kind: str) -> Condition | None:
        """The condition of one type."""
        return next((one for one in self.conditions if one.type == kind), None)

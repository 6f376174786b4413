"""What the ledger asks of a database. Blocking: for the ledger's thread and for commands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from types import MappingProxyType
from typing import Literal, NamedTuple, Protocol, TypeAlias

Grouping: TypeAlias = Literal["key", "end-user", "model", "tag", "day"]
# Two names with a space in between; neither of the first has one.
Pairing: TypeAlias = Literal["key end-user", "namespace deployment"]


class StoreUnavailable(Exception):
    """The database can't be used now; later it may. The message names no password."""


class RowsRefused(Exception):
    """The database will never take (one of) these rows."""


class NoLedger(Exception):
    """There is a database, and no ledger in it."""


class Spend(NamedTuple):
    """Sums over the calls of one group; `name` None: of those that are in no group."""

    name: str | None
    calls: int
    input_tokens: int
    cached_tokens: int
    output_tokens: int
    cost_usd: Decimal
    unpriced: int  # calls that had tokens, and no known price
    estimated: int  # calls whose tokens are not the upstream's own count


# What is asked for by its name, as every database writes it; the day is each one's own.
GROUPS: Mapping[Grouping | Pairing, str] = MappingProxyType(
    {
        "key": "namespace || '/' || key",
        "end-user": "end_user",
        "key end-user": "namespace || '/' || key || ' ' || end_user",
        "namespace deployment": "namespace || ' ' || deployment",
        "model": "model",
        "tag": "tag.key || '=' || tag.value",
    }
)
NOTHING_SPENT = Spend(None, 0, 0, 0, 0, Decimal(0), 0, 0)


class Store(Protocol):
    """One connection to the ledger's database."""

    def open(self) -> None:
        """Connect, and bring the tables up to date. Raises StoreUnavailable."""
        ...

    def add(self, rows: Sequence[bytes]) -> None:
        """Insert encoded records; one whose id is there already changes nothing.

        Raises StoreUnavailable, RowsRefused; either way none of them has been inserted.
        """
        ...

    def close(self) -> None:
        """Give the connection back. Never raises."""
        ...


class Reader(Protocol):
    """Reads the ledger, also while gateways write to it."""

    def sums(
        self, by: Grouping | Pairing, since: float | None, until: float | None = None
    ) -> list[Spend]:
        """Sums of the calls since a Unix time and before another, by group.

        Raises StoreUnavailable, NoLedger.
        """
        ...

    def total(self, since: float | None) -> Spend:
        """The sums of all of them; a call with two tags counts once."""
        ...

    def close(self) -> None:
        """Give the connection back."""
        ...


def as_array(rows: Sequence[bytes]) -> str:
    """One JSON array of encoded records."""
    return f"[{b','.join(rows).decode()}]"


def time_condition(at: str, since: float | None, until: float | None) -> tuple[str, list[float]]:
    """The WHERE of these bounds, and its values; `at` stands for one of them."""
    bounds = {f"time >= {at}": since, f"time < {at}": until}
    known = {bound: value for bound, value in bounds.items() if value is not None}
    return ("WHERE " if known else "") + " AND ".join(known), list(known.values())


def sums_statement(table: str, group: str, cost: str, when: str, source: str = "") -> str:
    """The question for sums, with what the databases say differently put in. All our own words."""
    return (
        f"SELECT {group} AS name, COUNT(*), SUM(input_tokens), SUM(cached_tokens), "  # noqa: S608 - see above
        f"SUM(output_tokens), {cost}, "
        "SUM(CASE WHEN cost_usd IS NULL AND input_tokens + output_tokens > 0 THEN 1 ELSE 0 END), "
        "SUM(CASE WHEN estimated THEN 1 ELSE 0 END) "
        f"FROM {table}{source} {when} GROUP BY 1 ORDER BY 1"
    )


def spend_of(row: Sequence[object]) -> Spend:
    """A row of `sums_statement`."""
    name, *numbers = row
    calls, tokens, cached, output, cost, unpriced, estimated = (
        Decimal(str(number or 0)) for number in numbers
    )
    return Spend(
        None if name is None else str(name),
        int(calls),
        int(tokens),
        int(cached),
        int(output),
        cost,
        int(unpriced),
        int(estimated),
    )

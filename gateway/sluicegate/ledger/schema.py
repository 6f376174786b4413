"""The ledger's table, and the statements that fill it, in the words of both databases.

A migration is never edited once released: a change is a new one. Each runs in one transaction,
under a lock that lets one of several starting gateways do it (see the stores).
"""

from __future__ import annotations

from functools import lru_cache

from sluicegate.ledger.record import CallRecord

TABLE = "sluicegate_calls"

# {0}: moments, {1}: JSON, {2}: money.
_COLUMNS = """
    id                 TEXT PRIMARY KEY,
    version            INTEGER NOT NULL,
    time               {0} NOT NULL,
    request_id         TEXT NOT NULL,
    namespace          TEXT NOT NULL,
    key                TEXT,
    key_id             TEXT,
    end_user           TEXT,
    tags               {1} NOT NULL,
    model              TEXT NOT NULL,
    deployment         TEXT NOT NULL,
    provider           TEXT NOT NULL,
    upstream_model     TEXT NOT NULL,
    attempt            INTEGER NOT NULL,
    status             TEXT NOT NULL,
    http_status        INTEGER,
    input_tokens       BIGINT NOT NULL,
    cached_tokens      BIGINT NOT NULL,
    cache_write_tokens BIGINT NOT NULL,
    output_tokens      BIGINT NOT NULL,
    reasoning_tokens   BIGINT NOT NULL,
    estimated          BOOLEAN NOT NULL,
    cost_usd           {2},
    price_source       TEXT NOT NULL,
    catalogue          TEXT NOT NULL,
    latency            DOUBLE PRECISION,
    first_event        DOUBLE PRECISION,
    streamed           BOOLEAN NOT NULL
"""
_TIME_INDEX = f"CREATE INDEX {TABLE}_time ON {TABLE} (time)"

# One entry for each version: its statements, in order.
# SQLite has no exact number but the integer: money is decimal text there, time Unix seconds.
SQLITE_MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        f"CREATE TABLE {TABLE} ({_COLUMNS.format('REAL', 'TEXT', 'TEXT')})",
        _TIME_INDEX,
    ),
)
POSTGRES_MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        f"CREATE TABLE {TABLE} ({_COLUMNS.format('TIMESTAMPTZ', 'JSONB', 'NUMERIC')})",
        _TIME_INDEX,
    ),
)

COLUMNS = CallRecord.__struct_fields__
# How PostgreSQL reads a field of a record out of JSON; text where it is not named here.
_CASTS = {
    "version": "(e->>{0})::integer",
    "time": "to_timestamp((e->>{0})::double precision)",
    "tags": "e->{0}",
    "attempt": "(e->>{0})::integer",
    "http_status": "(e->>{0})::integer",
    "input_tokens": "(e->>{0})::bigint",
    "cached_tokens": "(e->>{0})::bigint",
    "cache_write_tokens": "(e->>{0})::bigint",
    "output_tokens": "(e->>{0})::bigint",
    "reasoning_tokens": "(e->>{0})::bigint",
    "estimated": "(e->>{0})::boolean",
    "cost_usd": "(e->>{0})::numeric",
    "latency": "(e->>{0})::double precision",
    "first_event": "(e->>{0})::double precision",
    "streamed": "(e->>{0})::boolean",
}

# Of one array of records, which the server makes rows of: no row passes through Python.
POSTGRES_INSERT = (
    f"INSERT INTO {TABLE} ({', '.join(COLUMNS)}) SELECT "  # noqa: S608 - made of our own names only
    + ", ".join(_CASTS.get(name, "e->>{0}").format(index) for index, name in enumerate(COLUMNS))
    + " FROM jsonb_array_elements(%s::jsonb) AS e ON CONFLICT (id) DO NOTHING"
)


@lru_cache
def sqlite_insert(rows: int) -> str:
    """For the values of so many rows, one after another."""
    row = f"({', '.join('?' * len(COLUMNS))})"
    return (
        f"INSERT INTO {TABLE} ({', '.join(COLUMNS)}) "  # noqa: S608 - made of our own names only
        f"VALUES {', '.join([row] * rows)} ON CONFLICT (id) DO NOTHING"
    )

"""Records of calls that tests make up."""

from __future__ import annotations

import asyncio
import itertools
import sqlite3
import time
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import psycopg

from eventually import eventually
from sluicegate.ledger import RECORD_VERSION, CallRecord
from sluicegate.ledger.record import encode
from sluicegate.ledger.schema import TABLE

_numbers = itertools.count(1)
NOON = 1_795_262_400.0  # 2026-11-21T12:00:00Z

_SAMPLE = CallRecord(
    version=RECORD_VERSION,
    id="req_0.1",
    time=NOON,
    request_id="req_0",
    namespace="team-a",
    key="laptop",
    key_id="abcd1234",
    end_user=None,
    tags={},
    model="gpt",
    deployment="team-a/gpt",
    provider="openai",
    upstream_model="gpt-4o",
    attempt=1,
    status="completed",
    http_status=200,
    input_tokens=1000,
    cached_tokens=100,
    cache_write_tokens=10,
    output_tokens=200,
    reasoning_tokens=50,
    estimated=False,
    cost_usd=Decimal("0.0045"),
    price_source="catalogue",
    catalogue="genai-prices 0",
    latency=1.5,
    first_event=0.25,
    streamed=True,
)


def record(**changes: object) -> CallRecord:
    """A record with an id of its own."""
    id_ = f"req_{next(_numbers):032x}"
    return msgspec.structs.replace(_SAMPLE, **{"id": f"{id_}.1", "request_id": id_, **changes})


def encoded(*records: CallRecord) -> list[bytes]:
    return [encode(each) for each in records]


def recently(**changes: object) -> CallRecord:
    return record(time=time.time(), **changes)


class Row(dict[str, Any]):
    """A row of the ledger by its columns."""


def rows_of(state: Path, url: str | None = None) -> list[Row]:
    """What is in the database, in the order of time. SQLite's file in `state` without a URL."""
    statement = f"SELECT * FROM {TABLE} ORDER BY time, attempt"  # noqa: S608 - our own table's name
    if url is not None and url.startswith("postgresql"):
        with psycopg.connect(url) as postgres:
            found = postgres.execute(statement.encode())
            names = [column.name for column in found.description or ()]
            return [Row(zip(names, row, strict=True)) for row in found.fetchall()]
    path = state / "ledger.sqlite3" if url is None else Path(url.removeprefix("sqlite://"))
    if not path.exists():
        return []
    with closing(sqlite3.connect(path, timeout=10)) as sqlite:
        rows = sqlite.execute(statement)
        names = [column[0] for column in rows.description]
        return [Row(zip(names, row, strict=True)) for row in rows.fetchall()]


async def until_rows(count: int, state: Path, url: str | None = None) -> list[Row]:
    """Wait for so many; the ledger's thread looks several times a second."""
    found: list[Row] = []

    async def enough() -> bool:
        found[:] = await asyncio.to_thread(_tried, state, url)
        return len(found) >= count

    await eventually(enough)
    return found


def _tried(state: Path, url: str | None) -> list[Row]:
    try:
        return rows_of(state, url)
    except (sqlite3.OperationalError, psycopg.Error):
        return []  # not made yet

"""Records of calls that tests make up."""

from __future__ import annotations

import itertools
import time
from decimal import Decimal

import msgspec

from sluicegate.ledger import RECORD_VERSION, CallRecord
from sluicegate.ledger.record import encode

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

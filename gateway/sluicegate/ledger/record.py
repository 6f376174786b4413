"""The record of one upstream call: a row of the ledger, a line of the spool, a log record's facts.

Documented for readers in docs/cost.md. A later version only appends fields, so that the lines an
older gateway has left in its spool stay readable.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Literal, TypeAlias

import msgspec

RECORD_VERSION = 1

# Whose prices: the catalogue's, or the deployment's own (the catalogue's where those say nothing).
PriceSource: TypeAlias = Literal["catalogue", "deployment"]
INTERRUPTED = "interrupted"


class CallRecord(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One call of an upstream. As JSON it is an array in the order of the fields."""

    version: int
    id: str  # made when the call begins: <request id>.<attempt>
    time: float  # when it began, Unix seconds
    request_id: str
    namespace: str  # the caller's
    key: str | None  # name of the ApiKey; None without a key
    key_id: str | None
    end_user: str | None
    tags: Mapping[str, str]  # the key's and the request's; the key's win
    model: str  # public name
    deployment: str  # namespace/name
    provider: str
    upstream_model: str
    attempt: int  # 1 for the request's first; of its last call, how many it took
    status: str  # completed, incomplete, failed, an attempt's outcome, or interrupted
    http_status: int | None  # the upstream's; None without an answer
    input_tokens: int  # with cached and cache-write ones
    cached_tokens: int
    cache_write_tokens: int
    output_tokens: int  # with reasoning ones
    reasoning_tokens: int
    estimated: bool  # tokens and cost are not the upstream's own count
    cost_usd: Decimal | None  # None: no price is known
    price_source: PriceSource
    catalogue: str  # name and version
    latency: float | None  # seconds from the call's begin to its end
    first_event: float | None  # seconds until there was output, of a stream
    streamed: bool


encode = msgspec.json.Encoder().encode
decode = msgspec.json.Decoder(CallRecord).decode
_decode_any = msgspec.json.Decoder(CallRecord | str).decode


def record_id(json: bytes) -> str | None:
    """The id of an encoded record, or the encoded id itself; None for anything else."""
    try:
        found = _decode_any(json)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    return found if isinstance(found, str) else found.id

"""The log record of one upstream call, documented in docs/logging.md.

The facts are those of the ledger's row, under the same names. A later version only adds members.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal

import msgspec
from msgspec import UNSET, UnsetType

from sluicegate.sinks.content import MOST, Content, Masking, content_of
from sluicegate.sinks.entries import CallEntry, RequestEntry

VERSION = 1
_OVERHEAD = 1024  # bytes that a record takes without content, about
_LONGEST = 256  # characters of what an upstream says of itself


class LogRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One call of an upstream. `content` is there only where it is enabled."""

    version: int
    time: str  # when it began, RFC 3339 in UTC
    id: str  # <request id>.<attempt>
    request_id: str
    trace_id: str
    span_id: str
    parent_span_id: str  # the request's own span
    sampled: bool
    namespace: str
    key: str | None
    key_id: str | None
    end_user: str | None
    tags: Mapping[str, str]
    model: str
    deployment: str
    provider: str
    upstream_model: str
    response_model: str | None
    response_id: str | None
    attempt: int
    status: str
    http_status: int | None
    incomplete_reason: str | None
    input_tokens: int
    cached_tokens: int
    cache_write_tokens: int
    output_tokens: int
    reasoning_tokens: int
    estimated: bool
    cost_usd: Decimal | None
    price_source: str
    catalogue: str
    latency: float | None
    first_event: float | None
    streamed: bool
    max_output_tokens: int | None
    temperature: float | None
    top_p: float | None
    content: Content | UnsetType = UNSET

    @property
    def unix_time(self) -> float:
        """When it began, Unix seconds."""
        return datetime.fromisoformat(self.time).timestamp()

    @property
    def failed(self) -> bool:
        """Whether the call has ended with neither a complete answer nor a part of one."""
        return self.status not in ("completed", "incomplete")


encode = msgspec.json.Encoder(decimal_format="number").encode


def size(entry: CallEntry) -> int:
    """Bytes that the record of an entry takes, about."""
    return _OVERHEAD + len(entry.body) + len(entry.answer)


def kept_size(entry: CallEntry | RequestEntry) -> int:
    """The same once its content has been cut."""
    return min(size(entry), _OVERHEAD + 4 * MOST) if isinstance(entry, CallEntry) else _OVERHEAD


def log_record(entry: CallEntry, masking: Masking) -> LogRecord:
    """The record of an entry; its content is masked."""
    row, trace = entry.record, entry.trace
    return LogRecord(
        version=VERSION,
        time=datetime.fromtimestamp(row.time, UTC).isoformat(timespec="microseconds"),
        id=row.id,
        request_id=row.request_id,
        trace_id=trace.trace_id,
        span_id=entry.span_id,
        parent_span_id=trace.span_id,
        sampled=trace.sampled,
        namespace=row.namespace,
        key=row.key,
        key_id=row.key_id,
        end_user=row.end_user,
        tags=row.tags,
        model=row.model,
        deployment=row.deployment,
        provider=row.provider,
        upstream_model=row.upstream_model,
        response_model=_bounded(entry.response_model),
        response_id=_bounded(entry.response_id),
        attempt=row.attempt,
        status=row.status,
        http_status=row.http_status,
        incomplete_reason=_bounded(entry.incomplete_reason),
        input_tokens=row.input_tokens,
        cached_tokens=row.cached_tokens,
        cache_write_tokens=row.cache_write_tokens,
        output_tokens=row.output_tokens,
        reasoning_tokens=row.reasoning_tokens,
        estimated=row.estimated,
        cost_usd=row.cost_usd,
        price_source=row.price_source,
        catalogue=row.catalogue,
        latency=row.latency,
        first_event=row.first_event,
        streamed=row.streamed,
        max_output_tokens=entry.max_output_tokens,
        temperature=entry.temperature,
        top_p=entry.top_p,
        content=content_of(entry.body, entry.answer, masking, streamed=row.streamed),
    )


def _bounded(said: str | None) -> str | None:
    return said and said[:_LONGEST]

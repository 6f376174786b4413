"""OTLP over HTTP, in protobuf: records as log records, or calls and requests as spans.

Loaded only where such a sink is configured: it needs the extra `otel`. The messages are made of
opentelemetry-proto's own classes; the SDK's exporters would bring a second queue, a second retry
and blocking I/O (docs/decisions/0009).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from google.protobuf.internal.containers import RepeatedCompositeFieldContainer
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsServiceRequest,
    ExportLogsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import (
    AnyValue,
    InstrumentationScope,
    KeyValue,
)
from opentelemetry.proto.logs.v1.logs_pb2 import (
    SEVERITY_NUMBER_ERROR,
    SEVERITY_NUMBER_INFO,
    ResourceLogs,
    ScopeLogs,
)
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord as OtlpLogRecord
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1 import trace_pb2

from sluicegate.sinks.attributes import (
    Value,
    call_attributes,
    request_attributes,
    request_failed,
)
from sluicegate.sinks.entries import RequestEntry
from sluicegate.sinks.http import HttpEndpoint
from sluicegate.sinks.record import LogRecord, encode
from sluicegate.sinks.sink import Item, SinkRefused
from sluicegate.telemetry.genai import OPERATION

_PROTOBUF = "application/x-protobuf"
_SCOPE = InstrumentationScope(name="sluicegate")
_EVENT = "gen_ai.client.inference.operation.details"
_NANO = 1_000_000_000


class OtlpLogsSink:
    """Each record is a log record; its body is the JSON, its attributes are as of a span."""

    name = "otlp"
    of_traces = False

    def __init__(self, url: str, headers: Mapping[str, str], resource: Mapping[str, str]) -> None:
        self._endpoint = HttpEndpoint(url, headers, _PROTOBUF, gzip=True)
        self._resource = Resource()
        _add(self._resource.attributes, resource)

    async def send(self, batch: Sequence[Item]) -> None:
        """Send a batch. Raises SinkUnavailable, SinkRefused."""
        records = [_log(each) for each in batch if isinstance(each, LogRecord)]
        scoped = ScopeLogs(scope=_SCOPE, log_records=records)
        whole = ResourceLogs(resource=self._resource, scope_logs=[scoped])
        request = ExportLogsServiceRequest(resource_logs=[whole])
        told = await self._endpoint.post(request.SerializeToString())
        answer = ExportLogsServiceResponse()
        if _parsed(answer, told) and answer.partial_success.rejected_log_records:
            raise SinkRefused("it has refused a part", answer.partial_success.rejected_log_records)

    async def close(self) -> None:
        """End its connections."""
        await self._endpoint.close()


class OtlpTracesSink:
    """Each request is a span of kind SERVER, each upstream call one of kind CLIENT below it."""

    name = "otlp-traces"
    of_traces = True

    def __init__(self, url: str, headers: Mapping[str, str], resource: Mapping[str, str]) -> None:
        self._endpoint = HttpEndpoint(url, headers, _PROTOBUF, gzip=True)
        self._resource = Resource()
        _add(self._resource.attributes, resource)

    async def send(self, batch: Sequence[Item]) -> None:
        """Send a batch. Raises SinkUnavailable, SinkRefused."""
        spans = [
            _call_span(each) if isinstance(each, LogRecord) else _request_span(each)
            for each in batch
        ]
        scoped = trace_pb2.ScopeSpans(scope=_SCOPE, spans=spans)
        whole = trace_pb2.ResourceSpans(resource=self._resource, scope_spans=[scoped])
        request = ExportTraceServiceRequest(resource_spans=[whole])
        told = await self._endpoint.post(request.SerializeToString())
        answer = ExportTraceServiceResponse()
        if _parsed(answer, told) and answer.partial_success.rejected_spans:
            raise SinkRefused("it has refused a part", answer.partial_success.rejected_spans)

    async def close(self) -> None:
        """End its connections."""
        await self._endpoint.close()


def _parsed(answer: ExportLogsServiceResponse | ExportTraceServiceResponse, told: bytes) -> bool:
    """Whether the answer is one: some servers answer 200 with JSON, or with nothing."""
    try:
        answer.ParseFromString(told)
    except DecodeError:
        return False
    return True


def _log(record: LogRecord) -> OtlpLogRecord:
    began = record.unix_time
    log = OtlpLogRecord(
        time_unix_nano=_nano(began),
        observed_time_unix_nano=_nano(began + (record.latency or 0.0)),
        severity_number=(SEVERITY_NUMBER_ERROR if record.failed else SEVERITY_NUMBER_INFO),
        severity_text="ERROR" if record.failed else "INFO",
        event_name=_EVENT,
        body=AnyValue(string_value=encode(record).decode()),
        trace_id=bytes.fromhex(record.trace_id),
        span_id=bytes.fromhex(record.span_id),
        flags=int(record.sampled),
    )
    _add(log.attributes, call_attributes(record))
    return log


def _call_span(record: LogRecord) -> trace_pb2.Span:
    began = record.unix_time
    span = trace_pb2.Span(
        trace_id=bytes.fromhex(record.trace_id),
        span_id=bytes.fromhex(record.span_id),
        parent_span_id=bytes.fromhex(record.parent_span_id),
        name=f"{OPERATION} {record.upstream_model}",
        kind=trace_pb2.Span.SPAN_KIND_CLIENT,
        start_time_unix_nano=_nano(began),
        end_time_unix_nano=_nano(began + (record.latency or 0.0)),
        status=_status(failed=record.failed, text=record.status),
    )
    _add(span.attributes, call_attributes(record))
    if record.first_event is not None:
        event = span.events.add(time_unix_nano=_nano(began + record.first_event))
        event.name = "sluicegate.first_output"
    return span


def _request_span(entry: RequestEntry) -> trace_pb2.Span:
    trace = entry.trace
    span = trace_pb2.Span(
        trace_id=bytes.fromhex(trace.trace_id),
        span_id=bytes.fromhex(trace.span_id),
        parent_span_id=bytes.fromhex(trace.parent_id or ""),
        trace_state=trace.state,
        name="POST /v1/responses",
        kind=trace_pb2.Span.SPAN_KIND_SERVER,
        start_time_unix_nano=_nano(entry.time),
        end_time_unix_nano=_nano(entry.time + entry.seconds),
        status=_status(failed=request_failed(entry), text=entry.status),
    )
    _add(span.attributes, request_attributes(entry))
    for attempt in entry.attempts:
        event = span.events.add(time_unix_nano=_nano(attempt.time), name="sluicegate.attempt")
        said: dict[str, Value] = {
            "sluicegate.deployment": attempt.deployment,
            "sluicegate.outcome": attempt.outcome,
        }
        if attempt.status is not None:
            said["http.response.status_code"] = attempt.status
        _add(event.attributes, said)
    return span


def _status(*, failed: bool, text: str) -> trace_pb2.Status:
    if not failed:
        return trace_pb2.Status()
    return trace_pb2.Status(code=trace_pb2.Status.STATUS_CODE_ERROR, message=text)


def _nano(seconds: float) -> int:
    return int(seconds * _NANO)


def _add(
    attributes: RepeatedCompositeFieldContainer[KeyValue], values: Mapping[str, Value]
) -> None:
    """Filled in place: values that are made apart and copied take twice as long (measured)."""
    for name, value in values.items():
        added = attributes.add()
        added.key = name
        _set(added.value, value)


def _set(into: AnyValue, value: Value) -> None:
    match value:
        case str():
            into.string_value = value
        case bool():
            into.bool_value = value
        case int():
            into.int_value = value
        case float():
            into.double_value = value
        case _:
            for each in value:
                into.array_value.values.add().string_value = each

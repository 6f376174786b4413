"""What each tool of docs/logging.md is sent, as a server sees it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import pytest
from google.protobuf.json_format import MessageToDict
from scripts.log_tools import PAGE, TOOLS, Tool, page

from log_records import entry, log_records
from record_receiver import Receiver, plain
from sluicegate.sinks import AttemptEvent, RequestEntry
from sluicegate.sinks.sink import SinkRefused
from sluicegate.sinks.urls import make_sink, parse_headers


def of_tool(tool: Tool, receiver: Receiver) -> tuple[str, dict[str, str]]:
    """Its URL and environment, with our server in the place of the tool's."""
    url = re.sub(r"<[^>]*>", "filled", tool.sink)
    kind = url.partition("+")[0]
    parts = urlsplit(url)
    signal = "traces" if kind == "otlp-traces" else "logs"
    assert parts.path.endswith(f"/v1/{signal}")
    environ: dict[str, str] = {}
    if parts.fragment:
        environ[parts.fragment.removeprefix("headers=")] = tool.headers
    assert bool(environ) == bool(tool.headers)
    fragment = f"#{parts.fragment}" if parts.fragment else ""
    return f"{kind}+{receiver.url}/v1/{signal}{fragment}", environ


@pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.name)
async def test_a_tool_gets_what_it_reads(tool: Tool, receiver: Receiver) -> None:
    url, environ = of_tool(tool, receiver)
    sink = make_sink(url, environ)
    await sink.send(log_records(1, content=True, end_user="jane"))
    await sink.send(log_records(1, end_user="jane"))
    await sink.close()
    sent = [plain(list(each.attributes)) for each in (*receiver.spans, *receiver.logs)]
    assert len(sent) == 2
    assert {*tool.reads, *tool.content} <= set(sent[0])
    assert set(tool.reads) <= set(sent[1])
    assert not set(tool.content) & set(sent[1])
    headers = receiver.headers[0]
    assert parse_headers(tool.headers).items() <= headers.items()
    assert headers["content-type"] == "application/x-protobuf"


def test_the_table_is_current() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert page(text) == text


USAGE: Mapping[str, Any] = {
    "gen_ai.usage.input_tokens": 1000,
    "gen_ai.usage.output_tokens": 200,
    "gen_ai.usage.cache_read.input_tokens": 100,
    "gen_ai.usage.cache_creation.input_tokens": 10,
    "gen_ai.usage.reasoning.output_tokens": 50,
    "gen_ai.usage.cost": 0.0045,
    "llm.token_count.prompt": 1000,
    "llm.token_count.completion": 200,
    "llm.token_count.total": 1200,
    "llm.token_count.prompt_details.cache_read": 100,
    "llm.token_count.completion_details.reasoning": 50,
    "llm.cost.total": 0.0045,
    "sluicegate.cost_usd": "0.0045",
}


async def test_the_golden_span(receiver: Receiver) -> None:
    sink = make_sink(f"otlp-traces+{receiver.url}/v1/traces", {"OTEL_SERVICE_NAME": "gate"})
    [record] = log_records(1, content=True, end_user="jane", tags={"team": "search"})
    await sink.send([record])
    await sink.close()
    [span] = receiver.spans
    assert receiver.resources == [{"service.name": "gate"}]
    shown = MessageToDict(span)
    del shown["attributes"]
    assert shown == {
        "traceId": "CvdlGRbNQ92ESOshHIAxnA==",
        "spanId": "APBnqgupArc=",
        "parentSpanId": "t61rcWkgMzE=",
        "name": "chat gpt-4o",
        "kind": "SPAN_KIND_CLIENT",
        "startTimeUnixNano": "1795262400000000000",
        "endTimeUnixNano": "1795262401500000000",
        "status": {},
    }
    said = plain(list(span.attributes))
    messages = {name: json.loads(said.pop(name)) for name in list(said) if "messages" in name}
    assert messages == {
        "gen_ai.input.messages": [
            {"role": "user", "parts": [{"type": "text", "content": "What is it?"}]}
        ],
        "gen_ai.output.messages": [
            {
                "role": "assistant",
                "parts": [{"type": "text", "content": "It is."}],
                "finish_reason": "stop",
            }
        ],
    }
    instructions = json.loads(said.pop("gen_ai.system_instructions"))
    assert instructions == [{"type": "text", "content": "Be brief."}]
    assert json.loads(said.pop("input.value")) == "What is it?"
    assert json.loads(said.pop("output.value"))[0]["role"] == "assistant"
    assert said == {
        **USAGE,
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.system": "openai",
        "gen_ai.request.model": "gpt-4o",
        "gen_ai.request.max_tokens": 256,
        "gen_ai.request.temperature": 0.5,
        "gen_ai.request.stream": False,
        "gen_ai.response.id": "resp_1",
        "gen_ai.response.model": "gpt-4o-2024-11-20",
        "gen_ai.response.finish_reasons": ["stop"],
        "http.response.status_code": 200,
        "user.id": "jane",
        "openinference.span.kind": "LLM",
        "langsmith.span.kind": "llm",
        "llm.model_name": "gpt-4o-2024-11-20",
        "llm.provider": "openai",
        "input.mime_type": "application/json",
        "output.mime_type": "application/json",
        "sluicegate.record.id": record.id,
        "sluicegate.request.id": record.request_id,
        "sluicegate.namespace": "team-a",
        "sluicegate.key": "laptop",
        "sluicegate.key.id": "abcd1234",
        "sluicegate.model": "gpt",
        "sluicegate.deployment": "team-a/gpt",
        "sluicegate.attempt": 1,
        "sluicegate.status": "completed",
        "sluicegate.estimated": False,
        "sluicegate.catalogue": "genai-prices 0",
        "sluicegate.tag.team": "search",
    }


async def test_a_request_is_a_span_with_its_attempts(receiver: Receiver) -> None:
    sink = make_sink(f"otlp-traces+{receiver.url}/v1/traces", {})
    attempts = (
        AttemptEvent(1.0, "team-a/one", "rate_limited", 429),
        AttemptEvent(2.0, "team-a/two", "timeout", None),
    )
    trace = entry().trace
    course = "team-a/one=rate_limited,team-a/two=timeout"
    request = RequestEntry(
        trace, 0.5, 2.0, "req_1", "team-a", "laptop", None, "gpt", "504", course, attempts
    )
    await sink.send([request])
    await sink.close()
    [span] = receiver.spans
    assert span.name == "POST /v1/responses"
    assert span.status.code == span.status.STATUS_CODE_ERROR
    assert [event.time_unix_nano for event in span.events] == [1_000_000_000, 2_000_000_000]
    said = plain(list(span.attributes))
    assert said["sluicegate.attempts"] == course
    assert said["error.type"] == "504"
    events = [plain(list(event.attributes)) for event in span.events]
    assert events[0]["http.response.status_code"] == 429
    assert "http.response.status_code" not in events[1]


async def test_a_failed_call_has_its_error_and_no_usage(receiver: Receiver) -> None:
    sink = make_sink(f"otlp+{receiver.url}/v1/logs", {})
    [failed] = log_records(1, status="timeout", http_status=None, input_tokens=0, output_tokens=0)
    await sink.send([failed])
    await sink.close()
    [log] = receiver.logs
    said = plain(list(log.attributes))
    assert said["error.type"] == "timeout"
    assert "gen_ai.usage.input_tokens" not in said
    assert log.severity_text == "ERROR"
    assert json.loads(log.body.string_value)["status"] == "timeout"


async def test_what_a_server_rejects_of_a_batch_is_counted(receiver: Receiver) -> None:
    receiver.rejects = 2
    sink = make_sink(f"otlp-traces+{receiver.url}/v1/traces", {})
    with pytest.raises(SinkRefused) as refused:
        await sink.send(log_records(3))
    await sink.close()
    assert refused.value.count == 2


async def test_large_batches_are_compressed(receiver: Receiver) -> None:
    sink = make_sink(f"otlp+{receiver.url}/v1/logs", {})
    await sink.send(log_records(50))
    await sink.close()
    assert receiver.headers[0]["content-encoding"] == "gzip"
    assert len(receiver.logs) == 50

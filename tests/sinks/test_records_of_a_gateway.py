"""Records and traces of a real gateway, taken by real servers."""

from __future__ import annotations

import asyncio
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from eventually import eventually
from gateway_rig import Rig
from ledger_records import until_rows
from record_receiver import Receiver, plain
from responses_wire import answer_body, frames, text_stream
from running_gateway import AUTHORIZED, RunningGateway, key_entry, openai_entry
from scripted_upstream import Call
from sluicegate.config import Limits, Pricing
from sluicegate.ledger import LedgerSettings
from sluicegate.server.process import ServerSettings
from sluicegate.sinks import SinkSettings
from sluicegate.sinks.outlet import Pace

ASKED = (
    b'{"model": "gpt-test", "input": "Tell me of sk-proj-abcdefghijklmnop1234", "stream": false}'
)
STREAMED = ASKED.replace(b"false", b"true")
QUICK = Pace(interval=0.05, first_pause=0.05, longest_pause=0.1, patience=0.2, timeout=0.3)
TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"


def settings(
    *urls: str, content: bool = False, state: Path | None = None, pace: Pace = QUICK
) -> ServerSettings:
    return ServerSettings(
        port=0,
        admin_port=0,
        drain_seconds=0.0,
        ledger=None if state is None else LedgerSettings(state),
        sinks=SinkSettings(urls, content=content, pace=pace, last_words=0.3),
    )


async def answering(call: Call) -> None:
    if not call.streamed:
        call.answer(answer_body("Yes."))
        return
    call.begin()
    for frame in frames(text_stream(["Yes."])):
        call.chunk(frame)
    call.end()


async def serving(rig: Rig, server: ServerSettings) -> tuple[RunningGateway, list[Call]]:
    upstream = await rig.upstream(answering)
    entry = openai_entry(upstream.base_url)
    priced = msgspec.structs.replace(entry, pricing=Pricing(input="1000", output="2000"))
    return await rig.gateway(key_entry(), priced, settings=server), upstream.calls


async def until(count: int, found: list[Any]) -> None:
    async def enough() -> bool:
        return len(found) >= count

    await eventually(enough, 10)


@pytest.mark.parametrize("asked", [ASKED, STREAMED])
async def test_header_ledger_metrics_and_record_agree(
    rig: Rig, receiver: Receiver, tmp_path: Path, asked: bytes
) -> None:
    gateway, _ = await serving(rig, settings(f"webhook+{receiver.url}/hook", state=tmp_path))
    answer = await gateway.post(asked)
    assert answer.status == 200
    await until(1, receiver.records)
    [row] = await until_rows(1, tmp_path)
    [record] = receiver.records
    assert record["version"] == 1
    for name in ("id", "request_id", "model", "deployment", "input_tokens", "output_tokens"):
        assert record[name] == row[name]
    assert record["request_id"] == answer.headers["x-request-id"]
    cost = Decimal(str(record["cost_usd"]))
    assert cost == Decimal(row["cost_usd"]) > 0
    assert (await gateway.metric("sluicegate_spend_usd_total")) == float(cost)
    if asked is ASKED:
        assert Decimal(answer.headers["x-sluicegate-cost-usd"]) == cost
    for kind in ("input", "output"):
        counted = await gateway.metric("gen_ai_client_token_usage_sum", gen_ai_token_type=kind)
        assert counted == record[f"{kind}_tokens"]
    requests = "gen_ai_server_request_duration_seconds_count"
    assert await gateway.metric(requests, gen_ai_request_model="gpt-test") == 1
    streams = await gateway.metric("gen_ai_server_time_to_first_token_seconds_count")
    assert streams == (asked is STREAMED)
    assert await gateway.metric("sluicegate_log_records_total", sink="webhook", end="sent") == 1


@pytest.mark.parametrize("asked", [ASKED, STREAMED])
async def test_content_is_there_only_where_it_is_wanted_and_secrets_are_masked(
    rig: Rig, receiver: Receiver, asked: bytes
) -> None:
    gateway, _ = await serving(rig, settings(f"webhook+{receiver.url}/hook", content=True))
    await gateway.post(asked)
    await gateway.post(asked, {**AUTHORIZED, "x-sluicegate-log-content": "false"})
    await gateway.post(asked, {**AUTHORIZED, "x-sluicegate-tags": "log-content=false"})
    await until(3, receiver.records)
    first, *others = receiver.records
    assert first["content"]["input"] == "Tell me of [masked]"
    assert "Yes." in json.dumps(first["content"]["output"])
    assert all("content" not in other for other in others)


async def test_without_the_setting_there_is_no_content(rig: Rig, receiver: Receiver) -> None:
    gateway, _ = await serving(rig, settings(f"webhook+{receiver.url}/hook"))
    await gateway.post(ASKED)
    await until(1, receiver.records)
    assert "Tell me" not in json.dumps(receiver.records)


async def test_a_trace_goes_through_the_gateway(rig: Rig, receiver: Receiver) -> None:
    url = f"otlp-traces+{receiver.url}/v1/traces"
    gateway, calls = await serving(rig, settings(url))
    traced = {"traceparent": f"00-{TRACE}-{PARENT}-01", "tracestate": "rojo=00f067aa0ba902b7"}
    await gateway.post(STREAMED, {**AUTHORIZED, **traced})
    await until(2, receiver.spans)
    client, server = sorted(receiver.spans, key=lambda span: span.kind, reverse=True)
    assert {span.trace_id.hex() for span in receiver.spans} == {TRACE}
    assert server.parent_span_id.hex() == PARENT
    assert client.parent_span_id == server.span_id
    assert client.name == "chat gpt-real"
    said = plain(list(client.attributes))
    assert said["gen_ai.operation.name"] == "chat"
    assert said["gen_ai.provider.name"] == "openai"
    assert [event.name for event in server.events] == ["sluicegate.attempt"]
    assert server.start_time_unix_nano <= client.start_time_unix_nano <= client.end_time_unix_nano
    [call] = calls
    assert call.header("traceparent") == f"00-{TRACE}-{client.span_id.hex()}-01"
    assert call.header("tracestate") == "rojo=00f067aa0ba902b7"


async def test_a_request_that_a_limit_refuses_is_a_span_without_attempts(
    rig: Rig, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    server = settings(f"otlp-traces+{receiver.url}/v1/traces")
    free = Limits(requests_per_minute=1, max_parallel_requests=1)
    limited = msgspec.structs.replace(key_entry(), limits=free)
    upstream = await rig.upstream(answering)
    gateway = await rig.gateway(limited, openai_entry(upstream.base_url), settings=server)
    assert [(await gateway.post(ASKED)).status for _ in range(2)] == [200, 429]
    await until(3, receiver.spans)
    requests = [span for span in receiver.spans if span.kind == span.SPAN_KIND_SERVER]
    [refused] = [span for span in requests if not span.events]
    said = plain(list(refused.attributes))
    assert said["http.response.status_code"] == 429
    assert "sluicegate.attempts" not in said
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


async def test_what_is_not_sampled_is_not_exported_but_logged(rig: Rig, receiver: Receiver) -> None:
    urls = (f"otlp-traces+{receiver.url}/v1/traces", f"otlp+{receiver.url}/v1/logs")
    gateway, calls = await serving(rig, settings(*urls))
    await gateway.post(ASKED, {**AUTHORIZED, "traceparent": f"00-{TRACE}-{PARENT}-00"})
    await until(1, receiver.logs)
    assert receiver.logs[0].trace_id.hex() == TRACE
    assert (calls[0].header("traceparent") or "").endswith("-00")
    assert json.loads(receiver.logs[0].body.string_value)["trace_id"] == TRACE
    assert not receiver.spans


async def test_without_a_sink_no_trace_goes_out(rig: Rig) -> None:
    upstream = await rig.upstream(answering)
    gateway = await rig.gateway(key_entry(), openai_entry(upstream.base_url))
    await gateway.post(ASKED, {**AUTHORIZED, "traceparent": f"00-{TRACE}-{PARENT}-01"})
    assert upstream.calls[0].header("traceparent") is None


@pytest.mark.parametrize("trouble", ["hangs", "answers 500", "refuses"])
async def test_a_sink_in_trouble_is_seen_and_slows_nobody(
    rig: Rig, receiver: Receiver, trouble: str
) -> None:
    receiver.hang, receiver.always = trouble == "hangs", 500
    port = 1 if trouble == "refuses" else receiver.port
    tight = Pace(
        interval=0.02,
        batch=2,
        queue=4,
        timeout=0.1,
        first_pause=0.05,
        longest_pause=0.05,
        patience=0,
    )
    server = settings(f"webhook+http://127.0.0.1:{port}/hook", pace=tight)
    gateway, _ = await serving(rig, server)

    async def some() -> bool:
        answers = await asyncio.gather(*(gateway.post(ASKED) for _ in range(5)))
        assert {answer.status for answer in answers} == {200}
        failures = await gateway.metric("sluicegate_log_failures_total", sink="webhook")
        dropped = await gateway.metric("sluicegate_log_records_total", end="dropped")
        return failures > 1 and dropped > 4

    await eventually(some, 20)
    assert await gateway.metric("sluicegate_log_records_total", end="sent") == 0


async def test_what_fails_for_a_while_comes_through_once(rig: Rig, receiver: Receiver) -> None:
    receiver.statuses = [503, 429]
    patient = Pace(interval=0.05, first_pause=0.02, longest_pause=0.05)
    gateway, _ = await serving(rig, settings(f"webhook+{receiver.url}/hook", pace=patient))
    await gateway.post(ASKED)
    await until(1, receiver.records)
    assert len(receiver.headers) == 3
    assert len(receiver.records) == 1


async def test_records_are_sent_before_the_end(rig: Rig, receiver: Receiver) -> None:
    slow = Pace(interval=60.0)
    gateway, _ = await serving(rig, settings(f"webhook+{receiver.url}/hook", pace=slow))
    await gateway.post(ASKED)
    gateway.stop.ask()
    await gateway.ended
    assert len(receiver.records) == 1


async def test_two_sinks_of_a_kind_have_names_of_their_own(rig: Rig, tmp_path: Path) -> None:
    paths = [tmp_path / "one.jsonl", tmp_path / "two.jsonl"]
    gateway, _ = await serving(rig, settings(*(f"file://{path}" for path in paths)))
    await gateway.post(ASKED)

    async def both() -> bool:
        names = ("file", "file-2")
        sent = [
            await gateway.metric("sluicegate_log_records_total", sink=name, end="sent")
            for name in names
        ]
        return sent == [1, 1]

    await eventually(both)
    one, two = (path.read_bytes() for path in paths)
    assert one == two
    assert json.loads(one)["model"] == "gpt-test"

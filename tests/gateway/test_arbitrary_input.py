"""Whatever is thrown at the gateway: never a 5xx of its own, never a hang, always the envelope."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway_rig import Rig
from raw_client import Answer, request
from responses_wire import answer_body, frames, text_stream
from running_gateway import (
    AUTHORIZED,
    CLIENT_KEY,
    RunningGateway,
    echo_entry,
    key_entry,
    openai_entry,
)
from scripted_upstream import Call, streams

PATIENCE = 5.0  # seconds; far more than any of these may take
SETTINGS = settings(
    max_examples=150,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

Values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()  # NaN and the infinities too, which Python writes and JSON does not have
    | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4)
    ),
    max_leaves=10,
)
NAMES = st.sampled_from(
    [
        "model",
        "input",
        "stream",
        "tools",
        "tool_choice",
        "text",
        "reasoning",
        "metadata",
        "store",
        "instructions",
        "max_output_tokens",
        "temperature",
        "include",
        "user",
        "parallel_tool_calls",
        "previous_response_id",
        "conversation",
        "truncation",
        "top_p",
        "stream_options",
        "prompt",
    ]
)
ITEMS = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from(["message", "function_call", "reasoning", "item_reference", "x"])
        | Values,
        "role": st.sampled_from(["user", "assistant", "system"]) | Values,
        "content": st.lists(
            st.fixed_dictionaries({"type": st.sampled_from(["input_text", "output_text", "text"])})
            | Values,
            max_size=2,
        )
        | Values,
        "call_id": Values,
        "arguments": Values,
        "output": Values,
    },
)
BODIES = st.fixed_dictionaries(
    {"model": st.sampled_from(["gpt-test", "echo"])},
    optional={"input": st.lists(ITEMS, max_size=3) | Values, "stream": st.booleans()},
).flatmap(
    lambda base: st.dictionaries(NAMES | st.text(max_size=10), Values, max_size=5).map(
        lambda more: {**more, **base}
    )
)


async def upstream_script(call: Call) -> None:
    try:
        streamed = call.json().get("stream") is True
    except ValueError:
        streamed = False
    if streamed:
        await streams(*frames(text_stream()))(call)
    else:
        call.answer(answer_body())


@pytest.fixture
async def gateway(rig: Rig) -> RunningGateway:
    upstream = await rig.upstream(upstream_script)
    return await rig.gateway(key_entry(), openai_entry(upstream.base_url), echo_entry())


async def judged(gateway: RunningGateway, data: bytes) -> Answer:
    answer = await asyncio.wait_for(gateway.ask(data), PATIENCE)
    assert answer.status < 500, answer.body
    if answer.status >= 400:
        assert answer.error
    return answer


@SETTINGS
@given(body=st.binary(max_size=300))
async def test_arbitrary_bytes_as_a_body(gateway: RunningGateway, body: bytes) -> None:
    await judged(gateway, request(body, AUTHORIZED))


@SETTINGS
@given(body=Values)
async def test_arbitrary_json_as_a_body(gateway: RunningGateway, body: object) -> None:
    await judged(gateway, request(json.dumps(body).encode(), AUTHORIZED))


@SETTINGS
@given(body=BODIES, ascii_only=st.booleans())
async def test_bodies_that_are_nearly_right(
    gateway: RunningGateway, body: Mapping[str, Any], ascii_only: bool
) -> None:
    text = json.dumps(body, ensure_ascii=ascii_only)
    answer = await judged(gateway, request(text.encode("utf-8", "surrogatepass"), AUTHORIZED))
    assert answer.status in (200, 400)


@SETTINGS
@given(
    cut=st.integers(0, 200),
    at=st.integers(0, 200),
    junk=st.binary(max_size=4),
)
async def test_good_bodies_with_a_wound(
    gateway: RunningGateway, cut: int, at: int, junk: bytes
) -> None:
    good = (
        b'{"model":"echo","input":[{"role":"user","content":"h\\u00e9 \xc3\xa9"}],"stream":false}'
    )
    wounded = good[:at] + junk + good[at + cut % 5 :]
    answer = await judged(gateway, request(wounded, AUTHORIZED))
    assert answer.status in (200, 400)


@SETTINGS
@given(data=st.binary(min_size=1, max_size=300))
async def test_arbitrary_bytes_on_the_wire(gateway: RunningGateway, data: bytes) -> None:
    """After a blank line at the latest the gateway has all it can wait for, or closes with us."""
    async with await gateway.connect() as client:
        client.send(data + b"\r\n\r\n\r\n")
        client.writer.write_eof()
        told = await asyncio.wait_for(client.closed(), PATIENCE)
    assert told == b"" or told.startswith((b"HTTP/1.1 4", b"HTTP/1.1 200 "))


@SETTINGS
@given(
    names=st.lists(
        st.sampled_from(
            [
                "Authorization",
                "Content-Type",
                "Content-Length",
                "Transfer-Encoding",
                "Connection",
                "Expect",
                "Upgrade",
                "Host",
                "Content-Encoding",
                "x-sluicegate-timeout",
                "api-key",
            ]
        ),
        max_size=4,
    ),
    values=st.lists(
        st.sampled_from(["", "0", "5", "chunked", "close", "keep-alive", "100-continue", "gzip"])
        | st.sampled_from(["application/json", f"Bearer {CLIENT_KEY}", "websocket", "identity"])
        | st.text(st.characters(min_codepoint=32, max_codepoint=255), max_size=10),
        min_size=4,
        max_size=4,
    ),
    method=st.sampled_from(["GET", "POST", "HEAD", "PUT", "OPTIONS", "CONNECT", "PRI"]),
    path=st.sampled_from(["/v1/responses", "/v1/models", "/v1/models/a", "/healthz", "*", "http:"])
    | st.text(st.characters(min_codepoint=33, max_codepoint=255), min_size=1, max_size=10),
)
async def test_arbitrary_heads(
    gateway: RunningGateway, names: list[str], values: list[str], method: str, path: str
) -> None:
    fields = [f"{name}: {value}" for name, value in zip(names, values, strict=False)]
    head = "\r\n".join([f"{method} {path} HTTP/1.1", "Host: x", *fields]).encode("latin-1")
    async with await gateway.connect() as client:
        client.send(head + b"\r\n\r\n" + b'{"model":"echo","input":"x"}')
        await asyncio.sleep(0)
        client.send(b"\r\n\r\n")
        status, _ = await asyncio.wait_for(_head_or_end(client.reader), PATIENCE)
    assert status < 500


async def _head_or_end(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """The status of the first answer; 0 where the request still waits for more of its body."""
    try:
        async with asyncio.timeout(0.3):
            line = await reader.readline()
    except TimeoutError:
        return 0, b""
    return (int(line.split()[1]) if line else 0), line

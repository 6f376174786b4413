"""A client of the OpenAI SDK, a gateway, and an upstream of each dialect: the same for all."""

import json
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import AsyncExitStack
from typing import Any, NamedTuple

import pytest
from openai import APIError, AsyncOpenAI, BadRequestError
from pydantic import BaseModel

import anthropic_wire
import aws_wire
import chat_wire
import gemini_wire
from gateway_rig import Rig
from running_gateway import key_entry
from scripted_upstream import Script, answers, breaks_after, hangs, streams
from sluicegate.config import (
    AnthropicUpstream,
    BedrockUpstream,
    GeminiUpstream,
    OpenAIUpstream,
    Upstream,
)
from translating_gateway import SECRET, client, deployment, serving

JSON = '{"city":"Rome","degrees":30}'


class Dialect(NamedTuple):
    """What an upstream is asked and says. `begun` is a stream that goes on after `He`."""

    upstream: Upstream
    key: tuple[str, str]  # the header that holds the credential
    target: str  # of a streamed call, below the base URL
    scripts: Mapping[str, tuple[Mapping[str, Any], bytes]]  # that end well
    whole: Mapping[str, object]  # an answer whose text is JSON
    begun: bytes
    end: bytes
    error: bytes  # inside a stream
    refused: Mapping[str, Any]  # a parameter that it can't be asked
    form: str  # what asks for JSON
    busy: int = 503


def well(
    scripts: Mapping[str, tuple[Mapping[str, Any], bytes]], badly: Collection[str]
) -> Mapping[str, tuple[Mapping[str, Any], bytes]]:
    return {name: script for name, script in scripts.items() if name not in badly}


def anthropic() -> Dialect:
    overloaded = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    return Dialect(
        AnthropicUpstream(anthropic_wire.SONNET),
        ("x-api-key", SECRET),
        "/v1/messages",
        well(anthropic_wire.SCRIPTS, {"failed", "cut in a call"}),
        {
            "type": "message",
            "content": [{"type": "text", "text": JSON}],
            "stop_reason": "end_turn",
        },
        anthropic_wire.start() + anthropic_wire.text_block(0, "He", stop=False),
        anthropic_wire.frame({"type": "content_block_stop", "index": 0}) + anthropic_wire.end(),
        anthropic_wire.frame(overloaded),
        {"top_logprobs": 3},
        "json_schema",
        529,
    )


def chat() -> Dialect:
    choice = {"index": 0, "message": {"content": JSON}, "finish_reason": "stop"}
    return Dialect(
        OpenAIUpstream("qwen3", api="ChatCompletions"),
        ("authorization", f"Bearer {SECRET}"),
        "/chat/completions",
        well(chat_wire.SCRIPTS, {"failed", "cut in a call"}),
        {"model": "qwen3", "choices": [choice]},
        chat_wire.start() + chat_wire.texts("He"),
        chat_wire.end(),
        chat_wire.frame({"error": {"message": "Overloaded", "code": 503}}),
        {"previous_response_id": "resp_1"},
        "json_schema",
    )


def gemini() -> Dialect:
    busy = {"error": {"code": 503, "message": "Overloaded", "status": "UNAVAILABLE"}}
    return Dialect(
        GeminiUpstream(gemini_wire.FLASH_3),
        ("x-goog-api-key", SECRET),
        f"/v1beta/models/{gemini_wire.FLASH_3}:streamGenerateContent?alt=sse",
        well(gemini_wire.SCRIPTS, gemini_wire.FAILED | gemini_wire.INCOMPLETE),
        gemini_wire.chunk(gemini_wire.text(JSON), finish="STOP"),
        gemini_wire.said(gemini_wire.text("He")),
        gemini_wire.END,
        gemini_wire.frame(busy),
        {"max_tool_calls": 3},
        "responseJsonSchema",
    )


def bedrock() -> Dialect:
    usage = {"inputTokens": 20, "outputTokens": 9, "totalTokens": 29}
    at = {"contentBlockIndex": 0}
    begun = aws_wire.event("messageStart", {"role": "assistant"}) + aws_wire.event(
        "contentBlockDelta", {**at, "delta": {"text": "He"}}
    )
    image = aws_wire.event(
        "contentBlockDelta",
        {"contentBlockIndex": 1, "delta": {"image": {"source": {"bytes": "iVBORw0KGgo="}}}},
    )
    end = (
        aws_wire.event("contentBlockStop", at)
        + aws_wire.event("messageStop", {"stopReason": "end_turn"})
        + aws_wire.event("metadata", {"usage": usage, "metrics": {"latencyMs": 1}})
    )
    told = {
        "role": "assistant",
        "content": [
            {"toolUse": {"toolUseId": "t", "name": "json_answer", "input": json.loads(JSON)}}
        ],
    }
    return Dialect(
        BedrockUpstream("us.amazon.nova-micro-v1:0", region="us-east-1"),
        ("authorization", f"Bearer {SECRET}"),
        "/model/us.amazon.nova-micro-v1%3A0/converse-stream",
        {"text": ({}, begun + end), "image": ({}, begun + image + end)},
        {"output": {"message": told}, "stopReason": "tool_use", "usage": usage},
        begun,
        end,
        aws_wire.exception("serviceUnavailableException", b'{"message": "Overloaded"}'),
        {"top_logprobs": 3},
        "toolSpec",
    )


DIALECTS = {
    "anthropic": anthropic(),
    "chat": chat(),
    "gemini": gemini(),
    "bedrock": bedrock(),
}
every_dialect = pytest.mark.parametrize("dialect", DIALECTS.values(), ids=DIALECTS.keys())
EXCHANGES = [
    pytest.param(dialect, *script, id=f"{name}: {about}")
    for name, dialect in DIALECTS.items()
    for about, script in sorted(dialect.scripts.items())
]


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    async with AsyncExitStack() as stack:
        yield Rig(stack)


@pytest.mark.parametrize(("dialect", "body", "stream"), EXCHANGES)
async def test_the_sdks_stream_helper(
    rig: Rig, dialect: Dialect, body: dict[str, Any], stream: bytes
) -> None:
    asked: dict[str, Any] = {"input": "hi", **body}
    gateway, upstream = await serving(rig, dialect.upstream, streams(stream[:99], stream[99:]))
    async with client(gateway) as sdk, sdk.responses.stream(model="public", **asked) as events:
        async for _ in events:
            pass
        response = await events.get_final_response()
    assert response.status == "completed"
    assert upstream.last.target == f"/prefix{dialect.target}"
    header, value = dialect.key
    assert upstream.last.header(header) == value
    others = {"authorization", "x-api-key", "api-key", "x-goog-api-key"} - {header}
    assert not [name for name in others if upstream.last.header(name)]


class Weather(BaseModel):
    city: str
    degrees: int


@every_dialect
async def test_the_sdks_parse(rig: Rig, dialect: Dialect) -> None:
    gateway, upstream = await serving(
        rig, dialect.upstream, answers(json.dumps(dialect.whole).encode())
    )
    async with client(gateway) as sdk:
        response = await sdk.responses.parse(model="public", input="hi", text_format=Weather)
    assert response.output_parsed == Weather(city="Rome", degrees=30)
    assert dialect.form in json.dumps(upstream.last.json())


@every_dialect
async def test_what_is_dropped_is_named(rig: Rig, dialect: Dialect) -> None:
    body = json.dumps({"model": "public", "input": "hi", "tools": [{"type": "local_shell"}]})
    gateway, _ = await serving(rig, dialect.upstream, answers(json.dumps(dialect.whole).encode()))
    answer = await gateway.post(body.encode())
    assert (answer.status, answer.headers["x-sluicegate-dropped"]) == (200, "tools.local_shell")


@every_dialect
async def test_what_is_refused_is_never_sent(rig: Rig, dialect: Dialect) -> None:
    gateway, upstream = await serving(rig, dialect.upstream, answers(b"{}"))
    (name,) = dialect.refused
    async with client(gateway) as sdk:
        with pytest.raises(BadRequestError) as caught:
            await sdk.responses.create(model="public", input="hi", **dialect.refused)
    assert (caught.value.code, caught.value.param) == ("unsupported_parameter", name)
    assert upstream.calls == []


@every_dialect
async def test_an_error_in_mid_stream_reaches_the_client(rig: Rig, dialect: Dialect) -> None:
    gateway, _ = await serving(rig, dialect.upstream, streams(dialect.begun, dialect.error))
    seen: list[str] = []

    async def read(sdk: AsyncOpenAI) -> None:
        async for event in await sdk.responses.create(model="public", input="hi", stream=True):
            seen.append(event.type)  # noqa: PERF401 - those before the error count

    async with client(gateway) as sdk:
        with pytest.raises(APIError) as caught:
            await read(sdk)
    assert "response.output_text.delta" in seen
    assert "Overloaded" in caught.value.message


@every_dialect
async def test_an_upstream_that_goes_away_fails_the_stream(rig: Rig, dialect: Dialect) -> None:
    gateway, _ = await serving(rig, dialect.upstream, breaks_after(dialect.begun))
    answer = await gateway.post(b'{"model":"public","input":"hi","stream":true}')
    assert b"event: error\n" in answer.body
    assert b"event: response.failed\n" in answer.body
    assert b'"text":"He"' in answer.body


def failures(dialect: Dialect) -> list[Script]:
    """Before there is output: refused, failed in the stream, gone, not let in."""
    return [
        answers(b'{"error":{"message":"Overloaded"}}', dialect.busy),
        streams(dialect.error),
        breaks_after(dialect.begun[:9]),
        answers(b'{"error":{"message":"x"}}', 401),
    ]


@every_dialect
@pytest.mark.parametrize("number", range(4))
async def test_before_output_another_deployment_takes_over(
    rig: Rig, dialect: Dialect, number: int
) -> None:
    broken = await rig.upstream(failures(dialect)[number])
    sound = await rig.upstream(streams(dialect.begun, dialect.end))
    gateway = await rig.gateway(
        key_entry(),
        deployment(dialect.upstream, broken, "broken"),
        deployment(dialect.upstream, sound, "sound", 1),
    )
    asked: dict[str, Any] = {"model": "public", "input": "hi"}
    async with client(gateway) as sdk, sdk.responses.stream(**asked) as events:
        response = await events.get_final_response()
    assert response.output_text == "He"


@every_dialect
async def test_a_client_that_leaves_ends_the_call(rig: Rig, dialect: Dialect) -> None:
    gateway, upstream = await serving(rig, dialect.upstream, hangs(dialect.begun))
    async with client(gateway) as sdk:
        stream = await sdk.responses.create(model="public", input="hi", stream=True)
        async for event in stream:
            if event.type == "response.output_text.delta":
                break
        await stream.close()
    await upstream.last.gone.wait()

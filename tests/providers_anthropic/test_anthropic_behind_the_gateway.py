"""A client of the OpenAI SDK, a gateway, and an upstream that speaks the Messages API."""

import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
from openai import APIError, AsyncOpenAI, BadRequestError
from pydantic import BaseModel

from anthropic_wire import (
    FUNCTION,
    SCRIPTS,
    SECRET,
    SONNET,
    call_block,
    deployment,
    end,
    frame,
    start,
    text_block,
)
from gateway_rig import Rig
from running_gateway import CLIENT_KEY, RunningGateway, key_entry
from scripted_upstream import Call, Script, ScriptedUpstream, answers, breaks_after, hangs, streams
from sluicegate.config import AnthropicUpstream, Deployment, Retry, SecretCredential

ERROR = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    async with AsyncExitStack() as stack:
        yield Rig(stack)


def claude(upstream: ScriptedUpstream, name: str = "claude", priority: int = 0) -> Deployment:
    return Deployment(
        namespace="default",
        name=name,
        model="claude",
        upstream=AnthropicUpstream(
            model=SONNET, base_url=f"http://127.0.0.1:{upstream.port}/prefix"
        ),
        credential=SecretCredential(SECRET),
        retry=Retry(attempts=1),
        priority=priority,
    )


@asynccontextmanager
async def client(gateway: RunningGateway) -> AsyncGenerator[AsyncOpenAI]:
    async with AsyncOpenAI(
        base_url=gateway.base_url,
        api_key=CLIENT_KEY,
        max_retries=0,
        _strict_response_validation=True,
    ) as made:
        yield made


async def serving(rig: Rig, script: Script) -> tuple[RunningGateway, ScriptedUpstream]:
    upstream = await rig.upstream(script)
    return await rig.gateway(key_entry(), claude(upstream)), upstream


@pytest.mark.parametrize("name", sorted(SCRIPTS.keys() - {"failed", "cut in a call"}))
async def test_the_sdks_stream_helper(rig: Rig, name: str) -> None:
    body, stream = SCRIPTS[name]
    asked: dict[str, Any] = {"input": "hi", **body}
    gateway, upstream = await serving(rig, streams(stream[:99], stream[99:]))
    async with client(gateway) as sdk, sdk.responses.stream(model="claude", **asked) as events:
        async for _ in events:
            pass
        response = await events.get_final_response()
    assert response.status == "completed"
    assert upstream.last.target == "/prefix/v1/messages"
    assert upstream.last.header("x-api-key") == SECRET
    assert upstream.last.header("accept-encoding") == "identity"
    assert upstream.last.header("authorization") is None
    assert upstream.last.json()["stream"] is True


async def test_a_turn_with_a_tool_and_the_next_one(rig: Rig) -> None:
    calls: list[dict[str, Any]] = []

    async def script(call: Call) -> None:
        calls.append(call.json())
        content: dict[str, Any] = {"type": "text", "text": "Sunny."}
        if len(calls) == 1:
            content = {
                "type": "tool_use",
                "id": "toolu_1",
                "name": "weather",
                "input": {"city": "A"},
            }
        message = {"type": "message", "content": [content], "stop_reason": "end_turn"}
        usage = {"input_tokens": 3, "output_tokens": 4}
        call.answer(json.dumps({**message, "model": "claude-x", "usage": usage}).encode())

    gateway, _ = await serving(rig, script)
    tools: Any = [FUNCTION | {"strict": None}]
    async with client(gateway) as sdk:
        first = await sdk.responses.create(model="claude", input="weather?", tools=tools)
        (called,) = first.output
        history: Any = [
            {"role": "user", "content": "weather?"},
            called.model_dump(exclude_none=True),
            {"type": "function_call_output", "call_id": "toolu_1", "output": "sunny"},
        ]
        second = await sdk.responses.create(model="claude", input=history, tools=tools)
    assert second.output_text == "Sunny."
    assert second.usage is not None
    assert second.usage.total_tokens == 7
    assert [message["role"] for message in calls[1]["messages"]] == ["user", "assistant", "user"]


class Weather(BaseModel):
    city: str
    degrees: int


async def test_the_sdks_parse(rig: Rig) -> None:
    content = {"type": "text", "text": '{"city":"Rome","degrees":30}'}
    message = {"type": "message", "content": [content], "stop_reason": "end_turn"}
    gateway, upstream = await serving(rig, answers(json.dumps(message).encode()))
    async with client(gateway) as sdk:
        response = await sdk.responses.parse(model="claude", input="hi", text_format=Weather)
    assert response.output_parsed == Weather(city="Rome", degrees=30)
    assert upstream.last.json()["output_config"]["format"]["type"] == "json_schema"


async def test_what_is_dropped_is_named(rig: Rig) -> None:
    body = json.dumps({"model": "claude", "input": "hi", "tools": [{"type": "local_shell"}]})
    gateway, _ = await serving(rig, answers(b'{"type":"message","content":[]}'))
    answer = await gateway.post(body.encode())
    assert (answer.status, answer.headers["x-sluicegate-dropped"]) == (200, "tools.local_shell")


async def test_what_is_refused_is_never_sent(rig: Rig) -> None:
    gateway, upstream = await serving(rig, answers(b"{}"))
    async with client(gateway) as sdk:
        with pytest.raises(BadRequestError) as caught:
            await sdk.responses.create(model="claude", input="hi", top_logprobs=3)
    assert (caught.value.code, caught.value.param) == ("unsupported_parameter", "top_logprobs")
    assert upstream.calls == []


async def test_an_error_in_mid_stream_reaches_the_client(rig: Rig) -> None:
    stream = start() + text_block(0, "He", stop=False)
    gateway, _ = await serving(rig, streams(stream, frame(ERROR)))
    seen: list[str] = []

    async def read(sdk: AsyncOpenAI) -> None:
        async for event in await sdk.responses.create(model="claude", input="hi", stream=True):
            seen.append(event.type)  # noqa: PERF401 - those before the error count

    async with client(gateway) as sdk:
        with pytest.raises(APIError) as caught:
            await read(sdk)
    assert "response.output_text.delta" in seen
    assert caught.value.code == "rate_limit_exceeded"


async def test_an_upstream_that_goes_away_fails_the_stream(rig: Rig) -> None:
    stream = start() + text_block(0, "He", stop=False)
    gateway, _ = await serving(rig, breaks_after(stream))
    answer = await gateway.post(b'{"model":"claude","input":"hi","stream":true}')
    assert b"event: error\n" in answer.body
    assert b"event: response.failed\n" in answer.body
    assert b'"text":"He"' in answer.body


@pytest.mark.parametrize(
    "first",
    [
        answers(json.dumps(ERROR).encode(), 529),
        streams(start() + frame(ERROR)),
        breaks_after(start()),
        answers(b'{"type":"error","error":{"type":"authentication_error","message":"x"}}', 401),
    ],
)
async def test_before_output_another_deployment_takes_over(rig: Rig, first: Script) -> None:
    broken = await rig.upstream(first)
    whole = await rig.upstream(streams(start() + text_block(0, "Hello") + end()))
    gateway = await rig.gateway(
        key_entry(), claude(broken, "broken"), claude(whole, "whole", priority=1)
    )
    asked: dict[str, Any] = {"model": "claude", "input": "hi"}
    async with client(gateway) as sdk, sdk.responses.stream(**asked) as events:
        response = await events.get_final_response()
    assert response.output_text == "Hello"


async def test_a_client_that_leaves_ends_the_call(rig: Rig) -> None:
    gateway, upstream = await serving(rig, hangs(start() + text_block(0, "He", stop=False)))
    async with client(gateway) as sdk:
        stream = await sdk.responses.create(model="claude", input="hi", stream=True)
        async for event in stream:
            if event.type == "response.output_text.delta":
                break
        await stream.close()
    await upstream.last.gone.wait()


async def test_a_cut_call_is_incomplete(rig: Rig) -> None:
    body, _ = SCRIPTS["cut in a call"]
    stream = start() + call_block(0, "weather", '{"ci', stop=False) + end("max_tokens")
    gateway, _ = await serving(rig, streams(stream))
    asked = json.dumps({"model": "claude", "input": "hi", "stream": True, **body})
    answer = await gateway.post(asked.encode())
    assert b"event: response.incomplete\n" in answer.body


def test_the_deployment_of_the_other_tests_is_the_same_kind() -> None:
    assert isinstance(deployment().upstream, AnthropicUpstream)

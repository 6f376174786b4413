"""A client of the OpenAI SDK, a gateway, and an upstream that speaks `generateContent`."""

import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
from openai import APIError, AsyncOpenAI, BadRequestError, RateLimitError
from pydantic import BaseModel

from gateway_rig import Rig
from gemini_wire import (
    END,
    FAILED,
    FLASH_3,
    FUNCTION,
    INCOMPLETE,
    SCRIPTS,
    SECRET,
    call,
    chunk,
    frame,
    said,
    text,
)
from running_gateway import CLIENT_KEY, RunningGateway, key_entry
from scripted_upstream import Call, Script, ScriptedUpstream, answers, breaks_after, streams
from sluicegate.config import Deployment, GeminiUpstream, Retry, SecretCredential

BUSY = {"error": {"code": 503, "message": "Overloaded", "status": "UNAVAILABLE"}}


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    async with AsyncExitStack() as stack:
        yield Rig(stack)


def gemini(upstream: ScriptedUpstream, name: str = "gemini", priority: int = 0) -> Deployment:
    return Deployment(
        namespace="default",
        name=name,
        model="flash",
        upstream=GeminiUpstream(model=FLASH_3, base_url=f"http://127.0.0.1:{upstream.port}/prefix"),
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
    return await rig.gateway(key_entry(), gemini(upstream)), upstream


@pytest.mark.parametrize("name", sorted(SCRIPTS.keys() - FAILED - INCOMPLETE))
async def test_the_sdks_stream_helper(rig: Rig, name: str) -> None:
    body, stream = SCRIPTS[name]
    asked: dict[str, Any] = {"input": "hi", **body}
    gateway, upstream = await serving(rig, streams(stream[:99], stream[99:]))
    async with client(gateway) as sdk, sdk.responses.stream(model="flash", **asked) as events:
        async for _ in events:
            pass
        response = await events.get_final_response()
    assert response.status == "completed"
    assert upstream.last.target == (
        f"/prefix/v1beta/models/{FLASH_3}:streamGenerateContent?alt=sse"
    )
    assert upstream.last.header("x-goog-api-key") == SECRET
    assert upstream.last.header("authorization") is None


async def test_a_turn_with_a_tool_and_the_next_one(rig: Rig) -> None:
    asked: list[dict[str, Any]] = []

    async def script(call_: Call) -> None:
        asked.append(call_.json())
        part = text("Sunny.") if len(asked) > 1 else call("weather", {"city": "A"}, "c2ln", "u1")
        call_.answer(json.dumps(chunk(part, finish="STOP")).encode())

    gateway, _ = await serving(rig, script)
    tools: Any = [FUNCTION | {"strict": None}]
    async with client(gateway) as sdk:
        first = await sdk.responses.create(model="flash", input="weather?", tools=tools)
        history: Any = [
            {"role": "user", "content": "weather?"},
            *[item.model_dump(exclude_none=True) for item in first.output],
            {"type": "function_call_output", "call_id": "u1", "output": "sunny"},
        ]
        second = await sdk.responses.create(model="flash", input=history, tools=tools)
    assert second.output_text == "Sunny."
    assert second.usage is not None
    assert second.usage.total_tokens == 29
    _, called, answered = asked[1]["contents"]
    assert called["parts"] == [
        {
            "functionCall": {"name": "weather", "args": {"city": "A"}, "id": "u1"},
            "thoughtSignature": "c2ln",
        }
    ]
    assert answered["parts"][0]["functionResponse"]["response"] == {"output": "sunny"}


class Weather(BaseModel):
    city: str
    degrees: int


async def test_the_sdks_parse(rig: Rig) -> None:
    answer = chunk(text('{"city":"Rome","degrees":30}'), finish="STOP")
    gateway, upstream = await serving(rig, answers(json.dumps(answer).encode()))
    async with client(gateway) as sdk:
        response = await sdk.responses.parse(model="flash", input="hi", text_format=Weather)
    assert response.output_parsed == Weather(city="Rome", degrees=30)
    assert upstream.last.target == f"/prefix/v1beta/models/{FLASH_3}:generateContent"
    assert "responseJsonSchema" in upstream.last.json()["generationConfig"]


async def test_what_is_dropped_is_named(rig: Rig) -> None:
    body = json.dumps({"model": "flash", "input": "hi", "tools": [{"type": "local_shell"}]})
    gateway, _ = await serving(rig, answers(json.dumps(chunk(finish="STOP")).encode()))
    answer = await gateway.post(body.encode())
    assert (answer.status, answer.headers["x-sluicegate-dropped"]) == (200, "tools.local_shell")


async def test_what_is_refused_is_never_sent(rig: Rig) -> None:
    gateway, upstream = await serving(rig, answers(b"{}"))
    async with client(gateway) as sdk:
        with pytest.raises(BadRequestError) as caught:
            await sdk.responses.create(model="flash", input="hi", max_tool_calls=3)
    assert (caught.value.code, caught.value.param) == ("unsupported_parameter", "max_tool_calls")
    assert upstream.calls == []


async def test_the_wait_that_google_asks_for(rig: Rig) -> None:
    detail = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34.4s"}
    error = {"code": 429, "message": "Slow.", "status": "RESOURCE_EXHAUSTED", "details": [detail]}
    gateway, _ = await serving(rig, answers(json.dumps({"error": error}).encode(), 429))
    async with client(gateway) as sdk:
        with pytest.raises(RateLimitError) as caught:
            await sdk.responses.create(model="flash", input="hi")
    assert float(caught.value.response.headers["retry-after"]) >= 34


async def test_an_error_in_mid_stream_reaches_the_client(rig: Rig) -> None:
    gateway, _ = await serving(rig, streams(said(text("He")), frame(BUSY)))
    seen: list[str] = []

    async def read(sdk: AsyncOpenAI) -> None:
        async for event in await sdk.responses.create(model="flash", input="hi", stream=True):
            seen.append(event.type)  # noqa: PERF401 - those before the error count

    async with client(gateway) as sdk:
        with pytest.raises(APIError) as caught:
            await read(sdk)
    assert "response.output_text.delta" in seen
    assert caught.value.code == "rate_limit_exceeded"


async def test_an_upstream_that_goes_away_fails_the_stream(rig: Rig) -> None:
    gateway, _ = await serving(rig, breaks_after(said(text("He"))))
    answer = await gateway.post(b'{"model":"flash","input":"hi","stream":true}')
    assert b"event: error\n" in answer.body
    assert b"event: response.failed\n" in answer.body
    assert b'"text":"He"' in answer.body


@pytest.mark.parametrize(
    "first",
    [
        answers(json.dumps(BUSY).encode(), 503),
        streams(frame(BUSY)),
        breaks_after(b"data: {"),
        answers(b'{"error":{"code":403,"message":"x","status":"PERMISSION_DENIED"}}', 403),
    ],
)
async def test_before_output_another_deployment_takes_over(rig: Rig, first: Script) -> None:
    broken = await rig.upstream(first)
    sound = await rig.upstream(streams(said(text("Hello")), END))
    gateway = await rig.gateway(
        key_entry(), gemini(broken, "broken"), gemini(sound, "sound", priority=1)
    )
    asked: dict[str, Any] = {"model": "flash", "input": "hi"}
    async with client(gateway) as sdk, sdk.responses.stream(**asked) as events:
        response = await events.get_final_response()
    assert response.output_text == "Hello"

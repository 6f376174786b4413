"""A client of the OpenAI SDK, a gateway, and a server that has chat completions only."""

import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
from openai import APIError, AsyncOpenAI, BadRequestError, NotFoundError
from pydantic import BaseModel

from chat_params import check_params
from chat_wire import FUNCTION, SCRIPTS, SECRET, call, end, frame, start, texts, thoughts
from gateway_rig import Rig
from running_gateway import CLIENT_KEY, RunningGateway, key_entry, openai_entry
from scripted_upstream import Call, Script, ScriptedUpstream, answers, breaks_after, hangs, streams
from sluicegate.config import Deployment, OpenAIUpstream

ERROR = {"error": {"message": "Overloaded", "code": 503}}


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    async with AsyncExitStack() as stack:
        yield Rig(stack)


def local(upstream: ScriptedUpstream, name: str = "local", priority: int = 0) -> Deployment:
    address = f"http://127.0.0.1:{upstream.port}/prefix/v1"
    return openai_entry(
        address,
        name=name,
        model="qwen",
        key=SECRET,
        priority=priority,
        upstream=OpenAIUpstream(model="qwen3", base_url=address, api="ChatCompletions"),
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
    return await rig.gateway(key_entry(), local(upstream)), upstream


def whole(message: dict[str, Any], reason: str = "stop") -> bytes:
    choice = {"index": 0, "message": message, "finish_reason": reason}
    usage = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}
    return json.dumps({"model": "qwen3", "choices": [choice], "usage": usage}).encode()


@pytest.mark.parametrize("name", sorted(SCRIPTS.keys() - {"failed", "cut in a call"}))
async def test_the_sdks_stream_helper(rig: Rig, name: str) -> None:
    body, stream = SCRIPTS[name]
    asked: dict[str, Any] = {"input": "hi", **body}
    gateway, upstream = await serving(rig, streams(stream[:99], stream[99:]))
    async with client(gateway) as sdk, sdk.responses.stream(model="qwen", **asked) as events:
        async for _ in events:
            pass
        response = await events.get_final_response()
    assert response.status == "completed"
    assert upstream.last.target == "/prefix/v1/chat/completions"
    assert upstream.last.header("authorization") == f"Bearer {SECRET}"
    assert upstream.last.json()["stream_options"] == {"include_usage": True}
    check_params(upstream.last.json())


async def test_a_turn_with_a_tool_and_the_next_one(rig: Rig) -> None:
    asked: list[dict[str, Any]] = []

    async def script(call: Call) -> None:
        asked.append(call.json())
        message: dict[str, Any] = {"role": "assistant", "content": "Sunny."}
        if len(asked) == 1:
            called = {"name": "weather", "arguments": '{"city":"A"}'}
            message = {
                "role": "assistant",
                "content": None,
                "reasoning_content": "Hm.",
                "tool_calls": [{"id": "call_1", "type": "function", "function": called}],
            }
        call.answer(whole(message))

    gateway, _ = await serving(rig, script)
    tools: Any = [FUNCTION | {"strict": None}]
    async with client(gateway) as sdk:
        first = await sdk.responses.create(model="qwen", input="weather?", tools=tools)
        history: Any = [
            {"role": "user", "content": "weather?"},
            *(item.model_dump(exclude_none=True) for item in first.output),
            {"type": "function_call_output", "call_id": "call_1", "output": "sunny"},
        ]
        second = await sdk.responses.create(model="qwen", input=history, tools=tools)
    assert second.output_text == "Sunny."
    assert second.usage is not None
    assert second.usage.total_tokens == 7
    messages = asked[1]["messages"]
    assert [message["role"] for message in messages] == ["user", "assistant", "tool"]
    assert messages[1]["reasoning_content"] == "Hm."
    check_params(asked[1])


class Weather(BaseModel):
    city: str
    degrees: int


async def test_the_sdks_parse(rig: Rig) -> None:
    message = {"content": '{"city":"Rome","degrees":30}'}
    gateway, upstream = await serving(rig, answers(whole(message)))
    async with client(gateway) as sdk:
        response = await sdk.responses.parse(model="qwen", input="hi", text_format=Weather)
    assert response.output_parsed == Weather(city="Rome", degrees=30)
    check_params(upstream.last.json())
    assert upstream.last.json()["response_format"]["json_schema"]["strict"] is True


async def test_what_is_dropped_is_named(rig: Rig) -> None:
    body = json.dumps({"model": "qwen", "input": "hi", "tools": [{"type": "web_search"}]})
    gateway, _ = await serving(rig, answers(whole({"content": "Hi"})))
    answer = await gateway.post(body.encode())
    assert (answer.status, answer.headers["x-sluicegate-dropped"]) == (200, "tools.web_search")


async def test_what_is_refused_is_never_sent(rig: Rig) -> None:
    gateway, upstream = await serving(rig, answers(b"{}"))
    async with client(gateway) as sdk:
        with pytest.raises(BadRequestError) as caught:
            await sdk.responses.create(model="qwen", input="hi", previous_response_id="resp_1")
    assert caught.value.param == "previous_response_id"
    assert upstream.calls == []


async def test_an_error_of_the_server(rig: Rig) -> None:
    error = {"error": {"message": 'model "qwen3" not found', "type": "api_error"}}
    gateway, _ = await serving(rig, answers(json.dumps(error).encode(), 404))
    async with client(gateway) as sdk:
        with pytest.raises(NotFoundError) as caught:
            await sdk.responses.create(model="qwen", input="hi")
    assert caught.value.code == "model_not_found"


async def test_an_error_in_mid_stream_reaches_the_client(rig: Rig) -> None:
    gateway, _ = await serving(rig, streams(start() + texts("He"), frame(ERROR)))
    seen: list[str] = []

    async def read(sdk: AsyncOpenAI) -> None:
        async for event in await sdk.responses.create(model="qwen", input="hi", stream=True):
            seen.append(event.type)  # noqa: PERF401 - those before the error count

    async with client(gateway) as sdk:
        with pytest.raises(APIError) as caught:
            await read(sdk)
    assert "response.output_text.delta" in seen
    assert caught.value.code == "rate_limit_exceeded"


async def test_a_server_that_goes_away_fails_the_stream(rig: Rig) -> None:
    gateway, _ = await serving(rig, breaks_after(start() + texts("He")))
    answer = await gateway.post(b'{"model":"qwen","input":"hi","stream":true}')
    assert b"event: error\n" in answer.body
    assert b"event: response.failed\n" in answer.body
    assert b'"text":"He"' in answer.body


@pytest.mark.parametrize(
    "first",
    [
        answers(json.dumps(ERROR).encode(), 503),
        streams(start() + frame(ERROR)),
        breaks_after(start()),
        answers(b'{"error":{"message":"bad key"}}', 401),
    ],
)
async def test_before_output_another_deployment_takes_over(rig: Rig, first: Script) -> None:
    broken = await rig.upstream(first)
    good = await rig.upstream(streams(start() + texts("Hello") + end()))
    gateway = await rig.gateway(
        key_entry(), local(broken, "broken"), local(good, "good", priority=1)
    )
    async with (
        client(gateway) as sdk,
        sdk.responses.stream(model="qwen", input="hi") as events,
    ):
        response = await events.get_final_response()
    assert response.output_text == "Hello"


async def test_a_client_that_leaves_ends_the_call(rig: Rig) -> None:
    gateway, upstream = await serving(rig, hangs(start() + thoughts("Hm") + texts("He")))
    async with client(gateway) as sdk:
        stream = await sdk.responses.create(model="qwen", input="hi", stream=True)
        async for event in stream:
            if event.type == "response.output_text.delta":
                break
        await stream.close()
    await upstream.last.gone.wait()


async def test_a_cut_call_is_incomplete(rig: Rig) -> None:
    stream = start() + call(0, "weather", '{"ci') + end("length")
    gateway, _ = await serving(rig, streams(stream))
    asked = {"model": "qwen", "input": "hi", "stream": True, "tools": [FUNCTION]}
    answer = await gateway.post(json.dumps(asked).encode())
    assert b"event: response.incomplete\n" in answer.body

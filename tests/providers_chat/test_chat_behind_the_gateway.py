"""A client of the OpenAI SDK, a gateway, and a server that has chat completions only."""

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest
from openai import NotFoundError

from chat_params import check_params
from chat_wire import FUNCTION, call, end, start
from gateway_rig import Rig
from scripted_upstream import Call, answers, streams
from sluicegate.config import OpenAIUpstream
from translating_gateway import client, serving

UPSTREAM = OpenAIUpstream("qwen3", api="ChatCompletions")


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    async with AsyncExitStack() as stack:
        yield Rig(stack)


def whole(message: dict[str, Any], reason: str = "stop") -> bytes:
    choice = {"index": 0, "message": message, "finish_reason": reason}
    usage = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}
    return json.dumps({"model": "qwen3", "choices": [choice], "usage": usage}).encode()


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

    gateway, _ = await serving(rig, UPSTREAM, script)
    tools: Any = [FUNCTION | {"strict": None}]
    async with client(gateway) as sdk:
        first = await sdk.responses.create(model="public", input="weather?", tools=tools)
        history: Any = [
            {"role": "user", "content": "weather?"},
            *(item.model_dump(exclude_none=True) for item in first.output),
            {"type": "function_call_output", "call_id": "call_1", "output": "sunny"},
        ]
        second = await sdk.responses.create(model="public", input=history, tools=tools)
    assert second.output_text == "Sunny."
    assert second.usage is not None
    assert second.usage.total_tokens == 7
    messages = asked[1]["messages"]
    assert [message["role"] for message in messages] == ["user", "assistant", "tool"]
    assert messages[1]["reasoning_content"] == "Hm."
    check_params(asked[1])


async def test_an_error_of_the_server(rig: Rig) -> None:
    error = {"error": {"message": 'model "qwen3" not found', "type": "api_error"}}
    gateway, _ = await serving(rig, UPSTREAM, answers(json.dumps(error).encode(), 404))
    async with client(gateway) as sdk:
        with pytest.raises(NotFoundError) as caught:
            await sdk.responses.create(model="public", input="hi")
    assert caught.value.code == "model_not_found"


async def test_a_cut_call_is_incomplete(rig: Rig) -> None:
    stream = start() + call(0, "weather", '{"ci') + end("length")
    gateway, _ = await serving(rig, UPSTREAM, streams(stream))
    asked = {"model": "public", "input": "hi", "stream": True, "tools": [FUNCTION]}
    answer = await gateway.post(json.dumps(asked).encode())
    assert b"event: response.incomplete\n" in answer.body

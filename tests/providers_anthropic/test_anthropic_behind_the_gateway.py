"""A client of the OpenAI SDK, a gateway, and an upstream that speaks the Messages API."""

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest

from anthropic_wire import FUNCTION, SCRIPTS, SONNET, call_block, end, start
from gateway_rig import Rig
from scripted_upstream import Call, streams
from sluicegate.config import AnthropicUpstream
from translating_gateway import client, serving

UPSTREAM = AnthropicUpstream(SONNET)


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    async with AsyncExitStack() as stack:
        yield Rig(stack)


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

    gateway, _ = await serving(rig, UPSTREAM, script)
    tools: Any = [FUNCTION | {"strict": None}]
    async with client(gateway) as sdk:
        first = await sdk.responses.create(model="public", input="weather?", tools=tools)
        (called,) = first.output
        history: Any = [
            {"role": "user", "content": "weather?"},
            called.model_dump(exclude_none=True),
            {"type": "function_call_output", "call_id": "toolu_1", "output": "sunny"},
        ]
        second = await sdk.responses.create(model="public", input=history, tools=tools)
    assert second.output_text == "Sunny."
    assert second.usage is not None
    assert second.usage.total_tokens == 7
    assert [message["role"] for message in calls[1]["messages"]] == ["user", "assistant", "user"]


async def test_a_cut_call_is_incomplete(rig: Rig) -> None:
    body, _ = SCRIPTS["cut in a call"]
    stream = start() + call_block(0, "weather", '{"ci', stop=False) + end("max_tokens")
    gateway, _ = await serving(rig, UPSTREAM, streams(stream))
    asked = json.dumps({"model": "public", "input": "hi", "stream": True, **body})
    answer = await gateway.post(asked.encode())
    assert b"event: response.incomplete\n" in answer.body

"""A client of the OpenAI SDK, a gateway, and an upstream that speaks `generateContent`."""

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest
from openai import RateLimitError

from gateway_rig import Rig
from gemini_wire import FLASH_3, FUNCTION, call, chunk, text
from scripted_upstream import Call, answers
from sluicegate.config import GeminiUpstream
from translating_gateway import client, serving

UPSTREAM = GeminiUpstream(FLASH_3)


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    async with AsyncExitStack() as stack:
        yield Rig(stack)


async def test_a_turn_with_a_tool_and_the_next_one(rig: Rig) -> None:
    asked: list[dict[str, Any]] = []

    async def script(call_: Call) -> None:
        asked.append(call_.json())
        part = text("Sunny.") if len(asked) > 1 else call("weather", {"city": "A"}, "c2ln", "u1")
        call_.answer(json.dumps(chunk(part, finish="STOP")).encode())

    gateway, _ = await serving(rig, UPSTREAM, script)
    tools: Any = [FUNCTION | {"strict": None}]
    async with client(gateway) as sdk:
        first = await sdk.responses.create(model="public", input="weather?", tools=tools)
        history: Any = [
            {"role": "user", "content": "weather?"},
            *[item.model_dump(exclude_none=True) for item in first.output],
            {"type": "function_call_output", "call_id": "u1", "output": "sunny"},
        ]
        second = await sdk.responses.create(model="public", input=history, tools=tools)
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


async def test_the_wait_that_google_asks_for(rig: Rig) -> None:
    detail = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34.4s"}
    error = {"code": 429, "message": "Slow.", "status": "RESOURCE_EXHAUSTED", "details": [detail]}
    gateway, _ = await serving(rig, UPSTREAM, answers(json.dumps({"error": error}).encode(), 429))
    async with client(gateway) as sdk:
        with pytest.raises(RateLimitError) as caught:
            await sdk.responses.create(model="public", input="hi")
    assert float(caught.value.response.headers["retry-after"]) >= 34

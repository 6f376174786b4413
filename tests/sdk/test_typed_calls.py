"""What a type checker makes of a call: `make check` judges this file, and it runs."""

from __future__ import annotations

from typing import assert_type

import pytest
from openai.types.responses import FunctionToolParam, Response

import sluicegate
from sluicegate import AsyncResponseStream, ResponseStream

TOOL: FunctionToolParam = {"type": "function", "name": "f", "parameters": {}, "strict": True}


def test_blocking() -> None:
    answer = sluicegate.responses("echo/any", "hi", temperature=1.0, reasoning={"effort": "low"})
    assert_type(answer, Response)
    stream = sluicegate.responses(
        "echo/any", [{"role": "user", "content": "hi"}], stream=True, tools=[TOOL], timeout=3
    )
    assert_type(stream, ResponseStream)
    said = ""
    for event in stream:
        if event.type == "response.output_text.delta":
            assert_type(event.delta, str)
            said += event.delta
    assert said == answer.output_text == "hi"


async def test_async() -> None:
    answer = await sluicegate.aresponses("echo/any", "hi", fallbacks=["echo/other"])
    assert_type(answer, Response)
    stream = await sluicegate.aresponses("echo/any", "hi", stream=True)
    assert_type(stream, AsyncResponseStream)
    async with stream as opened:
        assert_type(opened, AsyncResponseStream)
        assert_type(await opened.get_final_response(), Response)
    assert_type(opened.final, Response | None)


@pytest.mark.parametrize("stream", [False, True])
def test_either(stream: bool) -> None:
    made = sluicegate.responses("echo/any", "hi", stream=stream)
    assert_type(made, Response | ResponseStream)
    assert isinstance(made, ResponseStream if stream else Response)

"""Real exchanges with Anthropic, replayed: what the provider said is what the client gets."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anthropic_wire import anonymous, answered, asking, cut, hear, recorded, recordings
from event_grammar import JsonObject, check_answer, output_texts
from sluicegate.model import TERMINAL_EVENTS

TOOLS = {
    "tools": [
        {"type": "function", "name": name}
        for name in ("make_file", "get_weather", "fixed_version", "retrieve_entity_info")
    ]
}
STATUS = {"max_tokens": "incomplete"}


def said(exchange: JsonObject) -> JsonObject:
    """What the provider said, put together by the plainest means."""
    told: JsonObject = {"texts": "", "calls": [], "thinking": [], "usage": {}, "reason": None}
    for line in exchange["response_body"].splitlines():
        if not line.startswith("data:"):
            continue
        event = json.loads(line[5:])
        if event["type"] == "message_start":
            told["usage"] |= event["message"]["usage"]
        elif event["type"] == "message_delta":
            told["usage"] |= event["usage"]
            told["reason"] = event["delta"]["stop_reason"]
        elif event["type"] == "content_block_start":
            begin_block(told, event["content_block"])
        elif event["type"] == "content_block_delta":
            take_delta(told, event["delta"])
        elif event["type"] == "error":
            told["reason"] = "error"
    return told


def begin_block(told: JsonObject, block: JsonObject) -> None:
    if block["type"] == "tool_use":
        told["calls"].append([block["id"], block["name"], ""])
    elif "thinking" in block["type"]:
        told["thinking"].append("")


def take_delta(told: JsonObject, delta: JsonObject) -> None:
    if delta["type"] == "text_delta":
        told["texts"] += delta["text"]
    elif delta["type"] == "thinking_delta":
        told["thinking"][-1] += delta["thinking"]
    elif delta["type"] == "input_json_delta":
        told["calls"][-1][2] += delta["partial_json"]


def calls_of(response: JsonObject) -> list[list[str]]:
    return [
        [item["call_id"], item["name"], item["arguments"]]
        for item in response["output"]
        if item["type"] == "function_call"
    ]


def thinking_of(response: JsonObject) -> list[str]:
    return [
        "".join(part["text"] for part in item["summary"])
        for item in response["output"]
        if item["type"] == "reasoning"
    ]


def check_usage(counted: JsonObject, usage: JsonObject) -> None:
    read = counted.get("cache_read_input_tokens", 0)
    written = counted.get("cache_creation_input_tokens", 0)
    assert usage["input_tokens"] == counted["input_tokens"] + read + written
    assert usage["output_tokens"] == counted["output_tokens"]
    details = counted.get("output_tokens_details", {})
    reasoned = usage["output_tokens_details"]["reasoning_tokens"]
    assert reasoned == details.get("thinking_tokens", 0)


@pytest.mark.parametrize("path", recordings("anthropic-stream-*.json"))
def test_a_recorded_stream(path: Path) -> None:
    exchange = recorded(path)
    stream = exchange["response_body"].encode()
    events = hear(asking(TOOLS), stream)
    assert sum(event.type in TERMINAL_EVENTS for event in events) == 1
    response, told = answered(stream, body=TOOLS), said(exchange)
    assert "".join(output_texts(response)) == told["texts"]
    cut_off = response["status"] == "incomplete"
    expected = [[i, n, a or ("" if cut_off else "{}")] for i, n, a in told["calls"]]
    assert calls_of(response) == expected
    assert thinking_of(response) == told["thinking"]
    check_usage(told["usage"], response["usage"])
    if told["reason"] == "error":
        assert response["status"] == "failed"
    else:
        assert response["status"] == STATUS.get(told["reason"], "completed")


@pytest.mark.parametrize("path", recordings("anthropic-stream-*.json"))
@settings(max_examples=15)
@given(places=st.lists(st.integers(0, 100_000), max_size=12))
def test_a_recorded_stream_in_any_chunks(path: Path, places: list[int]) -> None:
    stream = recorded(path)["response_body"].encode()
    whole = anonymous(answered(stream, body=TOOLS, strict=False))
    assert anonymous(answered(*cut(stream, places), body=TOOLS, strict=False)) == whole


WHOLE = [
    *recordings("anthropic-parallel-*.json"),
    *recordings("anthropic-strict-*.json"),
    *recordings("anthropic-tool-*.json"),
]


@pytest.mark.parametrize("path", WHOLE)
def test_a_recorded_answer_that_is_not_streamed(path: Path) -> None:
    exchange = recorded(path)
    body = exchange["response_body"]
    said_whole = json.loads(body)
    response = json.loads(asking(TOOLS | {"stream": False}).answer(body.encode()))
    check_answer(response)
    check_usage(said_whole["usage"], response["usage"])
    blocks = said_whole["content"]
    texts = "".join(block["text"] for block in blocks if block["type"] == "text")
    assert "".join(output_texts(response)) == texts
    assert [(i, n, json.loads(a)) for i, n, a in calls_of(response)] == [
        (block["id"], block["name"], block["input"])
        for block in blocks
        if block["type"] == "tool_use"
    ]
    assert thinking_of(response) == [b["thinking"] for b in blocks if b["type"] == "thinking"]


@pytest.mark.parametrize("path", recordings("anthropic-error-*.json"))
def test_a_recorded_error(path: Path) -> None:
    exchange = recorded(path)
    error = asking().error(404, {}, exchange["response_body"].encode())
    assert (error.status, error.error.code) == (404, "model_not_found")
    assert error.error.message == "model: claude-sonet-4-5"

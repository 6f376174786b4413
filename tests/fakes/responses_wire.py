"""What an upstream that speaks `/responses` says: answers and streams, valid to strict SDKs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Json = dict[str, Any]

USAGE: Json = {
    "input_tokens": 11,
    "input_tokens_details": {"cached_tokens": 3, "cache_write_tokens": 2},
    "output_tokens": 7,
    "output_tokens_details": {"reasoning_tokens": 5},
    "total_tokens": 18,
}


def response(
    output: Sequence[Json] = (),
    *,
    status: str = "completed",
    usage: Json | None = None,
    more: Mapping[str, Any] | None = None,
) -> Json:
    """A Response object with the keys that OpenAI sends."""
    return {
        "id": "resp_upstream0001",
        "object": "response",
        "created_at": 1_790_000_000,
        "status": status,
        "background": False,
        "completed_at": 1_790_000_001 if status == "completed" else None,
        "error": None,
        "frequency_penalty": 0.0,
        "incomplete_details": None,
        "instructions": None,
        "max_output_tokens": None,
        "max_tool_calls": None,
        "model": "gpt-real-2026",
        "output": list(output),
        "parallel_tool_calls": True,
        "presence_penalty": 0.0,
        "previous_response_id": None,
        "prompt_cache_key": None,
        "reasoning": {"effort": None, "summary": None},
        "safety_identifier": None,
        "service_tier": "default",
        "store": False,
        "temperature": 1.0,
        "text": {"format": {"type": "text"}, "verbosity": "medium"},
        "tool_choice": "auto",
        "tools": [],
        "top_logprobs": 0,
        "top_p": 1.0,
        "truncation": "disabled",
        "usage": usage,
        "user": None,
        "metadata": {},
        **(more or {}),
    }


def message(text: str, *, status: str = "completed", item_id: str = "msg_1") -> Json:
    return {
        "id": item_id,
        "type": "message",
        "status": status,
        "content": [_text_part(text)] if text else [],
        "role": "assistant",
    }


def function_call(arguments: str, *, status: str = "completed", item_id: str = "fc_1") -> Json:
    return {
        "id": item_id,
        "type": "function_call",
        "status": status,
        "arguments": arguments,
        "call_id": "call_1",
        "name": "get_weather",
    }


def _text_part(text: str) -> Json:
    return {"type": "output_text", "annotations": [], "logprobs": [], "text": text}


def answer_body(text: str = "Hello there", *, more: Mapping[str, Any] | None = None) -> bytes:
    """A whole answer with one message."""
    return json.dumps(response([message(text)], usage=USAGE, more=more)).encode()


def frame(payload: Json, *, newline: str = "\n") -> bytes:
    """One Server-Sent Event."""
    return f"event: {payload['type']}{newline}data: {json.dumps(payload)}{newline * 2}".encode()


def numbered(events: Iterable[Json], first: int = 0) -> list[Json]:
    """The events with their sequence numbers."""
    return [
        {"type": event["type"], "sequence_number": number, **event}
        for number, event in enumerate(events, first)
    ]


def prelude() -> list[Json]:
    begun = response(status="in_progress")
    return [
        {"type": "response.created", "response": begun},
        {"type": "response.in_progress", "response": begun},
    ]


def text_events(deltas: Sequence[str]) -> list[Json]:
    """A message, from its opening to its end."""
    at = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
    text = "".join(deltas)
    return [
        {
            "type": "response.output_item.added",
            "output_index": 0,
            "item": message("", status="in_progress"),
        },
        {"type": "response.content_part.added", **at, "part": _text_part("")},
        *(
            {"type": "response.output_text.delta", **at, "delta": delta, "logprobs": []}
            for delta in deltas
        ),
        {"type": "response.output_text.done", **at, "text": text, "logprobs": []},
        {"type": "response.content_part.done", **at, "part": _text_part(text)},
        {"type": "response.output_item.done", "output_index": 0, "item": message(text)},
    ]


def call_events(deltas: Sequence[str]) -> list[Json]:
    """A function call, from its opening to its end."""
    at = {"item_id": "fc_1", "output_index": 0}
    arguments = "".join(deltas)
    return [
        {
            "type": "response.output_item.added",
            "output_index": 0,
            "item": function_call("", status="in_progress"),
        },
        *(
            {"type": "response.function_call_arguments.delta", **at, "delta": delta}
            for delta in deltas
        ),
        {
            "type": "response.function_call_arguments.done",
            **at,
            "name": "get_weather",
            "arguments": arguments,
        },
        {"type": "response.output_item.done", "output_index": 0, "item": function_call(arguments)},
    ]


def completed(output: Sequence[Json]) -> Json:
    return {"type": "response.completed", "response": response(output, usage=USAGE)}


def text_stream(deltas: Sequence[str] = ("Hel", "lo ", "there")) -> list[Json]:
    """A whole stream with one message."""
    return numbered([*prelude(), *text_events(deltas), completed([message("".join(deltas))])])


def call_stream(deltas: Sequence[str] = ('{"city":', '"Bonn"}')) -> list[Json]:
    """A whole stream with one function call."""
    output = [function_call("".join(deltas))]
    return numbered([*prelude(), *call_events(deltas), completed(output)])


def frames(events: Iterable[Json], *, newline: str = "\n") -> list[bytes]:
    return [frame(event, newline=newline) for event in events]


def sent_events(body: bytes) -> list[Json]:
    """The events of a stream that the gateway sent, after checking its framing and its end."""
    *pieces, done, nothing = body.split(b"\n\n")
    assert nothing == b"", f"the stream does not end in a blank line: {nothing[-80:]!r}"
    assert done == b"data: [DONE]", done[-200:]
    events: list[Json] = []
    for piece in pieces:
        name, data = piece.split(b"\n")
        assert name.startswith(b"event: "), name
        assert data.startswith(b"data: "), data
        event = json.loads(data[6:])
        assert event["type"] == name[7:].decode()
        events.append(event)
    return events


def check_whole(events: Sequence[Json]) -> Json:
    """Dense numbers, one terminal event, and that at the end; gives it."""
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    terminal = ("response.completed", "response.incomplete", "response.failed")
    assert [event["type"] in terminal for event in events] == [False] * (len(events) - 1) + [True]
    return events[-1]

"""A judge of Responses event streams: order, numbering, pairing, and that the end equals the parts.

Independent of the code that builds streams: it reads bytes, and keeps its own books. `read_stream`
returns the Response object of the terminal event, so a test can go on with what was said.
"""

import base64
import json
from collections.abc import Iterable, Sequence
from typing import Any, cast

from openai._models import validate_type  # the SDK's strict validation, which has no public name
from openai.types.responses import Response, ResponseStreamEvent

JsonObject = dict[str, Any]

STREAM_EVENT = cast("type[object]", ResponseStreamEvent)  # a union, which pyright tells from a type
TERMINAL = {"response.completed", "response.incomplete", "response.failed"}
PRELUDE = ("response.created", "response.in_progress")
# Keys that Open Responses and OpenAI's document ask for in every Response object.
RESPONSE_KEYS = {
    *("id", "object", "created_at", "status", "model", "output", "tools", "tool_choice"),
    *("truncation", "parallel_tool_calls", "text", "top_p", "presence_penalty"),
    *("frequency_penalty", "top_logprobs", "temperature", "store", "background", "service_tier"),
    *("completed_at", "incomplete_details", "previous_response_id", "instructions", "error"),
    *("reasoning", "usage", "max_output_tokens", "max_tool_calls", "safety_identifier"),
    *("prompt_cache_key", "metadata", "user"),
}
NOT_NULL = {
    *("id", "created_at", "status", "model", "output", "tools", "tool_choice", "truncation"),
    *("parallel_tool_calls", "text", "top_p", "presence_penalty", "frequency_penalty"),
    *("top_logprobs", "temperature", "store", "background", "service_tier", "metadata"),
}
OMITTED_WHEN_NULL = ("phase", "encrypted_content", "content", "logprobs")

# Of a text part: its delta event, its done event, the key of the text there, the part's index key.
PART_EVENTS = {
    "output_text": ("response.output_text.delta", "response.output_text.done", "text"),
    "refusal": ("response.refusal.delta", "response.refusal.done", "refusal"),
    "reasoning_text": ("response.reasoning_text.delta", "response.reasoning_text.done", "text"),
    "summary_text": (
        "response.reasoning_summary_text.delta",
        "response.reasoning_summary_text.done",
        "text",
    ),
}
CALL_EVENTS = {
    "function_call": (
        "response.function_call_arguments.delta",
        "response.function_call_arguments.done",
        "arguments",
    ),
    "custom_tool_call": (
        "response.custom_tool_call_input.delta",
        "response.custom_tool_call_input.done",
        "input",
    ),
}
SEARCH_EVENTS = tuple(
    f"response.web_search_call.{state}" for state in ("in_progress", "searching", "completed")
)
IMAGE_EVENTS = tuple(
    f"response.image_generation_call.{state}"
    for state in ("in_progress", "generating", "completed")
)
DELTAS = {events[0]: kind for kind, events in PART_EVENTS.items()}
DONES = {events[1]: kind for kind, events in PART_EVENTS.items()}
CALL_DELTAS = {events[0]: kind for kind, events in CALL_EVENTS.items()}
CALL_DONES = {events[1]: kind for kind, events in CALL_EVENTS.items()}


def read_frames(frames: Iterable[bytes]) -> list[JsonObject]:
    """The data of each frame, which must be exactly `event: T`, `data: {"type": T, …}`, blank."""
    events: list[JsonObject] = []
    for frame in frames:
        lines = frame.decode().split("\n")
        assert len(lines) == 4, f"a frame of {len(lines)} lines: {frame!r:.200}"
        assert lines[2:] == ["", ""]
        assert lines[0].startswith("event: ")
        assert lines[1].startswith("data: ")
        data = json.loads(lines[1][6:], parse_constant=_refuse_constant)
        assert data["type"] == lines[0][7:]
        events.append(data)
    return events


def _refuse_constant(name: str) -> None:
    raise AssertionError(f"{name} is not JSON")


def read_stream(frames: Iterable[bytes], *, strict: bool = True) -> JsonObject:
    """Judge a whole stream and return the Response object of its terminal event.

    `strict` also validates every event by the types of openai-python.
    """
    events = read_frames(frames)
    assert events, "an empty stream"
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    if strict:
        for event in events:
            if event["type"] != "error":  # on the wire it is nested too, which the type has not
                validate_type(type_=STREAM_EVENT, value=event)
    assert tuple(event["type"] for event in events[:2]) == PRELUDE
    terminals = [event["type"] for event in events if event["type"] in TERMINAL]
    assert len(terminals) == 1
    assert events[-1]["type"] in TERMINAL
    book = _Book(events[0]["response"])
    for event in events[1:-1]:
        book.take(event)
    book.close(events[-1])
    return events[-1]["response"]


def check_answer(response: JsonObject, *, strict: bool = True) -> None:
    """Judge a whole Response object."""
    assert response.keys() >= RESPONSE_KEYS, f"missing: {RESPONSE_KEYS - response.keys()}"
    assert [key for key in NOT_NULL if response[key] is None] == []
    assert response["object"] == "response"
    assert isinstance(response["created_at"], int)
    assert response["id"].startswith("resp_")
    assert (response["completed_at"] is not None) == (response["status"] == "completed")
    assert (response["incomplete_details"] is not None) == (response["status"] == "incomplete")
    assert (response["error"] is not None) == (response["status"] == "failed")
    _check_usage(response["usage"])
    assert len({item["id"] for item in response["output"]}) == len(response["output"])
    for index, item in enumerate(response["output"]):
        _check_item(item)
        if item.get("status") == "incomplete":
            assert index == len(response["output"]) - 1, "an incomplete item that is not the last"
            assert response["status"] in {"incomplete", "failed"}
    if strict:
        validate_type(type_=Response, value=response)


def _check_usage(usage: JsonObject | None) -> None:
    if usage is None:
        return
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]
    inputs, outputs = usage["input_tokens_details"], usage["output_tokens_details"]
    assert inputs["cached_tokens"] + inputs["cache_write_tokens"] <= usage["input_tokens"]
    assert outputs["reasoning_tokens"] <= usage["output_tokens"]


def _check_item(item: JsonObject) -> None:
    prefixes = {
        "message": "msg_",
        "function_call": "fc_",
        "custom_tool_call": "ctc_",
        "reasoning": "rs_",
        "web_search_call": "ws_",
        "image_generation_call": "ig_",
    }
    assert item["id"].startswith(prefixes[item["type"]])
    assert [key for key in OMITTED_WHEN_NULL if key in item and item[key] is None] == []
    if item["type"] == "message":
        assert item["role"] == "assistant"
        for part in item["content"]:
            if part["type"] == "output_text":
                assert part["annotations"] is not None
                assert part["logprobs"] is not None
    elif item["type"] in CALL_EVENTS:
        assert 1 <= len(item["call_id"]) <= 64
        if item["type"] == "function_call" and item["status"] == "completed":
            assert isinstance(json.loads(item["arguments"]), dict)
    elif item["type"] == "image_generation_call":
        assert (item["result"] is not None) == (item["status"] == "completed")
        assert base64.b64decode(item["result"] or "AA==", validate=True)


class _Book:
    """What a client would know after each event."""

    def __init__(self, response: JsonObject) -> None:
        self.identity = self._lifecycle(response)
        self.items: list[JsonObject] = []  # done
        self.item: JsonObject | None = None  # added, not done
        self.parts: list[tuple[str, str]] = []  # (kind, text) of the open item's done parts
        self.part: str | None = None  # the open part's kind
        self.annotations: list[JsonObject] = []
        self.text = ""
        self.text_done = False
        self.steps: list[str] = []  # events of the open search or image
        self.errors = 0

    def _lifecycle(self, response: JsonObject) -> tuple[str, int]:
        assert response["status"] == "in_progress"
        assert response["output"] == []
        assert response["usage"] is None
        check_answer(response)
        return response["id"], response["created_at"]

    def take(self, event: JsonObject) -> None:
        kind = event["type"]
        assert "error" not in event or kind == "error", "clients raise at a top-level `error`"
        assert not self.errors, f"{kind} after an error"
        if kind == "response.in_progress":
            assert self._lifecycle(event["response"]) == self.identity
        elif kind == "response.output_item.added":
            self._add_item(event)
        elif kind == "response.output_item.done":
            self._end_item(event)
        elif kind == "error":
            self._error(event)
        else:
            self._inside(event)

    def _add_item(self, event: JsonObject) -> None:
        assert self.item is None, "two items are open"
        assert event["output_index"] == len(self.items)
        self.item = event["item"]
        assert self.item is not None
        _check_item(self.item)
        assert self.item.get("status", "in_progress") == "in_progress"
        assert self.item.get("content", []) == []
        assert self.item.get("summary", []) == []
        assert self.item.get("arguments", "") == self.item.get("input", "") == ""
        self.parts, self.text, self.text_done = [], "", False
        self.steps = []

    def _end_item(self, event: JsonObject) -> None:
        added, done = self.item, event["item"]
        assert added is not None
        assert self.part is None, "an item ends with an open part"
        assert event["output_index"] == len(self.items)
        for key in ("id", "type", "call_id", "name", "role", "namespace"):
            assert added.get(key) == done.get(key)
        _check_item(done)
        assert done.get("status") in {None, "completed", "incomplete", *_failed(done)}
        if done["type"] == "web_search_call":
            assert self.steps == list(SEARCH_EVENTS)
        elif done["type"] == "image_generation_call":
            assert self.steps == list(IMAGE_EVENTS[: 3 if done["status"] == "completed" else 2])
        elif done["type"] in CALL_EVENTS:
            assert self.text_done
            assert done[CALL_EVENTS[done["type"]][2]] == self.text
        else:
            shown = [*done.get("summary", []), *done.get("content", [])]
            ordered = sorted(self.parts, key=lambda part: part[0] != "summary_text")
            assert [(part["type"], _text(part)) for part in shown] == ordered
        self.items.append(done)
        self.item = None

    def _error(self, event: JsonObject) -> None:
        self.errors += 1
        nested = event["error"]
        assert nested.keys() == {"type", "code", "message", "param"}
        assert nested["message"]
        for key in ("code", "message", "param"):
            assert event[key] == nested[key]

    def _inside(self, event: JsonObject) -> None:
        """An event of the open item."""
        kind, item = event["type"], self.item
        assert item is not None, f"{kind} without an item"
        assert event["item_id"] == item["id"]
        assert event["output_index"] == len(self.items)
        if kind in CALL_DELTAS:
            assert item["type"] == CALL_DELTAS[kind]
            assert not self.text_done
            assert event["delta"]
            self.text += event["delta"]
        elif kind in CALL_DONES:
            assert item["type"] == CALL_DONES[kind]
            assert event[CALL_EVENTS[item["type"]][2]] == self.text
            self.text_done = True
        elif kind in SEARCH_EVENTS:
            assert item["type"] == "web_search_call"
            self.steps.append(kind)
        elif kind in IMAGE_EVENTS:
            assert item["type"] == "image_generation_call"
            self.steps.append(kind)
        else:
            self._in_part(event)

    def _in_part(self, event: JsonObject) -> None:
        kind = event["type"]
        if kind in {"response.content_part.added", "response.reasoning_summary_part.added"}:
            self._add_part(event)
        elif kind in {"response.content_part.done", "response.reasoning_summary_part.done"}:
            self._end_part(event)
        elif kind == "response.output_text.annotation.added":
            assert self.part == "output_text"
            assert event["annotation_index"] == len(self.annotations)
            self.annotations.append(event["annotation"])
        elif kind in DELTAS:
            assert self.part == DELTAS[kind], f"{kind} in a part of type {self.part}"
            assert not self.text_done
            assert event["delta"]
            self._check_index(event)
            self.text += event["delta"]
        else:
            assert self.part == DONES[kind], f"{kind} in a part of type {self.part}"
            assert event[PART_EVENTS[DONES[kind]][2]] == self.text
            self._check_index(event)
            self.text_done = True

    def _check_index(self, event: JsonObject) -> None:
        summary = self.part == "summary_text"
        before = [part for part in self.parts if (part[0] == "summary_text") == summary]
        assert event["summary_index" if summary else "content_index"] == len(before)

    def _add_part(self, event: JsonObject) -> None:
        assert self.part is None, "two parts are open"
        self.part = event["part"]["type"]
        assert (self.part == "summary_text") == ("summary" in event["type"])
        self._check_index(event)
        assert _text(event["part"]) == ""
        self.text, self.text_done, self.annotations = "", False, []

    def _end_part(self, event: JsonObject) -> None:
        part = event["part"]
        assert part["type"] == self.part
        assert self.text_done
        self._check_index(event)
        assert _text(part) == self.text
        assert part.get("annotations", []) == self.annotations
        self.parts.append((part["type"], self.text))
        self.part = None

    def close(self, event: JsonObject) -> None:
        """The terminal event."""
        response = event["response"]
        status = event["type"].removeprefix("response.")
        assert response["status"] == status
        assert (response["id"], response["created_at"]) == self.identity
        check_answer(response)
        assert self.errors == (status == "failed")
        if status == "failed" and self.item is not None:
            assert response["output"][:-1] == self.items
            self._check_partial(response["output"][-1])
        else:
            assert self.item is None, "an item is open at the end"
            assert response["output"] == self.items

    def _check_partial(self, item: JsonObject) -> None:
        """A failed answer keeps what had come of its open item."""
        assert self.item is not None
        assert item["id"] == self.item["id"]
        assert item.get("status") in {None, "incomplete", *_failed(item)}
        if item["type"] in CALL_EVENTS:
            assert item[CALL_EVENTS[item["type"]][2]] == self.text
        else:
            shown = [*item.get("summary", []), *item.get("content", [])]
            told = self.parts + ([(self.part, self.text)] if self.part else [])
            assert sorted((part["type"], _text(part)) for part in shown) == sorted(told)


def _failed(item: JsonObject) -> set[str]:
    """A search or an image has no word for one that was cut short but `failed`."""
    return {"failed"} if item["type"] in {"web_search_call", "image_generation_call"} else set()


def _text(part: JsonObject) -> str:
    return part["refusal"] if part["type"] == "refusal" else part["text"]


def output_texts(response: JsonObject) -> Sequence[str]:
    """The texts of an answer's messages."""
    return [
        part["text"]
        for item in response["output"]
        if item["type"] == "message"
        for part in item["content"]
        if part["type"] == "output_text"
    ]

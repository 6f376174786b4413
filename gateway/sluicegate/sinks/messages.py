"""Items of the Responses API as the messages of the GenAI semantic conventions. Pure, and tolerant.

Source: gen-ai-input-messages.json and gen-ai-output-messages.json of the conventions.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

_OUTPUT_SUFFIX = "_output"


def input_messages(given: object) -> list[dict[str, Any]]:
    """What was asked."""
    if isinstance(given, str):
        return [_message("user", [_text(given)])]
    return [message for item in _objects(given) if (message := _of_item(item)) is not None]


def output_messages(output: object, finish_reason: str) -> list[dict[str, Any]]:
    """What was answered: the parts of all items, in one message."""
    parts = [
        part
        for item in _objects(output)
        if (message := _of_item(item)) is not None
        for part in message["parts"]
    ]
    return [_message("assistant", parts) | {"finish_reason": finish_reason}] if parts else []


def _of_item(item: Mapping[str, Any]) -> dict[str, Any] | None:
    kind = item.get("type", "message")
    if kind == "message":
        return _message(str(item.get("role", "assistant")), list(_content(item.get("content"))))
    if kind in ("function_call", "custom_tool_call"):
        call = {
            "type": "tool_call",
            "id": item.get("call_id"),
            "name": item.get("name"),
            "arguments": item.get("arguments", item.get("input")),
        }
        return _message("assistant", [call])
    if isinstance(kind, str) and kind.endswith(_OUTPUT_SUFFIX):
        answer = {"type": "tool_call_response", "id": item.get("call_id")}
        return _message("tool", [answer | {"response": item.get("output")}])
    if kind == "reasoning":
        said = [*_objects(item.get("summary")), *_objects(item.get("content"))]
        parts = [{"type": "reasoning", "content": each.get("text", "")} for each in said]
        return _message("assistant", parts) if parts else None
    return None


def _content(content: object) -> Iterator[dict[str, Any]]:
    if isinstance(content, str):
        yield _text(content)
    for part in _objects(content):
        kind = part.get("type")
        if kind in ("input_text", "output_text", "text"):
            yield _text(str(part.get("text", "")))
        elif kind == "refusal":
            yield _text(str(part.get("refusal", "")))
        elif isinstance(kind, str):
            yield {"type": kind}  # media: that it was there


def _message(role: str, parts: list[dict[str, Any]]) -> dict[str, Any]:
    return {"role": role, "parts": parts}


def _text(text: str) -> dict[str, Any]:
    return {"type": "text", "content": text}


def _objects(value: object) -> Iterator[Mapping[str, Any]]:
    if isinstance(value, list):
        for each in cast("Sequence[object]", value):
            if isinstance(each, dict):
                yield cast("Mapping[str, Any]", each)

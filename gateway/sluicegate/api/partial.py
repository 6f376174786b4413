"""What had come of an answer that broke off.

From kept frames to `error` and `response.failed` with partial output.

Runs only on failure, so a passed-through stream costs nothing while all is well.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any, TypeGuard, cast

import msgspec

from sluicegate.framing import sse
from sluicegate.model import ApiError, Event

_Object = dict[str, Any]  # JSON that this project did not define: fields are passed on as they are

# delta event -> (where its text goes in the content part, or None: into the item itself, key there)
_PART_TEXT = {
    "response.output_text.delta": "text",
    "response.refusal.delta": "refusal",
    "response.reasoning_text.delta": "text",
}
_ITEM_TEXT = {
    "response.function_call_arguments.delta": "arguments",
    "response.custom_tool_call_input.delta": "input",
}
_MOST_EVENTS = 1 << 53  # of one stream; a greater number is none that a client could count on
_SUMMARY_TEXT = "response.reasoning_summary_text.delta"
_RATE_CODES = frozenset({"rate_limit_exceeded", "insufficient_quota"})
_CLIENT_CODES = frozenset({"invalid_prompt", "context_length_exceeded"})
_TOO_MANY = 429  # some servers give an HTTP status as the code
# Response.error.code is a closed enumeration (OpenAPI); everything else is a server_error.
_RESPONSE_CODES = frozenset({"server_error", "rate_limit_exceeded", "invalid_prompt"})


def failed_events(frames: Iterable[bytes], error: ApiError, *, errored: bool) -> list[Event]:
    """The events that end a stream of which `frames` were written.

    `errored`: the upstream itself sent an `error` event, so only `response.failed` is missing.
    """
    response: _Object = {"object": "response", "output": [], "usage": None}
    items: dict[int, _Object] = {}
    sequence = -1
    for frame in frames:
        event = _decode(frame)
        if not event:
            continue
        number = event.get("sequence_number")
        sequence = max(sequence, number if _is_number(number) else sequence + 1)
        if isinstance(event.get("response"), dict):
            response = event["response"]
        else:
            _apply(items, event)
    response["status"] = "failed"
    response["error"] = {
        "code": error.error.code if error.error.code in _RESPONSE_CODES else "server_error",
        "message": error.error.message,
    }
    response["output"] = [_closed(items[index]) for index in sorted(items)]
    response.setdefault("created_at", int(time.time()))
    events: list[Event] = []
    if not errored:
        sequence += 1
        events.append(_event("error", error_payload(error, sequence)))
    return [*events, _failed(response, sequence + 1)]


def _failed(response: _Object, sequence_number: int) -> Event:
    payload = {"type": "response.failed", "sequence_number": sequence_number, "response": response}
    try:
        return _event("response.failed", payload)
    except RecursionError:  # what could just be read can't be written a level deeper
        flat = {k: value for k, value in response.items() if not isinstance(value, dict | list)}
        flat |= {"output": [], "error": response["error"]}
        return _event("response.failed", {**payload, "response": flat})


def stream_error(event: Event) -> ApiError | None:
    """What an `error` or `response.failed` event says, as the error of an answer that never began.

    None where it says nothing. The documented form of `error` is flat, the wire's is nested.
    """
    payload = _decode(event.frame)
    response = payload.get("response")
    holder = cast("_Object", response) if isinstance(response, dict) else payload
    nested = holder.get("error")
    said = cast("_Object", nested) if isinstance(nested, dict) else payload
    message, code, type_, param = (said.get(key) for key in ("message", "code", "type", "param"))
    if not isinstance(message, str):
        return None
    name = code if isinstance(code, str) else None
    if name in _RATE_CODES or code == _TOO_MANY:
        status = _TOO_MANY
    elif name in _CLIENT_CODES or type_ == "invalid_request_error":
        status = 400
    else:
        status = 500
    return ApiError(
        status,
        message,
        type="invalid_request_error" if status == 400 else "server_error",
        code=name,
        param=param if isinstance(param, str) else None,
    )


def error_payload(error: ApiError, sequence_number: int) -> _Object:
    """The `error` event in both of its forms at once.

    The documented type is flat, the wire is nested; clients are built on either (openai-python
    raises only for the nested one).
    """
    fields = msgspec.to_builtins(error.error)
    return {**fields, "type": "error", "sequence_number": sequence_number, "error": fields}


def _is_number(value: object) -> TypeGuard[int]:
    return type(value) is int and 0 <= value < _MOST_EVENTS


def _event(type_: str, payload: _Object) -> Event:
    return Event(type_, sse.encode(type_, msgspec.json.encode(payload)))


def _decode(frame: bytes) -> _Object:
    try:
        value = msgspec.json.decode(sse.parse_frame(frame).data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}
    return cast("_Object", value) if isinstance(value, dict) else {}


def _apply(items: dict[int, _Object], event: _Object) -> None:
    type_, index = event.get("type"), event.get("output_index")
    if not isinstance(index, int):
        return
    if type_ in ("response.output_item.added", "response.output_item.done"):
        if isinstance(event.get("item"), dict):
            items[index] = event["item"]
        return
    item = items.get(index)
    if item is None:
        return
    if type_ in ("response.content_part.added", "response.content_part.done"):
        _put(item, "content", event.get("content_index"), event.get("part"))
    elif type_ in (
        "response.reasoning_summary_part.added",
        "response.reasoning_summary_part.done",
    ):
        _put(item, "summary", event.get("summary_index"), event.get("part"))
    elif type_ in _PART_TEXT:
        _append(_at(item, "content", event.get("content_index")), _PART_TEXT[type_], event)
    elif type_ in _ITEM_TEXT:
        _append(item, _ITEM_TEXT[type_], event)
    elif type_ == _SUMMARY_TEXT:
        _append(_at(item, "summary", event.get("summary_index")), "text", event)


def _put(item: _Object, key: str, index: object, part: object) -> None:
    parts = item.get(key)
    if not isinstance(parts, list):
        parts = item[key] = []
    parts = cast("list[object]", parts)
    if isinstance(index, int) and 0 <= index < len(parts):
        parts[index] = part
    else:
        parts.append(part)


def _at(item: _Object, key: str, index: object) -> _Object:
    parts = item.get(key)
    if (
        isinstance(parts, list)
        and isinstance(index, int)
        and 0 <= index < len(cast("list[object]", parts))
    ):
        part = cast("list[object]", parts)[index]
        if isinstance(part, dict):
            return cast("_Object", part)
    return {}


def _append(holder: _Object, key: str, event: _Object) -> None:
    delta = event.get("delta")
    if isinstance(delta, str):
        text = holder.get(key)
        holder[key] = (text if isinstance(text, str) else "") + delta


def _closed(item: _Object) -> _Object:
    return {**item, "status": "incomplete"} if item.get("status") == "in_progress" else item

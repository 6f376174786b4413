"""What an answer came to: status, tokens, tier, model, from its last event or its whole body.

Provider-blind, so that accounting is the same for passed-through and translated answers, and
tolerant: an answer whose usage can't be read is still an answer.
"""

from __future__ import annotations

from typing import NamedTuple, TypeVar

import msgspec
from msgspec import Raw

from sluicegate.framing import sse
from sluicegate.model import Event, InputTokensDetails, OutputTokensDetails, Usage


class Outcome(NamedTuple):
    """`status` is the response's own word, empty where the bytes don't say.

    Usage None is unknown, not zero.
    """

    status: str
    response_id: str | None = None
    model: str | None = None
    service_tier: str | None = None
    usage: Usage | None = None
    error_code: str | None = None
    error_message: str | None = None
    incomplete_reason: str | None = None


class _Error(msgspec.Struct):
    code: str | int | None = None
    message: str | None = None


class _Incomplete(msgspec.Struct):
    reason: str | None = None


class _Usage(msgspec.Struct):
    """`total_tokens` absent: the sum."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    total_tokens: int | None = None
    input_tokens_details: dict[str, int | None] | None = None
    output_tokens_details: dict[str, int | None] | None = None


class _Response(msgspec.Struct):
    id: str | None = None
    status: str | None = None
    model: str | None = None
    service_tier: str | None = None
    usage: Usage | None = None
    error: _Error | None = None
    incomplete_details: _Incomplete | None = None


class _Loose(msgspec.Struct):
    """The same, each field read by itself."""

    id: Raw = Raw()
    status: Raw = Raw()
    model: Raw = Raw()
    service_tier: Raw = Raw()
    usage: Raw = Raw()
    error: Raw = Raw()
    incomplete_details: Raw = Raw()


class _Event(msgspec.Struct):
    response: _Response


class _LooseEvent(msgspec.Struct):
    response: _Loose


class _Filtered(msgspec.Struct):
    output: list[Raw] = []
    incomplete_details: _Incomplete | None = None


class _FilteredEvent(msgspec.Struct):
    response: _Filtered


_event = msgspec.json.Decoder(_Event)
_filtered = msgspec.json.Decoder(_Filtered)
_filtered_event = msgspec.json.Decoder(_FilteredEvent)
_FILTERED = b"content_filter"
_response = msgspec.json.Decoder(_Response)
_loose_event = msgspec.json.Decoder(_LooseEvent)
_loose = msgspec.json.Decoder(_Loose)
_text = msgspec.json.Decoder(str)
_usage = msgspec.json.Decoder(_Usage)
_error = msgspec.json.Decoder(_Error)
_incomplete = msgspec.json.Decoder(_Incomplete)
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_UNKNOWN = Outcome("")


def terminal_outcome(frame: bytes) -> Outcome:
    """The outcome that a terminal event's frame (`response.completed`, …) tells."""
    event = sse.parse_frame(frame)
    try:
        outcome = _strict(_event.decode(event.data).response)
    except _UNREADABLE:
        try:
            outcome = _tolerant(_loose_event.decode(event.data).response)
        except _UNREADABLE:
            outcome = _UNKNOWN
    if outcome.status:
        return outcome
    return outcome._replace(status=event.event.removeprefix("response."))


def answer_outcome(body: bytes) -> Outcome:
    """The outcome that a whole, not streamed Responses object tells."""
    try:
        return _strict(_response.decode(body))
    except _UNREADABLE:
        try:
            return _tolerant(_loose.decode(body))
        except _UNREADABLE:
            return _UNKNOWN


def filtered_answer(body: bytes) -> bool:
    """Whether a whole answer is nothing but the provider's refusal for its content policy."""
    if _FILTERED not in body:
        return False
    try:
        return _is_filtered(_filtered.decode(body))
    except _UNREADABLE:
        return False


def filtered_event(event: Event) -> bool:
    """The same of a stream's event."""
    if event.type != "response.incomplete" or _FILTERED not in event.frame:
        return False
    try:
        return _is_filtered(_filtered_event.decode(sse.parse_frame(event.frame).data).response)
    except _UNREADABLE:
        return False


def _is_filtered(answer: _Filtered) -> bool:
    reason = answer.incomplete_details
    return not answer.output and reason is not None and reason.reason == "content_filter"


def _strict(response: _Response) -> Outcome:
    usage = response.usage
    if usage is not None and not usage.total_tokens:
        usage = msgspec.structs.replace(
            usage, total_tokens=usage.input_tokens + usage.output_tokens
        )
    error, incomplete = response.error, response.incomplete_details
    return Outcome(
        response.status or "",
        response.id,
        response.model,
        response.service_tier,
        usage,
        None if error is None or error.code is None else str(error.code),
        None if error is None else error.message,
        None if incomplete is None else incomplete.reason,
    )


def _tolerant(response: _Loose) -> Outcome:
    error = _read(_error, response.error)
    incomplete = _read(_incomplete, response.incomplete_details)
    usage = _read(_usage, response.usage)
    return Outcome(
        _read(_text, response.status) or "",
        _read(_text, response.id),
        _read(_text, response.model),
        _read(_text, response.service_tier),
        None if usage is None else _counted(usage),
        None if error is None or error.code is None else str(error.code),
        None if error is None else error.message,
        None if incomplete is None else incomplete.reason,
    )


_T = TypeVar("_T")


def _read(decoder: msgspec.json.Decoder[_T], raw: Raw) -> _T | None:
    try:
        return decoder.decode(raw)
    except _UNREADABLE:
        return None


def _counted(usage: _Usage) -> Usage:
    input_details = usage.input_tokens_details or {}
    output_details = usage.output_tokens_details or {}
    input_tokens, output_tokens = usage.input_tokens or 0, usage.output_tokens or 0
    return Usage(
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        total_tokens=usage.total_tokens or input_tokens + output_tokens,
        input_tokens_details=InputTokensDetails(
            cached_tokens=input_details.get("cached_tokens") or 0,
            cache_write_tokens=input_details.get("cache_write_tokens") or 0,
        ),
        output_tokens_details=OutputTokensDetails(
            reasoning_tokens=output_details.get("reasoning_tokens") or 0
        ),
    )

"""The upstream's own event stream, passed on frame by frame as it came."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from sluicegate.api.partial import failed_events
from sluicegate.framing import sse
from sluicegate.model import TERMINAL_EVENTS, ApiError, Event
from sluicegate.providers.contract import UpstreamCall, UpstreamStreamError
from sluicegate.providers.openai.errors import upstream_error

# Frames are kept so that an answer that breaks off can be closed with what had come. Past this many
# bytes the partial output is given up rather than the memory.
_KEPT_BYTES = 4 * 1024 * 1024
_EVENT_FIELD = b"event: "


class _Typed(msgspec.Struct):
    type: str = ""


class _Whole(msgspec.Struct):
    object: str = ""
    id: str = ""


_typed = msgspec.json.Decoder(_Typed)
_whole = msgspec.json.Decoder(_Whole)


class PassthroughTranslator:
    """One attempt at an upstream that speaks `/responses`."""

    __slots__ = ("_call", "_ended", "_errored", "_kept", "_kept_bytes", "_label", "_splitter")

    dropped: tuple[str, ...] = ()  # everything passes

    def __init__(self, call: UpstreamCall, label: str) -> None:
        self._call = call
        self._label = label
        self._splitter = sse.FrameSplitter()
        self._kept: list[bytes] = []
        self._kept_bytes = 0
        self._ended = False
        self._errored = False

    def request(self) -> UpstreamCall:
        """The client's body under the upstream's model name."""
        return self._call

    def feed(self, chunk: bytes) -> list[Event]:
        """Whole frames of this chunk, unchanged; nothing after the terminal one (as a `[DONE]`)."""
        events: list[Event] = []
        try:
            frames = self._splitter.feed(chunk)
        except sse.FramingError as error:
            raise UpstreamStreamError(str(error)) from error
        for frame in frames:
            if self._ended:
                break
            type_ = _type_of(frame)
            if type_ is None:  # a comment or an empty frame carries nothing
                continue
            if type_ in TERMINAL_EVENTS:
                self._ended = True
            elif type_ == "error":
                self._errored = True
            self._keep(frame)
            events.append(Event(type_, frame))
        return events

    def close(self) -> list[Event]:
        """Nothing more comes. Raises UpstreamStreamError when no terminal event had come."""
        if not self._ended:
            raise UpstreamStreamError(
                f"deployment {self._label} closed the stream before its terminal event"
            )
        return []

    def answer(self, body: bytes) -> bytes:
        """The upstream's body, unchanged, when it is a JSON object."""
        try:
            _whole.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise UpstreamStreamError(
                f"deployment {self._label} answered with something that is not a Responses object"
            ) from error
        return body

    def fail(self, error: ApiError) -> list[Event]:
        """`error` (unless the upstream sent one) and `response.failed` with what had come."""
        self._ended = True
        return failed_events(self._kept, error, errored=self._errored)

    def error(self, status: int, headers: Mapping[str, str], body: bytes) -> ApiError:
        """The client's error; see errors.py."""
        secrets = tuple(
            value.removeprefix(b"Bearer ").decode("latin-1")
            for name, value in self._call.headers
            if name in (b"authorization", b"api-key")
        )
        return upstream_error(self._label, status, headers, body, secrets)

    def _keep(self, frame: bytes) -> None:
        if self._kept_bytes < _KEPT_BYTES:
            self._kept.append(frame)
            self._kept_bytes += len(frame)
        else:  # the first frames hold the response's own fields, the last its sequence number
            self._kept[-1] = frame


def _type_of(frame: bytes) -> str | None:
    """The event's type.

    From the `event:` field where the frame begins with it, else from its data.
    """
    if frame.startswith(_EVENT_FIELD):
        end = frame.find(b"\n")
        name = frame[len(_EVENT_FIELD) : end].rstrip(b"\r")
        if name in _KNOWN:
            return _KNOWN[name]
    parsed = sse.parse_frame(frame)
    if not parsed.data or parsed.data == b"[DONE]":
        return None
    if parsed.event:
        return parsed.event
    try:
        return _typed.decode(parsed.data).type or "message"
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UpstreamStreamError("an event of the upstream is not JSON") from error


_KNOWN = {
    name.encode(): name
    for name in (
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.output_item.done",
        "response.content_part.added",
        "response.content_part.done",
        "response.output_text.delta",
        "response.output_text.done",
        "response.function_call_arguments.delta",
        "response.function_call_arguments.done",
        "response.reasoning_summary_text.delta",
        "response.reasoning_summary_text.done",
        "response.reasoning_summary_part.added",
        "response.reasoning_summary_part.done",
        "response.completed",
        "response.incomplete",
        "response.failed",
        "error",
    )
}

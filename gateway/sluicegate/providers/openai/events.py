"""The upstream's own event stream, passed on frame by frame as it came."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from sluicegate.api.partial import failed_events, stream_error
from sluicegate.framing import sse
from sluicegate.model import TERMINAL_EVENTS, ApiError, Event
from sluicegate.providers.contract import UpstreamCall, UpstreamStreamError
from sluicegate.providers.openai.errors import upstream_error
from sluicegate.providers.openai.redaction import redacted

# Frames are kept so that an answer that breaks off can be closed with what had come. Past this many
# bytes the partial output is given up rather than the memory.
_KEPT_BYTES = 4 * 1024 * 1024
_DONE = b"[DONE]"
_FAILED = b'"failed"'
_FAILURES = frozenset({"response.failed", "error"})
_ENDS = TERMINAL_EVENTS | _FAILURES


class _NotAnEvent(Exception):
    """Bytes that no client could read as an event."""


class _Typed(msgspec.Struct):
    type: str = ""
    error: msgspec.Raw = msgspec.Raw(b"null")


class _Whole(msgspec.Struct):
    object: str = ""
    id: str = ""
    status: msgspec.Raw = msgspec.Raw(b"null")
    error: msgspec.Raw = msgspec.Raw(b"null")


_typed = msgspec.json.Decoder(_Typed)
_whole = msgspec.json.Decoder(_Whole)


class PassthroughTranslator:
    """One attempt at an upstream that speaks `/responses`."""

    __slots__ = (
        "_broken",
        "_call",
        "_ended",
        "_errored",
        "_kept",
        "_kept_bytes",
        "_label",
        "_splitter",
    )

    dropped: tuple[str, ...] = ()  # everything passes

    def __init__(self, call: UpstreamCall, label: str) -> None:
        self._call = call
        self._label = label
        self._splitter = sse.FrameSplitter()
        self._kept: list[list[Event]] = []
        self._kept_bytes = 0
        self._ended = False
        self._broken: UpstreamStreamError | None = None  # found behind events that were good
        self._errored = False

    def request(self) -> UpstreamCall:
        """The client's body under the upstream's model name."""
        return self._call

    def feed(self, chunk: bytes) -> list[Event]:
        """Whole frames of this chunk, unchanged; nothing after the terminal one (as a `[DONE]`)."""
        if self._ended:
            return []
        if self._broken is not None:
            raise self._broken
        events: list[Event] = []
        try:
            for frame in self._splitter.feed(chunk):
                type_ = _KNOWN.get(frame[: frame.find(b"\n")])
                if type_ is None:
                    type_ = _type_of(frame)
                    if type_ is None:
                        continue
                    if type_ in _FAILURES:
                        events.append(Event(type_, redacted(frame, self._secrets())))
                        self._errored = self._errored or type_ == "error"
                    else:
                        events.append(Event(type_, frame))
                    if type_ in TERMINAL_EVENTS:
                        self._ended = True
                        break
                else:
                    events.append(Event(type_, frame))
        except (sse.FramingError, _NotAnEvent) as error:
            # What came before it in this chunk is good: so this is told the next time.
            self._broken = UpstreamStreamError(
                f"deployment {self._label} broke the stream: {error}"
            )
            if not events:
                raise self._broken from error
        if events:
            self._keep(events, len(chunk))
        return events

    def close(self) -> list[Event]:
        """Nothing more comes. Raises UpstreamStreamError when no terminal event had come."""
        if self._broken is not None:
            raise self._broken
        if not self._ended:
            raise UpstreamStreamError(
                f"deployment {self._label} closed the stream before its terminal event"
            )
        return []

    def answer(self, body: bytes) -> bytes:
        """The upstream's body, unchanged, when it is a JSON object that tells of no failure.

        Raises ApiError where the answer failed, as it is raised of a stream that did.
        """
        try:
            whole = _whole.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise UpstreamStreamError(
                f"deployment {self._label} answered with something that is not a Responses object"
            ) from error
        if bytes(whole.status) == _FAILED:
            raise self._failed(whole.error)
        if whole.object == "error" or (whole.object != "response" and _says(whole.error)):
            raise UpstreamStreamError(
                f"deployment {self._label} answered with an error under a status of success"
            )
        return body

    def _failed(self, said: msgspec.Raw) -> ApiError:
        error = b" ".join(redacted(bytes(said), self._secrets()).splitlines())
        frame = sse.encode("response.failed", b'{"response":{"error":%b}}' % error)
        return stream_error(Event("response.failed", frame)) or ApiError(
            500,
            f"Deployment {self._label} failed to answer.",
            type="server_error",
            code="server_error",
        )

    def fail(self, error: ApiError) -> list[Event]:
        """`error` (unless the upstream sent one) and `response.failed` with what had come."""
        self._ended = True
        frames = (event.frame for events in self._kept for event in events if event.type)
        return failed_events(frames, error, errored=self._errored)

    def error(self, status: int, headers: Mapping[str, str], body: bytes) -> ApiError:
        """The client's error; see errors.py."""
        return upstream_error(self._label, status, headers, redacted(body, self._secrets()))

    def _secrets(self) -> list[bytes]:
        """What an upstream might repeat of the request and nobody else may see."""
        return [
            value.removeprefix(b"Bearer ")
            for name, value in self._call.headers
            if name in (b"authorization", b"api-key") and value not in (b"", b"Bearer ")
        ]

    def _keep(self, events: list[Event], size: int) -> None:
        if self._kept_bytes < _KEPT_BYTES:
            self._kept.append(events)
            self._kept_bytes += size
        else:  # the first frames hold the response's own fields, the last its sequence number
            self._kept[-1] = events[-1:]


def _says(error: msgspec.Raw) -> bool:
    return bytes(memoryview(error)[:4]) != b"null"


def _type_of(frame: bytes) -> str | None:
    """The event's type: from its `event:` field, else from its data.

    Some servers tell a failure as at other APIs, by an `error` without any type. Empty for a
    comment, None for what is not passed on. What ends a stream is looked into whatever its name,
    because a client that can't read it would wait for the end. Raises _NotAnEvent.
    """
    event, data = sse.parse_frame(frame)
    if not data:
        return "" if frame.startswith(b":") else None
    if data == _DONE:
        return None
    if event and event not in _ENDS:
        return event
    try:
        said = _typed.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _NotAnEvent("an event is not JSON") from error
    return event or said.type or ("error" if _says(said.error) else "message")


# By a frame's first line, with either end. What ends a stream is not among them.
_KNOWN = {
    b"event: %b%b" % (name.encode(), end): name
    for end in (b"", b"\r")
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
    )
}

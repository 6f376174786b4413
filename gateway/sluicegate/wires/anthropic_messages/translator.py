"""One attempt at a Messages API, but for address and credential, which a provider adds."""

from __future__ import annotations

from collections.abc import Mapping

from sluicegate.api.request import ResponsesRequest
from sluicegate.api.stream import fold
from sluicegate.framing import sse
from sluicegate.model import ApiError, Event, UpstreamStreamError
from sluicegate.wires.anthropic_messages import said
from sluicegate.wires.anthropic_messages.errors import http_error, stream_error
from sluicegate.wires.anthropic_messages.reader import MessageReader, require_block
from sluicegate.wires.anthropic_messages.request import Planned, plan
from sluicegate.wires.anthropic_messages.terms import Terms

_DELTA = b"event: content_block_delta\ndata: "
_PING = b"event: ping"
_LAST = frozenset({"message_stop", "error"})
_CLOSED = -1  # no block is open
_MOST_BYTES = 64 * 1024 * 1024  # of a streamed answer; models write a hundredth of that


class MessagesTranslator:
    """Base of a provider's translator, which adds `request`.

    `secrets` never appear in an error.
    """

    def __init__(
        self, request: ResponsesRequest, model: str, terms: Terms, secrets: tuple[str, ...]
    ) -> None:
        self._request = request
        self._model = model
        self._terms = terms
        self._secrets = secrets
        self._planned: Planned | None = None
        self._reader: MessageReader | None = None
        self._splitter = sse.FrameSplitter()
        self._fed = 0
        self._block = _CLOSED  # index of the open one
        self._end: said.End | None = None
        self._broken: UpstreamStreamError | None = None

    @property
    def dropped(self) -> tuple[str, ...]:
        """What the body leaves out of what the client asked for."""
        return () if self._planned is None else self._planned.dropped

    def body(self) -> bytes:
        """What to send. Raises ApiError (400) for what can't be said upstream."""
        self._planned = plan(self._request, self._model, self._terms)
        self._reader = MessageReader(self._planned.reading)
        return self._planned.body

    def feed(self, chunk: bytes) -> list[Event]:
        """Events that this chunk completes. Raises UpstreamStreamError."""
        reader = self._reading()
        if self._broken is not None:
            raise self._broken
        self._fed += len(chunk)
        if self._fed > _MOST_BYTES:
            raise UpstreamStreamError(f"the answer is larger than {_MOST_BYTES} bytes")
        try:
            frames = self._splitter.feed(chunk)
        except sse.FramingError as error:
            raise UpstreamStreamError(str(error)) from error
        events: list[Event] = []
        for frame in frames:
            if reader.ended:
                break
            try:
                events += self._frame(frame, reader)
            except UpstreamStreamError as error:
                # What came before it in the same chunk is good, and has its sequence numbers.
                self._broken = error
                if not events:
                    raise
                break
        return events

    def close(self) -> list[Event]:
        """The upstream closed the stream. Raises UpstreamStreamError where that was too early."""
        reader = self._reading()
        if self._broken is not None:
            raise self._broken
        if reader.ended:
            return []
        rest = self._splitter.close()
        if not self._is_last(rest):
            raise UpstreamStreamError(
                f"deployment {self._terms.label} closed the stream before its last event"
            )
        return self._frame(rest, reader)

    def answer(self, body: bytes) -> bytes:
        """The Responses object of a whole message. Raises UpstreamStreamError and ApiError."""
        reader = self._reading()
        try:
            message = said.messages.decode(body)
        except said.UNREADABLE as error:
            raise self._not_a_message() from error
        if message.type == "error":
            raise stream_error(self._terms.label, message.error, self._secrets)
        if message.type != "message":
            raise self._not_a_message()
        reader.whole = True
        reader.begin(message)
        for block in message.content:
            reader.begin_block(block)
        return fold(reader.finish(message.stop_reason, message.stop_details)[-1])

    def fail(self, error: ApiError) -> list[Event]:
        """`error`, then `response.failed` with the output and the usage so far."""
        return self._reading().fail(error)

    def error(self, status: int, headers: Mapping[str, str], body: bytes) -> ApiError:
        """The client's error for an answer that is not 2xx."""
        return http_error(self._terms.label, status, headers, body, self._secrets)

    # ---------------------------------------------------------------------------------- inside

    def _reading(self) -> MessageReader:
        if self._reader is None:
            self.body()
        reader = self._reader
        if reader is None:
            raise RuntimeError("a translator reads after it has asked")
        return reader

    def _is_last(self, frame: bytes) -> bool:
        """Whether this is an event that ends a stream, whole but for its blank line."""
        try:
            return said.events.decode(sse.parse_frame(frame).data).type in _LAST
        except said.UNREADABLE:
            return False

    def _frame(self, frame: bytes, reader: MessageReader) -> list[Event]:
        try:
            if frame.startswith(_DELTA):  # most are: spared the general way
                event = said.delta_events.decode(frame[len(_DELTA) :])
                if event.type == "content_block_delta":
                    return self._delta(event, reader)
            if frame.startswith(_PING):
                return []
            data = sse.parse_frame(frame).data
            if not data or data == b"[DONE]":
                return []
            return self._event(data, reader)
        except said.UNREADABLE as error:
            raise UpstreamStreamError(
                f"deployment {self._terms.label} sent an event that can't be read"
            ) from error

    def _delta(self, event: said.DeltaEvent, reader: MessageReader) -> list[Event]:
        if event.index != self._block:
            raise UpstreamStreamError(
                f"deployment {self._terms.label} sent more of a block that is not open"
            )
        return reader.delta(event.delta)

    def _event(self, data: bytes, reader: MessageReader) -> list[Event]:
        event = said.events.decode(data)
        events: list[Event] = []
        match event.type:
            case "content_block_delta":
                events = self._delta(said.delta_events.decode(data), reader)
            case "content_block_start":
                self._block = event.index
                events = reader.begin_block(require_block(event.content_block))
            case "content_block_stop":
                self._block = _CLOSED
                events = reader.end_block()
            case "message_start":
                events = reader.begin(event.message)
            case "message_delta":
                reader.counted.take(event.usage)
                self._end = event.delta or self._end
            case "message_stop":
                end = self._end or said.End()
                events = reader.finish(end.stop_reason, end.stop_details)
            case "error":
                events = reader.fail(stream_error(self._terms.label, event.error, self._secrets))
            case _:
                pass  # a ping, or an event of tomorrow
        return events

    def _not_a_message(self) -> UpstreamStreamError:
        return UpstreamStreamError(
            f"deployment {self._terms.label} answered with something that is not a message"
        )

"""One attempt at a Messages API, but for address and credential, which a provider adds."""

from __future__ import annotations

from collections.abc import Mapping

from sluicegate.api.stream import fold
from sluicegate.framing import sse
from sluicegate.model import ApiError, Event
from sluicegate.wires.anthropic_messages import said
from sluicegate.wires.anthropic_messages.errors import http_error, stream_error
from sluicegate.wires.anthropic_messages.reader import MessageReader, require_block
from sluicegate.wires.anthropic_messages.request import plan
from sluicegate.wires.anthropic_messages.terms import Dialect
from sluicegate.wires.translator import DialectTranslator

_DELTA = b"event: content_block_delta\ndata: "
_PING = b"event: ping"
_LAST = frozenset({"message_stop", "error"})
_CLOSED = -1  # no block is open
_NO_MESSAGE = "answered with something that is not a message"


class MessagesTranslator(DialectTranslator[Dialect, MessageReader]):
    """Base of a provider's translator, which adds `request`."""

    _block = _CLOSED  # index of the open one
    _stop: said.End | None = None

    def body(self) -> bytes:
        """What to send. Raises ApiError (400) for what can't be said upstream."""
        planned = plan(self._request, self._model, self._terms)
        self.dropped = planned.dropped
        self._reader = MessageReader(planned.reading)
        return planned.body

    def answer(self, body: bytes) -> bytes:
        """The Responses object of a whole message. Raises UpstreamStreamError and ApiError."""
        reader = self._reading()
        try:
            message = said.messages.decode(body)
        except said.UNREADABLE as error:
            raise self._bad(_NO_MESSAGE) from error
        if message.type == "error":
            raise stream_error(self._label, message.error, self._secrets)
        if message.type != "message":
            raise self._bad(_NO_MESSAGE)
        reader.whole = True
        reader.begin(message)
        for block in message.content:
            reader.begin_block(block)
        return fold(reader.finish(message.stop_reason, message.stop_details)[-1])

    def error(self, status: int, headers: Mapping[str, str], body: bytes) -> ApiError:
        """The client's error for an answer that is not 2xx."""
        return http_error(self._label, status, headers, body, self._secrets)

    # ---------------------------------------------------------------------------------- inside

    def _end(self, rest: bytes, reader: MessageReader) -> list[Event]:
        if not _is_last(rest):
            raise self._bad("closed the stream before its last event")
        return self._frame(rest, reader)

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
            raise self._bad("sent an event that can't be read") from error

    def _delta(self, event: said.DeltaEvent, reader: MessageReader) -> list[Event]:
        if event.index != self._block:
            raise self._bad("sent more of a block that is not open")
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
                self._stop = event.delta or self._stop
            case "message_stop":
                end = self._stop or said.End()
                events = reader.finish(end.stop_reason, end.stop_details)
            case "error":
                events = reader.fail(stream_error(self._label, event.error, self._secrets))
            case _:
                pass  # a ping, or an event of tomorrow
        return events


def _is_last(frame: bytes) -> bool:
    """Whether this is an event that ends a stream, whole but for its blank line."""
    try:
        return said.events.decode(sse.parse_frame(frame).data).type in _LAST
    except said.UNREADABLE:
        return False

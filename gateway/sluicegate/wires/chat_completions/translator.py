"""One attempt at a chat completion, but for address and credential, which a provider adds."""

from __future__ import annotations

from collections.abc import Mapping

from sluicegate.api.stream import fold
from sluicegate.framing import sse
from sluicegate.model import ApiError, Event
from sluicegate.wires.chat_completions import said
from sluicegate.wires.chat_completions.errors import Failure, failure, http_error, stream_error
from sluicegate.wires.chat_completions.reader import CompletionReader
from sluicegate.wires.chat_completions.request import plan
from sluicegate.wires.chat_completions.terms import Dialect
from sluicegate.wires.translator import DialectTranslator

_DATA = b"data: "
_ERROR = b"error:"  # llama.cpp until late in 2025 had a field of its own for it
_OBJECT = b"{"
_DONE = b"[DONE]"


class CompletionTranslator(DialectTranslator[Dialect, CompletionReader]):
    """Base of a provider's translator, which adds `request`."""

    bare = _OBJECT

    def body(self) -> bytes:
        """What to send. Raises ApiError (400) for what can't be said upstream."""
        planned = plan(self._request, self._model, self._terms)
        self.dropped = planned.dropped
        self._reader = CompletionReader(planned.reading)
        return planned.body

    def answer(self, body: bytes) -> bytes:
        """The Responses object of a whole answer. Raises UpstreamStreamError and ApiError."""
        reader = self._reading()
        reader.whole = True
        try:
            chunk = said.chunks.decode(body)
        except said.UNREADABLE as error:
            raise self._bad("answered with something that is no answer") from error
        failed = _failure_of(chunk, body)
        if failed is not None:
            raise stream_error(self._label, failed, self._secrets)
        if not chunk.choices:
            raise self._bad("answered with something that is no answer")
        reader.take(chunk)
        if reader.broken:
            raise self._broke_off()
        return fold(reader.finish()[-1])

    def error(self, status: int, headers: Mapping[str, str], body: bytes) -> ApiError:
        """The client's error for an answer that is not 2xx."""
        return http_error(self._label, status, headers, body, self._secrets)

    # ---------------------------------------------------------------------------------- inside

    def _end(self, rest: bytes, reader: CompletionReader) -> list[Event]:
        """Not all servers send `[DONE]`; that the answer is whole is said by its finish_reason."""
        if rest.startswith(_OBJECT):  # an answer that is no stream after all
            events = self._data(rest, reader)
            return events if reader.ended else events + self._finish(reader)
        if reader.finish_reason is None and not _has_reason(rest):
            self._done(reader)
        events = self._frame(rest, reader)  # the last frame may lack its blank line
        return events if reader.ended else events + self._done(reader)

    def _frame(self, frame: bytes, reader: CompletionReader) -> list[Event]:
        if frame.startswith(_DATA) and frame.count(b"\n") == 2 and frame.endswith(b"\n\n"):
            data = frame[len(_DATA) :].rstrip()  # most are of this form
        elif frame.startswith(_ERROR):
            failed = failure(frame[len(_ERROR) :])
            return reader.fail(stream_error(self._label, failed, self._secrets))
        else:
            event, data = sse.parse_frame(frame)
            data = data.strip()
            if event == "error" and data and data != _DONE:
                return reader.fail(stream_error(self._label, failure(data), self._secrets))
        if not data:
            return []
        if data == _DONE:
            return self._done(reader)
        return self._data(data, reader)

    def _data(self, data: bytes, reader: CompletionReader) -> list[Event]:
        try:
            chunk = said.chunks.decode(data)
        except said.UNREADABLE as error:
            raise self._bad("sent a chunk that can't be read") from error
        events = reader.take(chunk)
        failed = _failure_of(chunk, data)
        if failed is not None:
            events += reader.fail(stream_error(self._label, failed, self._secrets))
        return events

    def _done(self, reader: CompletionReader) -> list[Event]:
        if reader.finish_reason is None:
            raise self._bad("ended the stream before the answer's end")
        return self._finish(reader)

    def _finish(self, reader: CompletionReader) -> list[Event]:
        return reader.fail(self._broke_off()) if reader.broken else reader.finish()

    def _broke_off(self) -> ApiError:
        return ApiError(
            500,
            f"Deployment {self._label} broke the answer off.",
            type="server_error",
            code="server_error",
        )


def _has_reason(frame: bytes) -> bool:
    """Whether a frame tells that the answer has ended, or why it failed."""
    if frame.startswith(_ERROR):
        return True
    event, data = sse.parse_frame(frame)
    try:
        chunk = said.chunks.decode(data)
    except said.UNREADABLE:
        return False
    reasons = [choice.finish_reason for choice in chunk.choices or () if not choice.index]
    return any(reasons) or event == "error" or _failure_of(chunk, data) is not None


def _failure_of(chunk: said.Chunk, data: bytes) -> Failure | None:
    """What a body that came with status 200 says went wrong."""
    if said.is_given(chunk.error) or chunk.object == "error":
        return failure(data)
    if chunk.choices is None:
        bare = said.is_given(chunk.message) or said.is_given(chunk.detail)
        return failure(data) if bare else None
    for choice in chunk.choices:
        if not isinstance(choice.error, said.UnsetType) and said.is_given(choice.error):
            return failure(choice.error)
    return None

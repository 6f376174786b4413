"""One attempt at a chat completion, but for address and credential, which a provider adds."""

from __future__ import annotations

from collections.abc import Mapping

from sluicegate.api.request import ResponsesRequest
from sluicegate.api.stream import fold
from sluicegate.framing import sse
from sluicegate.model import ApiError, Event, UpstreamStreamError
from sluicegate.wires.chat_completions import said
from sluicegate.wires.chat_completions.errors import Failure, failure, http_error, stream_error
from sluicegate.wires.chat_completions.reader import CompletionReader
from sluicegate.wires.chat_completions.request import Planned, plan
from sluicegate.wires.chat_completions.terms import Terms

_DATA = b"data: "
_ERROR = b"error:"  # llama.cpp until late in 2025 had a field of its own for it
_OBJECT = b"{"
_DONE = b"[DONE]"
_MOST_BYTES = 64 * 1024 * 1024  # of a streamed answer; models write a hundredth of that


class CompletionTranslator:
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
        self._reader: CompletionReader | None = None
        self._splitter = sse.FrameSplitter()
        self._fed = 0
        self._whole: list[bytes] | None = None  # of an answer that is no stream after all
        self._broken: UpstreamStreamError | None = None

    @property
    def dropped(self) -> tuple[str, ...]:
        """What the body leaves out of what the client asked for."""
        return () if self._planned is None else self._planned.dropped

    def body(self) -> bytes:
        """What to send. Raises ApiError (400) for what can't be said upstream."""
        self._planned = plan(self._request, self._model, self._terms)
        self._reader = CompletionReader(self._planned.reading)
        return self._planned.body

    def feed(self, chunk: bytes) -> list[Event]:
        """Events that this chunk completes. Raises UpstreamStreamError."""
        reader = self._reading()
        if self._broken is not None:
            raise self._broken
        if not self._fed and chunk.lstrip()[:1] == _OBJECT:
            self._whole = []
        self._fed += len(chunk)
        if self._fed > _MOST_BYTES:
            raise UpstreamStreamError(f"the answer is larger than {_MOST_BYTES} bytes")
        if self._whole is not None:
            self._whole.append(chunk)
            return []
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
        """The upstream closed the stream. Raises UpstreamStreamError where that was too early.

        Not all servers send `[DONE]`; that the answer is whole is said by its finish_reason.
        """
        reader = self._reading()
        if self._broken is not None:
            raise self._broken
        if reader.ended:
            return []
        if self._whole is not None:
            events = self._data(b"".join(self._whole), reader)
            return events if reader.ended else events + self._finish(reader)
        rest = self._splitter.close()  # the last frame may lack its blank line
        if reader.finish_reason is None and not _has_reason(rest):
            self._end(reader)
        events = self._frame(rest, reader)
        return events if reader.ended else events + self._end(reader)

    def answer(self, body: bytes) -> bytes:
        """The Responses object of a whole answer. Raises UpstreamStreamError and ApiError."""
        reader = self._reading()
        reader.whole = True
        try:
            chunk = said.chunks.decode(body)
        except said.UNREADABLE as error:
            raise self._unreadable("answered with something that is no answer") from error
        failed = _failure_of(chunk, body)
        if failed is not None:
            raise stream_error(self._terms.label, failed, self._secrets)
        if not chunk.choices:
            raise self._unreadable("answered with something that is no answer")
        reader.take(chunk)
        if reader.broken:
            raise self._broke_off()
        return fold(reader.finish()[-1])

    def fail(self, error: ApiError) -> list[Event]:
        """`error`, then `response.failed` with the output and the usage so far."""
        return self._reading().fail(error)

    def error(self, status: int, headers: Mapping[str, str], body: bytes) -> ApiError:
        """The client's error for an answer that is not 2xx."""
        return http_error(self._terms.label, status, headers, body, self._secrets)

    # ---------------------------------------------------------------------------------- inside

    def _reading(self) -> CompletionReader:
        if self._reader is None:
            self.body()
        reader = self._reader
        if reader is None:
            raise RuntimeError("a translator reads after it has asked")
        return reader

    def _frame(self, frame: bytes, reader: CompletionReader) -> list[Event]:
        if frame.startswith(_DATA) and frame.count(b"\n") == 2 and frame.endswith(b"\n\n"):
            data = frame[len(_DATA) :].rstrip()  # most are of this form
        elif frame.startswith(_ERROR):
            failed = failure(frame[len(_ERROR) :])
            return reader.fail(stream_error(self._terms.label, failed, self._secrets))
        else:
            event, data = sse.parse_frame(frame)
            data = data.strip()
            if event == "error" and data and data != _DONE:
                return reader.fail(stream_error(self._terms.label, failure(data), self._secrets))
        if not data:
            return []
        if data == _DONE:
            return self._end(reader)
        return self._data(data, reader)

    def _data(self, data: bytes, reader: CompletionReader) -> list[Event]:
        try:
            chunk = said.chunks.decode(data)
        except said.UNREADABLE as error:
            raise self._unreadable("sent a chunk that can't be read") from error
        events = reader.take(chunk)
        failed = _failure_of(chunk, data)
        if failed is not None:
            events += reader.fail(stream_error(self._terms.label, failed, self._secrets))
        return events

    def _end(self, reader: CompletionReader) -> list[Event]:
        if reader.finish_reason is None:
            raise UpstreamStreamError(
                f"deployment {self._terms.label} ended the stream before the answer's end"
            )
        return self._finish(reader)

    def _finish(self, reader: CompletionReader) -> list[Event]:
        return reader.fail(self._broke_off()) if reader.broken else reader.finish()

    def _broke_off(self) -> ApiError:
        return ApiError(
            500,
            f"Deployment {self._terms.label} broke the answer off.",
            type="server_error",
            code="server_error",
        )

    def _unreadable(self, what: str) -> UpstreamStreamError:
        return UpstreamStreamError(f"deployment {self._terms.label} {what}")


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

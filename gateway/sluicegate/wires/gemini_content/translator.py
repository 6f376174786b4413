"""One attempt at `generateContent`, but for address and credential, which a provider adds."""

from __future__ import annotations

from collections.abc import Mapping

from sluicegate.api.request import ResponsesRequest
from sluicegate.api.stream import fold
from sluicegate.framing import sse
from sluicegate.model import ApiError, Event, UpstreamStreamError
from sluicegate.wires.gemini_content import said
from sluicegate.wires.gemini_content.body import Tier
from sluicegate.wires.gemini_content.errors import http_error, stream_error
from sluicegate.wires.gemini_content.reader import ContentReader
from sluicegate.wires.gemini_content.request import Planned, plan
from sluicegate.wires.gemini_content.terms import Terms

_DATA = b"data: "
_END = b"\r\n\r\n"
_LIST = b"["
_MOST_BYTES = 64 * 1024 * 1024  # of a streamed answer; models write a hundredth of that


class ContentTranslator:
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
        self._reader: ContentReader | None = None
        self._splitter = sse.FrameSplitter()
        self._fed = 0
        self._list: list[bytes] | None = None  # of an answer that is a list, not events
        self._broken: UpstreamStreamError | None = None  # to be raised after good events

    @property
    def dropped(self) -> tuple[str, ...]:
        """What the body leaves out of what the client asked for."""
        return () if self._planned is None else self._planned.dropped

    @property
    def tier(self) -> Tier | None:
        """The service tier that headers have to ask for, once the body is made."""
        return None if self._planned is None else self._planned.tier

    def body(self) -> bytes:
        """What to send. Raises ApiError (400) for what can't be said upstream."""
        self._planned = plan(self._request, self._model, self._terms)
        self._reader = ContentReader(self._planned.reading)
        return self._planned.body

    def feed(self, chunk: bytes) -> list[Event]:
        """Events that this chunk completes. Raises UpstreamStreamError."""
        reader = self._reading()
        if self._broken is not None:
            raise self._broken
        if not self._fed and chunk.lstrip()[:1] == _LIST:
            self._list = []
        self._fed += len(chunk)
        if self._fed > _MOST_BYTES:
            raise UpstreamStreamError(f"the answer is larger than {_MOST_BYTES} bytes")
        if self._list is not None:
            self._list.append(chunk)
            return []
        try:
            frames = self._splitter.feed(chunk)
        except sse.FramingError as error:
            raise UpstreamStreamError(str(error)) from error
        events: list[Event] = []
        for frame in frames:
            if reader.ended or self._broken is not None:
                break
            try:
                events += self._frame(frame, reader)
            except UpstreamStreamError as error:
                self._broken = error
        if self._broken is not None and not events:
            raise self._broken
        return events  # what came before something bad is good, and has its sequence numbers

    def close(self) -> list[Event]:
        """The upstream closed the stream. Raises UpstreamStreamError where that was too early.

        Only now the answer is known to be whole: some models repeat the reason for which it ended
        in every chunk, and usage may follow it.
        """
        reader = self._reading()
        if self._broken is not None:
            raise self._broken
        if reader.ended:
            return []
        # The last chunk may lack its blank line.
        data = _data(self._splitter.close()) if self._list is None else b"".join(self._list)
        said_last = self._decoded(data) if data else []
        if reader.finish_reason is None and not any(_ends(chunk) for chunk, _ in said_last):
            raise self._unreadable("closed the stream before its last chunk")
        events = self._take(said_last, reader)
        if reader.ended:
            return events
        if self._broken is None:
            return events + reader.finish()
        return events + reader.fail(
            ApiError(502, str(self._broken), type="server_error", code="upstream_invalid_answer")
        )

    def answer(self, body: bytes) -> bytes:
        """The Responses object of a whole answer. Raises UpstreamStreamError and ApiError."""
        reader = self._reading()
        reader.whole = True
        for chunk, data in self._decoded(body.strip()):
            if chunk.error is not None:
                raise stream_error(self._terms.label, chunk.error, self._secrets)
            reader.take(chunk, data)
            if reader.broken is not None:
                raise reader.broken
        if reader.finish_reason is None:
            raise self._unreadable("answered with something that is no whole answer")
        failure = reader.failure()
        if failure is not None:
            raise failure
        return fold(reader.finish()[-1])

    def fail(self, error: ApiError) -> list[Event]:
        """`error`, then `response.failed` with the output and the usage so far."""
        return self._reading().fail(error)

    def error(self, status: int, headers: Mapping[str, str], body: bytes) -> ApiError:
        """The client's error for an answer that is not 2xx."""
        return http_error(self._terms.label, status, headers, body, self._secrets)

    # ---------------------------------------------------------------------------------- inside

    def _reading(self) -> ContentReader:
        if self._reader is None:
            self.body()
        reader = self._reader
        if reader is None:
            raise RuntimeError("a translator reads after it has asked")
        return reader

    def _frame(self, frame: bytes, reader: ContentReader) -> list[Event]:
        data = _data(frame)
        return self._take(self._decoded(data), reader) if data else []

    def _decoded(self, data: bytes) -> list[tuple[said.Chunk, bytes]]:
        """The chunk, or the chunks of a list, each with its JSON. Raises UpstreamStreamError."""
        try:
            if not data.startswith(_LIST):
                return [(said.chunks.decode(data), data)]
            return [
                (said.chunks.decode(each), bytes(each)) for each in said.chunk_lists.decode(data)
            ]
        except said.UNREADABLE as error:
            raise self._unreadable("sent something that can't be read") from error

    def _take(self, chunks: list[tuple[said.Chunk, bytes]], reader: ContentReader) -> list[Event]:
        events: list[Event] = []
        for chunk, data in chunks:
            if chunk.error is not None:
                events += reader.fail(stream_error(self._terms.label, chunk.error, self._secrets))
            else:
                events += reader.take(chunk, data)
                self._broken = reader.broken
            if reader.ended or self._broken is not None:
                break
        return events

    def _unreadable(self, what: str) -> UpstreamStreamError:
        return UpstreamStreamError(f"deployment {self._terms.label} {what}")


def _data(frame: bytes) -> bytes:
    """The JSON that a frame holds, empty where it holds none."""
    if frame.startswith(_DATA) and frame.endswith(_END) and frame.find(b"\n") == len(frame) - 3:
        data = frame[len(_DATA) : -len(_END)]  # what Google sends
    else:
        data = sse.parse_frame(frame).data
        if not data:  # an error may come without `data:`, over many lines
            bare = frame.strip()
            data = bare if bare.startswith((b"{", _LIST)) else b""
    return b"" if data == b"[DONE]" else data


def _ends(chunk: said.Chunk) -> bool:
    """Whether an answer may be whole with this chunk."""
    feedback = chunk.prompt_feedback
    return (
        chunk.error is not None
        or bool(chunk.candidates and chunk.candidates[0].finish_reason)
        or bool(feedback is not None and feedback.block_reason)
    )

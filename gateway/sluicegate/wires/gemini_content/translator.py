"""One attempt at `generateContent`, but for address and credential, which a provider adds."""

from __future__ import annotations

from collections.abc import Mapping

from sluicegate.api.stream import fold
from sluicegate.framing import sse
from sluicegate.model import ApiError, Event
from sluicegate.wires.gemini_content import said
from sluicegate.wires.gemini_content.body import Tier
from sluicegate.wires.gemini_content.errors import http_error, stream_error
from sluicegate.wires.gemini_content.reader import ContentReader
from sluicegate.wires.gemini_content.request import plan
from sluicegate.wires.gemini_content.terms import Dialect
from sluicegate.wires.translator import DialectTranslator

_DATA = b"data: "
_END = b"\r\n\r\n"
_LIST = b"["


class ContentTranslator(DialectTranslator[Dialect, ContentReader]):
    """Base of a provider's translator, which adds `request`.

    `tier`: the service tier that headers have to ask for, once the body is made.
    """

    bare = _LIST
    tier: Tier | None = None

    def body(self) -> bytes:
        """What to send. Raises ApiError (400) for what can't be said upstream."""
        planned = plan(self._request, self._model, self._terms)
        self.dropped, self.tier = planned.dropped, planned.tier
        self._reader = ContentReader(planned.reading)
        return planned.body

    def answer(self, body: bytes) -> bytes:
        """The Responses object of a whole answer. Raises UpstreamStreamError and ApiError."""
        reader = self._reading()
        reader.whole = True
        for chunk, data in self._decoded(body.strip()):
            if chunk.error is not None:
                raise stream_error(self._label, chunk.error, self._secrets)
            reader.take(chunk, data)
            if reader.broken is not None:
                raise reader.broken
        if reader.finish_reason is None:
            raise self._bad("answered with something that is no whole answer")
        failure = reader.failure()
        if failure is not None:
            raise failure
        return fold(reader.finish()[-1])

    def error(self, status: int, headers: Mapping[str, str], body: bytes) -> ApiError:
        """The client's error for an answer that is not 2xx."""
        return http_error(self._label, status, headers, body, self._secrets)

    # ---------------------------------------------------------------------------------- inside

    def _end(self, rest: bytes, reader: ContentReader) -> list[Event]:
        """Only now the answer is known to be whole.

        Some models repeat the reason for which it ended in every chunk, and usage may follow it.
        """
        data = _data(rest)  # the last chunk may lack its blank line
        said_last = self._decoded(data) if data else []
        if reader.finish_reason is None and not any(_ends(chunk) for chunk, _ in said_last):
            raise self._bad("closed the stream before its last chunk")
        events = self._take(said_last, reader)
        if reader.ended:
            return events
        if self._broken is None:
            return events + reader.finish()
        return events + reader.fail(
            ApiError(502, str(self._broken), type="server_error", code="upstream_invalid_answer")
        )

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
            raise self._bad("sent something that can't be read") from error

    def _take(self, chunks: list[tuple[said.Chunk, bytes]], reader: ContentReader) -> list[Event]:
        events: list[Event] = []
        for chunk, data in chunks:
            if chunk.error is not None:
                events += reader.fail(stream_error(self._label, chunk.error, self._secrets))
            else:
                events += reader.take(chunk, data)
                self._broken = reader.broken
            if reader.ended or self._broken is not None:
                break
        return events


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

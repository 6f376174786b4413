"""What one attempt's translators have in common: chunks to frames, and what is broken behind them.

A dialect brings a reader, which makes events of frames; a provider brings address and credential.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, Generic, Protocol, TypeVar

from sluicegate.api.request import ResponsesRequest
from sluicegate.framing import sse
from sluicegate.model import ApiError, Event, UpstreamStreamError
from sluicegate.wires.terms import DialectT, Terms

_MOST_BYTES = 64 * 1024 * 1024  # of a streamed answer; models write a hundredth of that


class Reader(Protocol):
    """One answer. Nothing follows once it has `ended`; `fail` ends it."""

    @property
    def ended(self) -> bool:
        """Whether the last event has been made."""
        ...

    def fail(self, error: ApiError) -> list[Event]:
        """`error`, then `response.failed` with the output and the usage so far."""
        ...


FrameT = TypeVar("FrameT")
RestT_co = TypeVar("RestT_co", covariant=True)
ReaderT = TypeVar("ReaderT", bound=Reader)
RestT = TypeVar("RestT")


class Splitter(Protocol[FrameT, RestT_co]):
    """Cuts one stream into frames."""

    def feed(self, chunk: bytes) -> list[FrameT]:
        """Frames that this chunk completes. Raises FramingError."""
        ...

    def close(self) -> RestT_co:
        """What is left. Raises FramingError where that may not be."""
        ...


class Uncut:
    """Splitter of what has no frames: all of it is left."""

    def __init__(self) -> None:
        self._chunks: list[bytes] = []

    def feed(self, chunk: bytes) -> list[bytes]:
        """None."""
        self._chunks.append(chunk)
        return []

    def close(self) -> bytes:
        """Everything."""
        return b"".join(self._chunks)


class FrameTranslator(ABC, Generic[FrameT, RestT, ReaderT]):
    """Base of a translator whose upstream answers in frames. `label` names the deployment."""

    def __init__(self, label: str, splitter: Splitter[FrameT, RestT]) -> None:
        self.dropped: tuple[str, ...] = ()  # what the client asked for and is not sent
        self._label = label
        self._splitter = splitter
        self._fed = 0
        self._begun = False
        self._broken: UpstreamStreamError | None = None  # found behind events that were good

    def feed(self, chunk: bytes) -> list[Event]:
        """Events that this chunk completes. Raises UpstreamStreamError.

        What came before something bad is good, and has its sequence numbers: so the bad is told
        alone, the next time where it has to be.
        """
        reader = self._reading()
        if self._broken is not None:
            raise self._broken
        self._fed += len(chunk)
        if self._fed > _MOST_BYTES:
            raise self._bad(f"sent an answer that is larger than {_MOST_BYTES} bytes")
        if not self._begun:
            self._begin(chunk.lstrip())
        events: list[Event] = []
        try:
            for frame in self._splitter.feed(chunk):
                if reader.ended or self._broken is not None:
                    break
                events += self._frame(frame, reader)
        except UpstreamStreamError as error:
            self._broken = error
        except sse.FramingError as error:
            self._broken = self._bad(f"broke the stream: {error}")
        if self._broken is not None and not events:
            raise self._broken
        return events

    def close(self) -> list[Event]:
        """The upstream closed the stream. Raises UpstreamStreamError where that was too early."""
        reader = self._reading()
        if self._broken is not None:
            raise self._broken
        if reader.ended:
            return []
        try:
            rest = self._splitter.close()
        except sse.FramingError as error:
            raise self._bad(f"broke the stream: {error}") from error
        return self._end(rest, reader)

    def fail(self, error: ApiError) -> list[Event]:
        """`error`, then `response.failed` with the output and the usage so far."""
        return self._reading().fail(error)

    def _begin(self, chunk: bytes) -> None:
        """The first bytes that say something, or none."""
        self._begun = bool(chunk)

    @abstractmethod
    def _reading(self) -> ReaderT:
        """The reader of this attempt's answer."""

    @abstractmethod
    def _frame(self, frame: FrameT, reader: ReaderT) -> list[Event]:
        """Events of a frame. Raises UpstreamStreamError, or sets `_broken` beside good events."""

    @abstractmethod
    def _end(self, rest: RestT, reader: ReaderT) -> list[Event]:
        """The last events; `rest` follows the last frame. Raises UpstreamStreamError."""

    def _bad(self, what: str) -> UpstreamStreamError:
        return UpstreamStreamError(f"deployment {self._label} {what}")


class DialectTranslator(FrameTranslator[bytes, bytes, ReaderT], Generic[DialectT, ReaderT]):
    """Base of a dialect's translator, to which a provider adds `request`.

    `secrets` never appear in an error.
    """

    bare: ClassVar[bytes] = b""  # how an answer begins that is JSON after all, and no events

    def __init__(
        self,
        request: ResponsesRequest,
        model: str,
        terms: Terms[DialectT],
        secrets: tuple[str, ...],
    ) -> None:
        super().__init__(terms.label, sse.FrameSplitter())
        self._request = request
        self._model = model
        self._terms = terms
        self._secrets = secrets
        self._reader: ReaderT | None = None

    @abstractmethod
    def body(self) -> bytes:
        """What to send. Raises ApiError (400) for what can't be said upstream.

        Sets `dropped` and the reader.
        """

    def _begin(self, chunk: bytes) -> None:
        super()._begin(chunk)
        if self.bare and chunk.startswith(self.bare):
            self._splitter = Uncut()

    def _reading(self) -> ReaderT:
        if self._reader is None:
            self.body()
        reader = self._reader
        if reader is None:
            raise RuntimeError("a translator reads after it has asked")
        return reader

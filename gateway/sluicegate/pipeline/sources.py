"""Where the events of an attempt come from.

An upstream's bytes through a translator, or the deployment itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from time import monotonic
from typing import Protocol

from sluicegate.model import Event
from sluicegate.pipeline.closing import Closing
from sluicegate.providers.contract import Translator
from sluicegate.transport import TimedOut, UpstreamAnswer, UpstreamError


class EventSource(Protocol):
    """Events of one streamed attempt, in order."""

    async def next(self) -> list[Event] | None:
        """The next events (may be none yet), or None after the last.

        Raises UpstreamError or UpstreamStreamError.
        """
        ...

    def finish(self) -> None:
        """The terminal event has come: nothing more is wanted."""
        ...

    def abort(self) -> None:
        """The client left, or the attempt failed."""
        ...


class UpstreamEvents:
    """The stream of an upstream."""

    __slots__ = ("_answer", "_translator")

    def __init__(self, answer: UpstreamAnswer, translator: Translator) -> None:
        self._answer = answer
        self._translator = translator

    async def next(self) -> list[Event] | None:
        """See EventSource."""
        chunk = await self._answer.read_chunk()
        if chunk:
            return self._translator.feed(chunk)
        return self._translator.close() or None

    def finish(self) -> None:
        """Let the transport read on to the end of the answer.

        So that the connection can serve again.
        """
        self._answer.discard()

    def abort(self) -> None:
        """Close the connection: the rest of the answer is unwanted."""
        self._answer.abort()


class LocalEvents:
    """Events that a deployment makes up, at its own pace.

    Until `deadline` (monotonic seconds), or until the gateway closes.
    """

    __slots__ = ("_closing", "_cut", "_deadline", "_later", "_steps")

    def __init__(
        self, steps: Iterator[tuple[float, list[Event]]], deadline: float, closing: Closing
    ) -> None:
        self._steps = steps
        self._deadline = deadline
        self._closing = closing
        self._cut: UpstreamError | None = None  # why the rest is not told
        self._later: tuple[float, list[Event]] | None = None  # read already, but not due yet

    async def next(self) -> list[Event] | None:
        """See EventSource.

        What is due at the same time is returned together, to go out in one write.
        """
        if self._cut is not None:
            raise self._cut
        due: list[Event] = []
        if self._later is not None:
            pause, due = self._later
            self._later = None
            if await self._pause(pause) is not None:
                return due  # these are numbered already, so they go out before the end is told
        for pause, events in self._steps:
            if pause > 0 and due:
                self._later = (pause, events)
                return due
            if pause > 0:
                cut = await self._pause(pause)
                if cut is not None:
                    raise cut
            due = due + events if due else events
        return due or None

    async def _pause(self, seconds: float) -> UpstreamError | None:
        """Wait. Answers what has cut the pause short."""
        left = max(self._deadline - monotonic(), 0.0)
        await self._closing.pause(min(seconds, left))
        if self._closing.begun:
            self._cut = UpstreamError("body", "the gateway is shutting down", sent=False)
        elif seconds > left:
            self._cut = TimedOut("total", "the attempt took too long", sent=False)
        return self._cut

    def finish(self) -> None:
        """Nothing is held."""

    def abort(self) -> None:
        """Nothing is held."""

"""The stream objects: typed events, and a connection that ends with whoever stops reading."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncGenerator, Generator
from types import TracebackType
from typing import Self

import openai
from openai.types.responses import Response, ResponseStreamEvent

from sluicegate.api.partial import stream_error
from sluicegate.model import TERMINAL_EVENTS, ApiError, Event
from sluicegate.sdk.attempt import Attempt, terminal_of
from sluicegate.sdk.exchange import Opened
from sluicegate.sdk.exchange_async import AsyncOpened
from sluicegate.sdk.failures import AttemptFailed, stream_failure


class _Told:
    """What a stream has said and nobody has read yet, sans-IO."""

    def __init__(self, attempt: Attempt, events: list[Event]) -> None:
        self._attempt = attempt
        self._pending = deque(events)
        self.ended = False
        self.final: Response | None = None

    def take(self, events: list[Event] | None) -> None:
        """More events; None: there are no more. Raises AttemptFailed if that is too early."""
        if events is None:
            raise self._attempt.broken(
                f"{self._attempt.target.label} ended its stream before the terminal event"
            )
        self._pending.extend(events)

    def next(self) -> ResponseStreamEvent | None:
        """The next event, None where more has to be read.

        Raises openai.APIError where the stream says that it failed; AttemptFailed.
        """
        while self._pending:
            event = self._pending.popleft()
            if event.type == "error":
                raise self._failed(event)
            typed = self._typed(event) if event.type else None
            if typed is not None:
                return typed
        return None

    def broke(self, failed: AttemptFailed) -> openai.OpenAIError:
        """The stream can't go on: what its reader is told. `final` has what had come."""
        error = ApiError(502, str(failed), type="server_error")
        self._finish(self._attempt.translator.fail(error))
        return failed.error

    def _failed(self, event: Event) -> openai.OpenAIError:
        error = stream_error(event) or ApiError(500, "The stream failed.", type="server_error")
        rest = list(self._pending)
        if terminal_of(rest) is None:
            rest = self._attempt.translator.fail(error)
        self._finish(rest)
        return stream_failure(error, self._attempt.asked)

    def _finish(self, events: list[Event]) -> None:
        self._pending.clear()
        self.ended = True
        terminal = terminal_of(events)
        if terminal is not None:
            self._typed(terminal)

    def _typed(self, event: Event) -> ResponseStreamEvent | None:
        typed = self._attempt.event(event)
        if event.type in TERMINAL_EVENTS:
            self.ended = True
            response = getattr(typed, "response", None)
            self.final = response if isinstance(response, Response) else None
        return typed


def _final(told: _Told) -> Response:
    if told.final is None:
        raise RuntimeError("the stream was closed before its end")
    return told.final


class ResponseStream:
    """The events of an answer, as they come: iterate over it, once.

    Its connection is closed at the end, by an error, by leaving a loop over it, by `close`, and by
    leaving a `with` block.
    """

    def __init__(self, opened: Opened) -> None:
        self._source = opened.source
        self._told = _Told(opened.attempt, opened.events)
        self.request_id = opened.source.request_id

    @property
    def final(self) -> Response | None:
        """The answer of the event that ended the stream, also where it failed; None before."""
        return self._told.final

    def __next__(self) -> ResponseStreamEvent:
        """The next event. Raises openai.APIError where the stream fails."""
        try:
            return self._next()
        except BaseException:
            self.close()
            raise

    def _next(self) -> ResponseStreamEvent:
        failed: AttemptFailed
        try:
            while not self._told.ended:
                event = self._told.next()
                if event is not None:
                    return event
                self._told.take(self._source.next())
        except AttemptFailed as error:
            failed = error
        else:
            raise StopIteration
        if self._told.ended:  # closed meanwhile, by another thread
            raise StopIteration
        raise self._told.broke(failed)

    def __iter__(self) -> Generator[ResponseStreamEvent]:
        # A generator ends when the loop over it does: so `break` closes the connection.
        try:
            while True:
                try:
                    event = next(self)
                except StopIteration:
                    return
                yield event
        finally:
            self.close()

    def get_final_response(self) -> Response:
        """Read to the end: the whole answer. Raises openai.APIError where the stream fails."""
        for _ in self:
            pass
        return _final(self._told)

    def close(self) -> None:
        """Close the connection; there are no more events."""
        self._told.ended = True
        self._source.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        self.close()


class AsyncResponseStream:
    """The events of an answer, as they come: iterate over it, once.

    Its connection is closed at the end, by an error, by leaving a loop over it (right after), by
    cancelling who reads, by `close`, and by leaving an `async with` block.
    """

    def __init__(self, opened: AsyncOpened) -> None:
        self._source = opened.source
        self._told = _Told(opened.attempt, opened.events)
        self.request_id = opened.source.request_id

    @property
    def final(self) -> Response | None:
        """The answer of the event that ended the stream, also where it failed; None before."""
        return self._told.final

    async def __anext__(self) -> ResponseStreamEvent:
        """The next event. Raises openai.APIError where the stream fails."""
        try:
            return await self._next()
        except BaseException:
            await self.close()
            raise

    async def _next(self) -> ResponseStreamEvent:
        failed: AttemptFailed
        try:
            while not self._told.ended:
                event = self._told.next()
                if event is not None:
                    return event
                self._told.take(await self._source.next())
        except AttemptFailed as error:
            failed = error
        else:
            raise StopAsyncIteration
        if self._told.ended:  # closed meanwhile, by another task
            raise StopAsyncIteration
        raise self._told.broke(failed)

    async def __aiter__(self) -> AsyncGenerator[ResponseStreamEvent]:
        # A generator ends when the loop over it does: so `break` closes the connection.
        try:
            while True:
                try:
                    event = await anext(self)
                except StopAsyncIteration:
                    return
                yield event
        finally:
            await self.close()

    async def get_final_response(self) -> Response:
        """Read to the end: the whole answer. Raises openai.APIError where the stream fails."""
        async for _ in self:
            pass
        return _final(self._told)

    async def close(self) -> None:
        """Close the connection; there are no more events."""
        self._told.ended = True
        await self._source.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        await self.close()

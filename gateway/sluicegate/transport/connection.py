"""One upstream connection and the answer it is carrying.

`Connection` is the asyncio protocol; it lives as long as the socket and serves one exchange after
another. `UpstreamAnswer` is what the caller of `Transport.send` holds. Both are driven by the event
loop's callbacks: no task, and in steady state no timer, is made for a request.
"""

import asyncio
import os
from typing import Final, Literal, Protocol, cast

from .decoder import AnswerDecoder, FramingFault, Stage
from .errors import (
    AnswerTooLarge,
    ConnectionLost,
    ProtocolViolation,
    TimedOut,
    UpstreamError,
    reason_of,
)
from .messages import AttemptTimeouts

# Reading stops when this many body bytes wait for a slow consumer.
HIGH_WATER_BYTES: Final = 256 * 1024
# A request up to this size goes out in one write; a longer body follows in slices of it, as the
# socket takes them, so that an early answer is noticed before megabytes are queued.
SLICE_BYTES: Final = 128 * 1024
# What may still come after an event stream's last event, and how soon.
_REST_BYTES: Final = 16 * 1024
_REST_SECONDS: Final = 1.0
_FIRST_ERROR_STATUS: Final = 300
_NEVER: Final = float("inf")


class UpstreamAnswer:
    """An answer whose head has arrived; the body is read by one consumer.

    Either read it to the end or call `abort`. Cancelling a task that waits here aborts it too.
    """

    __slots__ = (
        "_buffered",
        "_connection",
        "_decoder",
        "_due",
        "_error",
        "_first_byte",
        "_idle",
        "_limit",
        "_paused",
        "_total_due",
        "_waiter",
    )

    def __init__(
        self,
        connection: "Connection",
        timeouts: AttemptTimeouts,
        total_due: float,
        *,
        head_only: bool,
    ) -> None:
        """`total_due` is the loop time at which the whole attempt ends."""
        self._connection: Connection | None = connection
        self._decoder = AnswerDecoder(bodiless=head_only)
        self._buffered = 0
        self._error: UpstreamError | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._limit: int | None = None
        self._paused = False
        self._idle = timeouts.idle
        self._first_byte = timeouts.first_byte
        self._due = connection.loop.time() + timeouts.first_byte
        self._total_due = total_due

    @property
    def status(self) -> int:
        """The final status code."""
        return self._decoder.status

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        """All headers in order, names in lower case, hop-by-hop ones included."""
        return self._decoder.headers

    # For the consumer.

    async def read_all(self, limit: int) -> bytes:
        """Return the whole body; raises AnswerTooLarge above `limit` bytes, or UpstreamError."""
        decoder = self._decoder
        self._limit = limit
        if self._connection is not None:
            if decoder.stage is Stage.LENGTH and self._buffered + decoder.remaining > limit:
                self._too_large()
            self._resume()
        while self._connection is not None:
            await self._wait()
        if self._error is not None:
            raise self._error
        body = b"".join(decoder.parts)
        decoder.parts.clear()
        if len(body) > limit:
            raise self._size_error()
        return body

    async def read_chunk(self) -> bytes:
        """Return everything that has arrived; `b""` is the proper end. Raises UpstreamError."""
        parts = self._decoder.parts
        while not parts and self._connection is not None:
            await self._wait()
        if parts:
            data = parts[0] if len(parts) == 1 else b"".join(parts)
            parts.clear()
            self._buffered = 0
            self._resume()
            return data
        if self._error is not None:
            raise self._error
        return b""

    def abort(self) -> None:
        """Close the connection at once, unless the answer is complete. Idempotent."""
        if self._connection is not None:
            self.fail(self.lost_error("the attempt was given up"))

    def discard(self) -> None:
        """Nothing more is wanted, but the end is near: the connection may serve again after it.

        The rest is read and dropped behind the consumer's back; where it is long or takes long,
        the connection is closed instead.
        """
        connection = self._connection
        if connection is None:
            return
        self._limit = self._buffered + _REST_BYTES
        self._total_due = min(self._total_due, connection.loop.time() + _REST_SECONDS)
        self._resume()
        connection.watch(self.due)

    # For the transport and the connection.

    async def head(self) -> None:
        """Wait for the head; raises UpstreamError."""
        decoder = self._decoder
        while not decoder.status:
            if self._error is not None:
                raise self._error
            await self._wait()

    @property
    def due(self) -> float:
        """The loop time at which the attempt times out."""
        return min(self._due, self._total_due)

    def sent_more(self, now: float) -> None:
        """Part of a long request went out: the wait for the answer begins anew."""
        if not self._decoder.status:
            self._due = now + self._first_byte

    def receive(self, data: bytes) -> None:
        """Take bytes from the socket."""
        connection, decoder = self._connection, self._decoder
        assert connection is not None  # noqa: S101 (a finished answer is detached from the socket)
        had_head = decoder.status
        try:
            self._buffered += decoder.feed(data)
        except FramingFault as fault:
            message = f"its answer is not valid HTTP: {fault}"
            self.fail(ProtocolViolation(self._phase(), message, connection.where, sent=True))
            return
        if decoder.stage is Stage.DONE:
            self._finish(connection)
        elif decoder.status:
            self._due = _NEVER if self._paused else connection.loop.time() + self._idle
            if not had_head:
                connection.head_arrived(decoder.status)
                connection.watch(self.due)
            self._hold_back(connection)
        if self._waiter is not None and (self._limit is None or self._connection is None):
            self._wake()

    def end_of_input(self) -> bool:
        """The upstream ended its side; returns whether the answer is properly complete by that."""
        connection = self._connection
        if connection is None or not self._decoder.feed_eof():
            return False
        self._finish(connection)
        self._wake()
        return True

    def time_out(self, now: float) -> None:
        """End the attempt because one of its deadlines has passed."""
        connection = self._connection
        assert connection is not None  # noqa: S101 (the timer of an idle connection goes elsewhere)
        phase: Literal["total", "idle", "first_byte"]
        if now >= self._total_due:
            phase, what = "total", "the attempt took too long"
        elif self._decoder.status:
            phase, what = "idle", "no further data in time"
        else:
            phase, what = "first_byte", "no answer in time"
        self.fail(TimedOut(phase, what, connection.where, sent=True))

    def fail(self, error: UpstreamError) -> None:
        """End the attempt: close the connection, keep the error for the consumer."""
        connection = self._connection
        if connection is None:
            return
        self._error = error
        self._connection = None
        self._decoder.close()
        connection.abort()
        self._wake()

    def lost_error(self, message: str) -> ConnectionLost:
        """Build the error for a connection that ended in the middle of this answer."""
        connection = self._connection
        return ConnectionLost(
            self._phase(),
            message,
            self._where(),
            reused=connection is not None and connection.reused,
            bytes_received=self._decoder.started,
        )

    def _where(self) -> str | None:
        return None if self._connection is None else self._connection.where

    def _phase(self) -> Literal["first_byte", "body"]:
        return "body" if self._decoder.status else "first_byte"

    def _finish(self, connection: "Connection") -> None:
        self._connection = None
        if self._paused:
            # TLS may hand over what it had decrypted before the pause.
            connection.resume_reading()
        connection.finished(reusable=self._decoder.reusable)

    def _hold_back(self, connection: "Connection") -> None:
        """Apply backpressure, or the limit of `read_all`."""
        if self._limit is not None:
            if self._buffered > self._limit:
                self._too_large()
        elif self._buffered > HIGH_WATER_BYTES and not self._paused:
            self._paused = True
            # The silence is now ours, so only the total deadline runs.
            self._due = _NEVER
            connection.pause_reading()

    def _resume(self) -> None:
        connection = self._connection
        if self._paused and connection is not None:
            self._paused = False
            self._due = connection.loop.time() + self._idle
            connection.watch(self.due)
            connection.resume_reading()

    def _size_error(self) -> AnswerTooLarge:
        message = f"its answer is larger than {self._limit} bytes"
        return AnswerTooLarge("body", message, self._where(), sent=True)

    def _too_large(self) -> None:
        self.fail(self._size_error())

    async def _wait(self) -> None:
        connection = self._connection
        assert connection is not None  # noqa: S101 (callers ask only while bytes may come)
        if self._waiter is not None:
            raise RuntimeError("an answer has one consumer")
        self._waiter = connection.loop.create_future()
        try:
            await self._waiter
        except asyncio.CancelledError:
            self.abort()
            raise
        finally:
            self._waiter = None

    def _wake(self) -> None:
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)


class Pool(Protocol):
    """Where connections go between two exchanges."""

    def keep(self, connection: "Connection") -> bool:
        """Take an idle connection; False if there is no room."""
        ...

    def forget(self, connection: "Connection") -> None:
        """The connection has closed."""
        ...


class Connection(asyncio.Protocol):
    """One socket to an upstream, carrying one exchange after another."""

    __slots__ = (
        "_answer",
        "_closed",
        "_idle_due",
        "_idle_seconds",
        "_pool",
        "_timer",
        "_timer_at",
        "_transport",
        "_unsent",
        "_writable",
        "gone",
        "loop",
        "reused",
        "where",
    )

    def __init__(self, where: str, idle_seconds: float, pool: Pool) -> None:
        """`where` is host:port for messages."""
        self.where = where
        self.loop = asyncio.get_running_loop()
        self.reused = False
        self.gone: asyncio.Future[None] = self.loop.create_future()
        self._idle_seconds = idle_seconds
        self._pool = pool
        self._transport: asyncio.Transport | None = None
        self._answer: UpstreamAnswer | None = None
        self._closed = False
        self._writable = True
        self._unsent: memoryview | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = _NEVER
        self._idle_due = _NEVER

    @property
    def usable(self) -> bool:
        """Whether a request may be written."""
        transport = self._transport
        return transport is not None and not self._closed and not transport.is_closing()

    def exchange(
        self,
        head: bytes,
        body: bytes,
        timeouts: AttemptTimeouts,
        total_due: float,
        *,
        head_only: bool,
    ) -> UpstreamAnswer:
        """Write the request and return the answer to wait for."""
        transport = self._transport
        assert transport is not None  # noqa: S101 (the dialler hands out connected ones only)
        answer = UpstreamAnswer(self, timeouts, total_due, head_only=head_only)
        self._answer = answer
        self.watch(answer.due)
        if len(body) <= SLICE_BYTES:
            transport.write(head + body)
        else:
            transport.write(head)
            self._unsent = memoryview(body)
            self._push()
        return answer

    def finished(self, *, reusable: bool) -> None:
        """The answer is complete: go back to the pool, or close."""
        self._answer = None
        if not reusable or self._unsent is not None or not self.usable:
            self.abort()
            return
        self.reused = True
        self._idle_due = self.loop.time() + self._idle_seconds
        self.watch(self._idle_due)
        if not self._pool.keep(self):
            self.abort()

    def head_arrived(self, status: int) -> None:
        """Stop sending a body that the upstream has refused."""
        if status >= _FIRST_ERROR_STATUS and self._unsent is not None:
            # Nothing more to write, yet not None: the request stays unfinished, see `finished`.
            self._unsent = memoryview(b"")

    def abort(self) -> None:
        """Close the socket at once. Idempotent."""
        if self._closed:
            return
        self._closed = True
        self._answer = None
        self._unsent = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._pool.forget(self)
        if self._transport is not None:
            self._transport.abort()

    def give_up(self, reason: str) -> None:
        """Close the socket, telling a waiting answer why."""
        answer = self._answer
        if answer is not None:
            answer.fail(answer.lost_error(reason))
        self.abort()

    # Time: one handle per connection, moved only when a deadline lies before it.

    def watch(self, due: float) -> None:
        """Make sure that the timer fires no later than `due`."""
        if due < self._timer_at:
            if self._timer is not None:
                self._timer.cancel()
            self._timer_at = due
            self._timer = self.loop.call_at(due, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        self._timer_at = _NEVER
        answer = self._answer
        due = self._idle_due if answer is None else answer.due
        now = self.loop.time()
        if now < due:
            self.watch(due)
        elif answer is None:
            self.abort()
        else:
            answer.time_out(now)

    # Reading and writing.

    def pause_reading(self) -> None:
        """Let the kernel's buffer fill up, so that the upstream waits."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Undo `pause_reading`."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    def _push(self) -> None:
        """Write one slice of a long body; the next follows after the loop has looked for input."""
        transport, unsent, answer = self._transport, self._unsent, self._answer
        if not unsent or not self._writable or answer is None:
            return
        if transport is None or transport.is_closing():
            return
        transport.write(unsent[:SLICE_BYTES])
        self._unsent = unsent[SLICE_BYTES:] or None
        answer.sent_more(self.loop.time())
        if self._writable and self._unsent:
            self.loop.call_soon(self._push)

    def _read_rest(self, transport: asyncio.Transport, answer: UpstreamAnswer) -> None:
        """Read what the kernel still holds when a write has failed.

        An upstream that refuses a long body answers and closes without reading on; our next write
        then fails and hides the answer. Not possible with TLS, whose transport is gone by now.
        """
        if transport.get_extra_info("ssl_object") is not None:
            return
        descriptor: int = transport.get_extra_info("socket").fileno()
        try:
            while self._answer is answer and (data := os.read(descriptor, SLICE_BYTES)):
                answer.receive(data)
        except OSError:
            return

    # asyncio.Protocol.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        # uvloop's transports have the methods of asyncio.Transport without being one.
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Hand bytes to the answer; unasked bytes on an idle connection end it."""
        answer = self._answer
        if answer is None:
            self.abort()
        else:
            answer.receive(data)

    def eof_received(self) -> None:
        """The upstream ended its side; nothing can be half open here."""
        answer = self._answer
        if answer is not None and not answer.end_of_input():
            self.give_up("the connection was closed before the answer was complete")
        self.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is gone."""
        transport, answer = self._transport, self._answer
        self._transport = None
        if exc is not None and transport is not None and answer is not None:
            self._read_rest(transport, answer)
        self.give_up("the connection was closed" if exc is None else reason_of(exc))
        if not self.gone.done():
            self.gone.set_result(None)

    def pause_writing(self) -> None:
        """The socket is full."""
        self._writable = False

    def resume_writing(self) -> None:
        """The socket has room again: go on with a long body."""
        self._writable = True
        # Not at once: asyncio calls `connection_lost` twice when a write fails inside this call.
        self.loop.call_soon(self._push)

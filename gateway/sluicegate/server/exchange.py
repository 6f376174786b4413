"""The pipeline's Exchange: one request on a client's connection, answered with finished bytes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from email.utils import formatdate
from http import HTTPStatus
from typing import Protocol

from sluicegate.model import ApiError
from sluicegate.pipeline.exchange import ClientGone, Header

_REASONS = {status.value: status.phrase.encode() for status in HTTPStatus}
_JSON = b"application/json"
_CRLF = b"\r\n"
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_UNASKED = 64 * 1024  # bytes of a body that are taken before anyone wants it


class Wire(Protocol):
    """The connection that a request has come by. `transport` None: it is gone."""

    transport: asyncio.Transport | None
    writing_paused: bool  # the client leaves no room for more

    async def writable(self) -> None:
        """Wait until there is room again, or the connection is gone."""
        ...

    def pause_reading(self) -> None:
        """Take no more from the client."""
        ...

    def resume_reading(self) -> None:
        """Go on."""
        ...


class _Clock:
    """The Date header, made once a second."""

    __slots__ = ("_second", "_value")

    def __init__(self) -> None:
        self._second = 0
        self._value = b""

    def date(self) -> bytes:
        second = int(time.time())
        if second != self._second:
            self._second = second
            self._value = formatdate(second, usegmt=True).encode()
        return self._value


_clock = _Clock()


@dataclass(frozen=True, slots=True)
class ExchangeLimits:
    """What one client may take.

    `body_bytes` of a request, `body_seconds` to send it, `stall_seconds` without reading any of its
    answer.
    """

    body_bytes: int = 20 * 1024 * 1024
    body_seconds: float = 60.0
    stall_seconds: float = 60.0


class HttpExchange:
    """One request on one connection.

    `headers` have names in lower case; of a name that stands among `repeated` the first value. The
    connection feeds the body; whoever answers decides whether it is wanted.
    """

    __slots__ = (
        "_body",
        "_chunked",
        "_fault",
        "_limits",
        "_size",
        "_stream_head",
        "_waiter",
        "_wire",
        "answered",
        "headers",
        "keep_alive",
        "method",
        "repeated",
        "target",
        "whole",
    )

    def __init__(
        self,
        wire: Wire,
        limits: ExchangeLimits,
        method: str,
        target: str,
        headers: Mapping[str, str],
        repeated: Collection[str] = (),
        *,
        keep_alive: bool = False,
        chunked: bool = True,
    ) -> None:
        """`chunked`: the client knows chunks, as HTTP/1.0 does not."""
        self._wire = wire
        self._limits = limits
        self.method = method
        self.target = target
        self.headers = headers
        self.repeated = repeated
        self.keep_alive = keep_alive  # whether another request may follow its answer
        self._chunked = chunked
        self._body: bytes | bytearray = b""
        self._size = 0
        self._waiter: asyncio.Future[None] | None = None
        self._fault: str | None = None  # why the rest of the body is not HTTP
        self._stream_head = b""  # of a stream that has begun, until its first bytes
        self.whole = False  # the body has come
        self.answered = False

    # --- the body, from the connection ------------------------------------------------------------

    def feed(self, piece: bytes) -> None:
        """A part of the body. What is too large is not kept."""
        self._size += len(piece)
        if self._size > self._limits.body_bytes:
            self._body = b""
            self._wake()
            return
        if not self._body:
            self._body = piece
        elif isinstance(self._body, bytes):
            self._body = bytearray(self._body + piece)
        else:
            self._body += piece  # as a list, a body of tiny chunks would take thirty times its size
        if self._size > _UNASKED and self._waiter is None:
            self._wire.pause_reading()

    def complete(self) -> None:
        """The body is whole: what follows it may be read, though nobody has asked for it yet."""
        self.whole = True
        if self._size > _UNASKED and self._waiter is None:
            self._wire.resume_reading()
        self._wake()

    def break_off(self, fault: str) -> None:
        """The rest of the body is not HTTP; says why."""
        self._fault = fault
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    # --- for whoever answers ----------------------------------------------------------------------

    async def read_body(self) -> bytes:
        """See Exchange. The declared size is judged before anything is read."""
        size = self._size if self.whole else int(self.headers.get("content-length", 0))
        if size > self._limits.body_bytes:
            raise self._too_large()
        _check_type(self.headers)
        if not self.whole:
            await self._rest()
        return bytes(self._body)

    async def _rest(self) -> None:
        # RFC 9110 section 10.1.1: what HTTP/1.0 expects is ignored.
        if self._chunked and self.headers.get("expect", "").lower() == "100-continue":
            self._write(_CONTINUE)
        self._waiter = asyncio.get_running_loop().create_future()
        self._wire.resume_reading()
        seconds = self._limits.body_seconds
        try:
            async with asyncio.timeout(seconds):
                if self._fault is None and self._size <= self._limits.body_bytes:
                    await self._waiter
        except TimeoutError:
            self.keep_alive = False
            raise ApiError(
                408,
                f"The request body did not arrive within {seconds:g} seconds.",
                code="request_timeout",
            ) from None
        if self._size > self._limits.body_bytes:
            raise self._too_large()
        if self._fault is not None:
            self.keep_alive = False
            raise not_http(self._fault)

    def _too_large(self) -> ApiError:
        # The rest of the body would have to be read before another request could be: close instead.
        self.keep_alive = False
        return ApiError(
            413,
            f"The request body is larger than the limit of {self._limits.body_bytes} bytes.",
            code="request_too_large",
        )

    def send(self, status: int, headers: Iterable[Header], body: bytes) -> None:
        """See Exchange."""
        self.respond(status, headers, body, _JSON)

    def respond(
        self, status: int, headers: Iterable[Header], body: bytes, content_type: bytes
    ) -> None:
        """A whole answer of any content type."""
        self.answered = True
        if not self.whole:
            self.keep_alive = False
        lines = self._head(status, headers)
        lines += (b"content-type: " + content_type, b"content-length: %d" % len(body), b"")
        lines.append(body if self.method != "HEAD" else b"")
        self._write(_CRLF.join(lines))

    def begin(self, headers: Iterable[Header]) -> None:
        """See Exchange. To HTTP/1.0 there are no chunks: the stream ends with the connection."""
        self.answered = True
        if not self._chunked or not self.whole:
            self.keep_alive = False
        lines = self._head(200, headers)
        lines += (
            b"content-type: text/event-stream; charset=utf-8",
            b"cache-control: no-cache",
            b"x-accel-buffering: no",
        )
        if self._chunked:
            lines.append(b"transfer-encoding: chunked")
        self._stream_head = _CRLF.join((*lines, b"", b""))

    def write(self, data: bytes) -> None:
        """See Exchange. What belongs together goes out in one piece: a write is a system call."""
        head, self._stream_head = self._stream_head, b""
        self._write(head + (b"%x\r\n%b\r\n" % (len(data), data) if self._chunked else data))

    async def drain(self) -> None:
        """See Exchange. A client that reads nothing for too long is given up."""
        wire = self._wire
        while (transport := wire.transport) is not None:
            if not wire.writing_paused:
                return
            unread = transport.get_write_buffer_size()
            try:
                async with asyncio.timeout(self._limits.stall_seconds):
                    await wire.writable()
            except TimeoutError:
                if transport.get_write_buffer_size() >= unread:
                    self.abort()
                    break
        raise ClientGone

    def end(self, data: bytes) -> None:
        """See Exchange."""
        head, self._stream_head = self._stream_head, b""
        last = b"%x\r\n%b\r\n0\r\n\r\n" % (len(data), data) if self._chunked else data
        self._write(head + last)

    def abort(self) -> None:
        """Close the connection at once: what was written is not whole."""
        self.keep_alive = False
        if self._wire.transport is not None:
            self._wire.transport.abort()

    def _head(self, status: int, headers: Iterable[Header]) -> list[bytes]:
        # An upstream's own status may be none that HTTP has registered, as Cloudflare's 520.
        reason = _REASONS.get(status, b"Unregistered")
        lines = [b"HTTP/1.1 %d %b" % (status, reason), b"date: " + _clock.date()]
        lines += map(b": ".join, headers)
        if not self.keep_alive:
            lines.append(b"connection: close")
        elif not self._chunked:
            lines.append(b"connection: keep-alive")
        return lines

    def _write(self, data: bytes) -> None:
        transport = self._wire.transport
        if transport is not None and not transport.is_closing():
            transport.write(data)


def not_http(fault: str) -> ApiError:
    """What came can't be read; `fault` says why, in words that repeat nothing of it."""
    return ApiError(400, f"The request is not valid HTTP: {fault}.", code="invalid_http")


def _check_type(headers: Mapping[str, str]) -> None:
    """Raises ApiError (415) for a declared type that is not JSON.

    A missing one is taken for JSON.
    """
    declared = headers.get("content-type")
    if declared is not None and declared != "application/json":
        media_type = declared.partition(";")[0].strip().lower()
        if media_type != "application/json" and not media_type.endswith("+json"):
            raise ApiError(
                415,
                f"Unsupported content type {media_type[:100]!r}: send application/json.",
                code="unsupported_content_type",
            )
    encoding = headers.get("content-encoding")
    if encoding is not None and encoding.strip().lower() != "identity":
        raise ApiError(
            415,
            f"Unsupported content encoding {encoding[:100]!r}: send the body as it is.",
            code="unsupported_content_encoding",
        )

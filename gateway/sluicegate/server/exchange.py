"""The pipeline's Exchange over an aiohttp request.

Answers are written to the connection as finished bytes: aiohttp's response machinery costs more
than everything else that the gateway does for a request (measured; docs/decisions/0002). aiohttp
still parses requests, keeps connections alive and applies flow control.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from email.utils import formatdate
from http import HTTPStatus

from aiohttp import web

from sluicegate.model import ApiError
from sluicegate.pipeline.exchange import ClientGone, Header

_REASONS = {status.value: status.phrase.encode() for status in HTTPStatus}
_JSON = b"application/json"
_CRLF = b"\r\n"
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_HTTP_11 = (1, 1)


class _Written(web.StreamResponse):
    """Tells aiohttp that the answer has been written, and whether the connection may go on."""

    def __init__(self, *, keep_alive: bool) -> None:
        super().__init__()
        self._keeps = keep_alive

    @property
    def keep_alive(self) -> bool | None:
        return self._keeps

    async def prepare(self, request: web.BaseRequest) -> None:
        """Nothing is left to prepare."""

    async def write_eof(self, data: bytes = b"") -> None:
        """Nothing is left to write."""


_KEEP = _Written(keep_alive=True)
_CLOSE = _Written(keep_alive=False)


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
    """One request on one connection."""

    __slots__ = (
        "_body_limit",
        "_body_timeout",
        "_chunked",
        "_keep_alive",
        "_request",
        "_stall_timeout",
        "_stream_head",
        "answered",
        "headers",
    )

    def __init__(self, request: web.BaseRequest, limits: ExchangeLimits, *, last: bool) -> None:
        """`last`: the connection ends with this answer, because the gateway is shutting down."""
        self._request = request
        self._body_limit = limits.body_bytes
        self._body_timeout = limits.body_seconds
        self._stall_timeout = limits.stall_seconds
        self._stream_head = b""  # of a stream that has begun, until its first bytes
        self._keep_alive = request.keep_alive and not last
        self._chunked = request.version >= _HTTP_11
        self.headers: Mapping[str, str] = request.headers
        self.answered = False

    @property
    def written(self) -> web.StreamResponse:
        """What the handler gives back to aiohttp."""
        return _KEEP if self._keep_alive else _CLOSE

    async def read_body(self) -> bytes:
        """See Exchange. The declared size is judged before anything is read."""
        request = self._request
        declared = request.content_length
        if declared is not None and declared > self._body_limit:
            raise self._too_large()
        _check_type(self.headers)
        content = request.content
        if content.is_eof():
            body = content.read_nowait()
            if len(body) > self._body_limit:
                raise self._too_large()
            return body
        # RFC 9110 section 10.1.1: what HTTP/1.0 expects is ignored.
        if self._chunked and request.headers.get("Expect", "").lower() == "100-continue":
            self._write(_CONTINUE)
        try:
            async with asyncio.timeout(self._body_timeout):
                return await self._read_rest(request)
        except TimeoutError:
            self._keep_alive = False
            raise ApiError(
                408,
                f"The request body did not arrive within {self._body_timeout:g} seconds.",
                code="request_timeout",
            ) from None
        except web.RequestPayloadError as error:
            self._keep_alive = False
            raise ApiError(400, "The request is not valid HTTP.", code="invalid_http") from error
        except OSError as error:
            raise ClientGone from error

    async def _read_rest(self, request: web.BaseRequest) -> bytes:
        parts: list[bytes] = []
        size = 0
        while part := await request.content.readany():
            size += len(part)
            if size > self._body_limit:
                raise self._too_large()
            parts.append(part)
        return b"".join(parts)

    def _too_large(self) -> ApiError:
        # The rest of the body would have to be read before another request could be: close instead.
        self._keep_alive = False
        return ApiError(
            413,
            f"The request body is larger than the limit of {self._body_limit} bytes.",
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
        if not self._request.content.is_eof():
            self._keep_alive = False
        head = self._head(status, headers)
        head += (b"content-type: ", content_type, b"\r\ncontent-length: %d\r\n\r\n" % len(body))
        if self._request.method != "HEAD":
            head.append(body)
        self._write(b"".join(head))

    def begin(self, headers: Iterable[Header]) -> None:
        """See Exchange. To HTTP/1.0 there are no chunks: the stream ends with the connection."""
        self.answered = True
        if not self._chunked:
            self._keep_alive = False
        head = self._head(200, headers)
        head.append(
            b"content-type: text/event-stream; charset=utf-8\r\n"
            b"cache-control: no-cache\r\nx-accel-buffering: no\r\n"
        )
        head.append(b"transfer-encoding: chunked\r\n\r\n" if self._chunked else _CRLF)
        self._stream_head = b"".join(head)

    def write(self, data: bytes) -> None:
        """See Exchange. What belongs together goes out in one piece: a write is a system call."""
        head, self._stream_head = self._stream_head, b""
        self._write(head + (b"%x\r\n%b\r\n" % (len(data), data) if self._chunked else data))

    async def drain(self) -> None:
        """See Exchange. A client that reads nothing for too long is given up."""
        protocol = self._request.protocol
        if protocol.transport is None:
            raise ClientGone
        while protocol.writing_paused:
            unread = _unread(protocol.transport)
            try:
                async with asyncio.timeout(self._stall_timeout):
                    await self._request.writer.drain()
            except ConnectionError as error:
                raise ClientGone from error
            except TimeoutError as error:
                if _unread(protocol.transport) >= unread:
                    self.abort()
                    raise ClientGone from error

    def end(self, data: bytes) -> None:
        """See Exchange."""
        head, self._stream_head = self._stream_head, b""
        last = b"%x\r\n%b\r\n0\r\n\r\n" % (len(data), data) if self._chunked else data
        self._write(head + last)

    def abort(self) -> None:
        """Close the connection at once: what was written is not whole."""
        self._keep_alive = False
        transport = self._request.transport
        if transport is not None:
            transport.abort()

    def _head(self, status: int, headers: Iterable[Header]) -> list[bytes]:
        # An upstream's own status may be none that HTTP has registered, as Cloudflare's 520.
        reason = _REASONS.get(status, b"Unregistered")
        lines = [b"HTTP/1.1 %d %b\r\ndate: %b\r\n" % (status, reason, _clock.date())]
        lines += [b"%b: %b\r\n" % header for header in headers]
        if not self._keep_alive:
            lines.append(b"connection: close\r\n")
        elif not self._chunked:
            lines.append(b"connection: keep-alive\r\n")
        return lines

    def _write(self, data: bytes) -> None:
        transport = self._request.transport
        if transport is not None and not transport.is_closing():
            transport.write(data)


def _unread(transport: asyncio.Transport | None) -> int:
    """Bytes that the client has left no room for."""
    return transport.get_write_buffer_size() if transport is not None else 0


def _check_type(headers: Mapping[str, str]) -> None:
    """Raises ApiError (415) for a declared type that is not JSON.

    A missing one is taken for JSON.
    """
    declared = headers.get("Content-Type")
    if declared is not None and declared != "application/json":
        media_type = declared.partition(";")[0].strip().lower()
        if media_type != "application/json" and not media_type.endswith("+json"):
            raise ApiError(
                415,
                f"Unsupported content type {media_type[:100]!r}: send application/json.",
                code="unsupported_content_type",
            )
    encoding = headers.get("Content-Encoding")
    if encoding is not None and encoding.strip().lower() != "identity":
        raise ApiError(
            415,
            f"Unsupported content encoding {encoding[:100]!r}: send the body as it is.",
            code="unsupported_content_encoding",
        )

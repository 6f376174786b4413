"""aiohttp's HTTP protocol with this API's form for errors of the HTTP layer itself."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from sluicegate.model import ApiError
from sluicegate.pipeline.serve import request_id
from sluicegate.server.exchange import ExchangeLimits, HttpExchange

_TCP_USER_TIMEOUT: int | None = getattr(socket, "TCP_USER_TIMEOUT", None)

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]

_SERVER_ERROR = 500
# aiohttp takes the time of every request for a log that is enabled; this one is not.
_NO_ACCESS_LOG = logging.getLogger("sluicegate.access")
_NO_ACCESS_LOG.disabled = True


class _Protocol(RequestHandler):
    __slots__ = ()

    def data_received(self, data: bytes) -> None:
        """Parse; a body that turns out to be broken is told to the handler that waits for it.

        aiohttp only queues its answer to the broken bytes behind that handler's.
        """
        super().data_received(data)
        request, messages = self._current_request, self._messages
        if messages and request is not None and not request.content.is_eof():
            request.content.set_exception(web.RequestPayloadError())

    def close_idle(self) -> None:
        """Close, unless a request is being served or waits to be."""
        if self._current_request is None and not self._messages:
            self.force_close()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = _SERVER_ERROR,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """The envelope for what is not HTTP (RFC 9112): the connection ends with it.

        What the peer sent is not repeated, neither to it nor in the log.
        """
        del exc, message
        if request.writer.output_size > 0:
            raise ConnectionError("an answer has begun already")
        error = (
            ApiError(_SERVER_ERROR, "Internal error.", type="server_error", code="server_error")
            if status >= _SERVER_ERROR
            else ApiError(status, "The request is not valid HTTP.", code="invalid_http")
        )
        exchange = HttpExchange(request, ExchangeLimits(), last=True)
        exchange.send(status, ((b"x-request-id", request_id().encode()),), error.body())
        return exchange.written


class HttpServer(web.Server):
    """Serves connections with `handler`.

    `idle_seconds` bounds both the wait for a request's head, from its first byte or the
    connection's begin, and the time that a connection may be kept open unused. A client that leaves
    cancels its handler. One that for `stall_seconds` reads nothing of what was sent to it is given
    up, also when the gateway is done with it and the kernel holds the rest (Linux: tcp(7)).
    """

    def __init__(self, handler: Handler, *, idle_seconds: float, stall_seconds: float) -> None:
        super().__init__(handler, handler_cancellation=True)
        self._idle_seconds = idle_seconds
        self._user_timeout = max(1, int(stall_seconds * 1000))

    def connection_made(self, handler: RequestHandler, transport: asyncio.Transport) -> None:
        """A client has connected."""
        super().connection_made(handler, transport)
        if _TCP_USER_TIMEOUT is not None:
            connected: socket.socket = transport.get_extra_info("socket")
            connected.setsockopt(socket.IPPROTO_TCP, _TCP_USER_TIMEOUT, self._user_timeout)

    def close_idle(self) -> None:
        """Close the connections that carry no request."""
        for connection in self.connections:
            if isinstance(connection, _Protocol):
                connection.close_idle()

    def __call__(self) -> RequestHandler:
        """A protocol for a new connection."""
        return _Protocol(
            self,
            loop=asyncio.get_running_loop(),
            keepalive_timeout=self._idle_seconds,
            access_log=_NO_ACCESS_LOG,
            # A body is handled as it was sent: an encoded one is refused, never inflated (a bomb
            # would be).
            auto_decompress=False,
            lingering_time=2.0,
        )

"""One client's connection: HTTP/1.1 (RFC 9112) read by llhttp, its requests served one by one.

A server of our own, because a general one costs as much as all that the gateway does for a request
(measured; docs/decisions/0002). llhttp (strict, as httptools sets it up) reads heads and bodies;
what it leaves open is decided here: sizes, repeated headers, what follows a request, and time.
"""

from __future__ import annotations

import asyncio
import re
import socket
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Collection, Mapping
from itertools import chain
from typing import Final, TypeAlias, cast

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser

from sluicegate.pipeline.exchange import ClientGone
from sluicegate.pipeline.serve import request_id
from sluicegate.server.exchange import ExchangeLimits, HttpExchange, not_http

Handler: TypeAlias = Callable[[HttpExchange], Awaitable[None]]

MAX_FIELD_BYTES: Final = 8190  # of a header's value, and of the target
MAX_HEADERS: Final = 128
# Bytes in a row that are neither a whole head nor part of a body: a head that does not end, chunk
# extensions, trailers, blank lines.
MAX_SILENT_BYTES: Final = 64 * 1024
# What comes while a request is served waits unread, up to so many bytes; as much is parsed at once,
# so that few requests can lie in it.
_SLICE: Final = 16 * 1024
_HELD_BYTES: Final = 64 * 1024
_LINGER_SECONDS: Final = 2.0  # for the rest of a refused body, before its connection is closed
_VERSIONS: Final = frozenset({"1.0", "1.1"})
_ORIGINS: Final = ("/", "http://", "https://")  # how a target begins (RFC 9112 section 3.2)
# Of these a second one is no HTTP: it would leave open what the message is, or whom it is for.
_SINGLE: Final = frozenset({"content-length", "content-type", "host", "transfer-encoding"})
# RFC 9110 section 7.2, RFC 3986 section 3.2.2: a name (or nothing) or an IP literal, and a port.
_HOST: Final = re.compile(
    r"(?:[A-Za-z0-9._~!$&'()*+,;=-]*(?:%[0-9A-Fa-f]{2}[A-Za-z0-9._~!$&'()*+,;=-]*)*"
    r"|\[[A-Za-z0-9._~!$&'()*+,;=:%-]+\])(?::[0-9]*)?",
)
_TOO_LARGE: Final = "its head, or what is between the parts of its body, is too large"
_TCP_USER_TIMEOUT: int | None = getattr(socket, "TCP_USER_TIMEOUT", None)


class _NotHttp(Exception):
    """A head is refused; says why. Raised in llhttp's callbacks, which end the parsing by it."""


class Connection(asyncio.Protocol):
    """One client. The methods named `on_...` are what llhttp calls."""

    __slots__ = (
        "_closing",
        "_fault",
        "_fields",
        "_held",
        "_held_bytes",
        "_idle_due",
        "_incoming",
        "_loop",
        "_parser",
        "_replaying",
        "_rest",
        "_room",
        "_server",
        "_serving",
        "_silent",
        "_target",
        "_timer",
        "_upgrading",
        "_waiting",
        "task",
        "transport",
        "writing_paused",
    )

    def __init__(self, server: HttpServer) -> None:
        self.transport: asyncio.Transport | None = None
        self.writing_paused = False
        self.task: asyncio.Task[None] | None = None  # from the first request on
        self._server = server
        self._loop = asyncio.get_running_loop()
        self._parser: HttpRequestParser | None = HttpRequestParser(self)
        self._target = b""
        self._fields: list[tuple[bytes, bytes]] = []
        self._upgrading = self._replaying = False
        self._incoming: HttpExchange | None = None  # whose body has not come whole
        self._waiting: deque[HttpExchange] = deque()  # to be served
        self._serving: HttpExchange | None = None  # the latest that was
        self._held: list[bytes] = []  # what came while a request was served
        self._held_bytes = 0
        self._silent = 0
        self._fault: str | None = None  # why what came is not HTTP: nothing more is read
        self._closing = False  # nothing more is served
        self._room: asyncio.Future[None] | None = None
        self._rest: asyncio.Future[None] | None = None  # while the task waits for a request
        self._timer: asyncio.TimerHandle | None = None
        self._idle_due = 0.0

    # --- asyncio.Protocol -------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client has connected."""
        # uvloop's transports have the methods of asyncio.Transport without being one.
        self.transport = cast("asyncio.Transport", transport)
        connected: socket.socket = transport.get_extra_info("socket")
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        if _TCP_USER_TIMEOUT is not None:
            timeout = self._server.user_timeout
            connected.setsockopt(socket.IPPROTO_TCP, _TCP_USER_TIMEOUT, timeout)
        self._server.connections.add(self)
        self._watch()

    def data_received(self, data: bytes) -> None:
        """Parse; what follows a request that is being served has to wait."""
        if self._fault is not None:
            return
        if self.idle or self._incoming is not None or self._closing:
            self._feed(data)
            return
        self._held.append(data)
        self._held_bytes += len(data)
        if self._held_bytes > _HELD_BYTES:
            self.pause_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        """The client has gone: nobody is left to be answered."""
        del exc
        self.transport = None
        # These refer back to this object: without them it is freed at once.
        self._parser = self._incoming = self._serving = None
        self._waiting.clear()
        self._server.connections.discard(self)
        self.resume_writing()
        if self._timer is not None:
            self._timer.cancel()
        if self.task is not None:
            self.task.cancel()

    def pause_writing(self) -> None:
        """The client reads more slowly than it is written to."""
        self.writing_paused = True

    def resume_writing(self) -> None:
        """There is room again."""
        self.writing_paused = False
        if self._room is not None and not self._room.done():
            self._room.set_result(None)

    # --- for the exchange -------------------------------------------------------------------------

    async def writable(self) -> None:
        """See Wire."""
        if self.writing_paused:
            self._room = self._loop.create_future()
            await self._room

    def pause_reading(self) -> None:
        """See Wire."""
        if self.transport is not None and not self.transport.is_closing():
            self.transport.pause_reading()

    def resume_reading(self) -> None:
        """See Wire."""
        if self.transport is not None and not self.transport.is_closing():
            self.transport.resume_reading()

    # --- reading ----------------------------------------------------------------------------------

    def _feed(self, data: bytes) -> None:
        while data and self._parser is not None and self._fault is None:
            piece, data = data[:_SLICE], data[_SLICE:]
            self._silent += len(piece)
            try:
                self._parser.feed_data(piece)
            except HttpParserUpgrade as upgrade:
                offset: int = upgrade.args[0]
                data = piece[offset:] + data
                self._read_on()
            except HttpParserError as error:
                self._break(_told(error))
            if self._silent > MAX_SILENT_BYTES or len(self._fields) > MAX_HEADERS:
                self._break(_TOO_LARGE)
            if data and self._waiting and self._incoming is None and not self._closing:
                self._held.insert(0, data)
                self._held_bytes += len(data)
                return

    def _read_on(self) -> None:
        """Ignore an upgrade, as who does not serve it must (RFC 9110 section 7.8).

        llhttp takes what follows for another protocol. It is the body: so a fresh parser is told of
        the same message without the upgrade.
        """
        self._upgrading = False
        exchange = self._incoming
        self._parser = HttpRequestParser(self)
        if exchange is None:
            return
        framing = [
            f"{name}: {exchange.headers[name]}\r\n"
            for name in ("content-length", "transfer-encoding")
            if name in exchange.headers
        ]
        self._replaying = True
        head = f"POST / HTTP/1.1\r\n{''.join(framing)}\r\n"
        self._parser.feed_data(head.encode("latin-1", "replace"))

    def on_url(self, url: bytes) -> None:
        """Collect the target, which may come in pieces."""
        self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Collect a header of a head. Those behind a body are dropped."""
        if self._incoming is None:
            self._fields.append((name, value))

    def on_headers_complete(self) -> None:
        """A request has come, perhaps without its body."""
        size, self._silent = self._silent, 0
        target, self._target = self._target, b""
        fields, self._fields = self._fields, []
        if self._replaying:
            self._replaying = False
            return
        # RFC 9112 section 5.1: white space around a value is no part of it; llhttp strips only what
        # is before it.
        headers = {
            name.decode("latin-1").lower(): value.decode("utf-8", "surrogateescape").rstrip(" \t")
            for name, value in reversed(fields)
        }
        repeated = _repeated(fields) if len(headers) < len(fields) else ()
        parser = self._parser
        assert parser is not None  # noqa: S101 (it is what calls)
        path = target.decode("utf-8", "surrogateescape")
        version, method = parser.get_http_version(), parser.get_method()
        fault = _fault_of_target(version, method, path) or _fault_of(headers, repeated, version)
        if len(fields) > MAX_HEADERS or (size > MAX_FIELD_BYTES and _too_long(target, fields)):
            fault = _TOO_LARGE
        if fault is not None or self._closing:
            raise _NotHttp(fault)
        self._upgrading = "upgrade" in headers and parser.should_upgrade()
        exchange = HttpExchange(
            *(self, self._server.limits, method.decode(), path, headers, repeated),
            keep_alive=parser.should_keep_alive(),
            chunked=version == "1.1",
        )
        self._incoming = exchange
        self._waiting.append(exchange)
        if self._rest is not None:
            self._wake()
        elif self.task is None:
            self.task = self._loop.create_task(self._serve())

    def on_body(self, piece: bytes) -> None:
        """A part of a body."""
        self._silent = 0
        if self._incoming is not None and not self._closing:
            self._incoming.feed(piece)

    def on_message_complete(self) -> None:
        """A body has ended."""
        exchange = self._incoming
        if exchange is None or self._upgrading:
            return
        self._silent = 0
        self._incoming = None
        exchange.complete()
        if self._closing:
            self.close()

    def _break(self, fault: str) -> None:
        """What came is not HTTP. Who waits for the rest of a body is told; else it is answered."""
        self._fault = fault = self._fault or fault
        if self._incoming is not None:
            self._incoming.break_off(fault)
        if self._closing:
            self.close()
        elif self.task is None:
            self._refuse(fault)
        elif self._rest is not None:
            self._wake()

    # --- serving ----------------------------------------------------------------------------------

    @property
    def idle(self) -> bool:
        """Whether nothing is being served, or waits to be."""
        return not self._waiting and (self.task is None or self._rest is not None)

    @property
    def busy(self) -> bool:
        """Whether something is being served, or waits to be."""
        return not self.idle and self.task is not None and not self.task.done()

    async def _serve(self) -> None:
        """Answer what comes, in its order."""
        while True:
            if self._waiting:
                exchange = self._serving = self._waiting.popleft()
                await self._server.handler(exchange)
                if self.writing_paused and not await _was_read(exchange):
                    return
                if not exchange.keep_alive:
                    self._end(exchange)
                    return
                if self._waiting or self._held:
                    await asyncio.sleep(0)  # others come first: what waits here may be thousands
            elif self._held:
                held = b"".join(self._held)
                self._held.clear()
                self._held_bytes = 0
                self.resume_reading()
                self._feed(held)
            elif self._fault is not None:
                self._refuse(self._fault)
                return
            else:
                self._watch()
                self._rest = self._loop.create_future()
                await self._rest
                self._rest = None

    def _wake(self) -> None:
        if self._rest is not None and not self._rest.done():
            self._rest.set_result(None)

    def _refuse(self, fault: str) -> None:
        """The envelope for what is not HTTP; what the peer sent is not repeated. It is the end."""
        exchange = HttpExchange(self, self._server.limits, "GET", "/", {})
        exchange.send(400, ((b"x-request-id", request_id().encode()),), not_http(fault).body())
        self._end(exchange)

    def _end(self, exchange: HttpExchange) -> None:
        """Close; where the client is still sending, a little later, so that it reads its answer."""
        self._closing = True
        transport = self.transport
        if exchange.whole or transport is None or transport.is_closing():
            self.close()
            return
        if transport.can_write_eof():  # not with TLS
            transport.write_eof()
        self.resume_reading()
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(_LINGER_SECONDS, self.close)

    def _watch(self) -> None:
        """A connection may be unused only for so long from now on."""
        self._idle_due = self._loop.time() + self._server.idle_seconds
        if self._timer is None:
            self._timer = self._loop.call_at(self._idle_due, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        if not self.idle:
            return  # it is watched again after the answer
        if self._loop.time() < self._idle_due:
            self._timer = self._loop.call_at(self._idle_due, self._on_timer)
        else:
            self.close()

    def retire(self) -> None:
        """Close with the last answer to what has come, which is told; at once if nothing has."""
        if self.idle:
            self.close()
        elif self._serving is not None and not self._waiting and not self._held:
            self._serving.keep_alive = False

    def close(self) -> None:
        """Close once everything is sent."""
        self._closing = True
        if self.transport is not None:
            self.transport.close()


async def _was_read(exchange: HttpExchange) -> bool:
    """Wait until there is room again: who asks on and on and reads nothing fills no memory."""
    try:
        await exchange.drain()
    except ClientGone:
        exchange.abort()
        return False
    return True


def _fault_of_target(version: str, method: bytes, path: str) -> str | None:
    """Why a request's first line is refused (RFC 9112 section 3.2), or None."""
    if version not in _VERSIONS:
        return "its version is neither 1.0 nor 1.1"
    if method == b"CONNECT" or not path.startswith(_ORIGINS):
        return "its target is neither a path nor a URL"
    return None


def _fault_of(headers: Mapping[str, str], repeated: Collection[str], version: str) -> str | None:
    """Why headers are refused: RFC 9112, sections 3.2 (host) and 6.1 (coding), or None.

    llhttp also takes codings before `chunked`, which nothing here would undo, and codings with
    HTTP/1.0, to which a proxy that knows none gives another end.
    """
    coding, host = headers.get("transfer-encoding"), headers.get("host")
    if repeated and not _SINGLE.isdisjoint(repeated):
        return f"it has more than one {min(_SINGLE.intersection(repeated))} header"
    if host is None and version != "1.0":
        return "it has no host header"
    if host is not None and _HOST.fullmatch(host) is None:
        return "its host header is neither a name nor an address"
    if coding is not None and (version == "1.0" or coding.lower() != "chunked"):
        return "its transfer-encoding is not chunked, or its version is 1.0"
    return None


def _told(error: HttpParserError) -> str:
    """The reason, as the middle of a sentence: ours or llhttp's, neither of which quotes input."""
    cause = error.__context__
    reason = str(cause) if isinstance(cause, _NotHttp) else str(error)
    return reason[:1].lower() + reason[1:]


def _repeated(fields: list[tuple[bytes, bytes]]) -> list[str]:
    names = Counter(name.decode("latin-1").lower() for name, _ in fields)
    return [name for name, count in names.items() if count > 1]


def _too_long(target: bytes, fields: list[tuple[bytes, bytes]]) -> bool:
    return any(len(each) > MAX_FIELD_BYTES for each in (target, *chain.from_iterable(fields)))


class HttpServer:
    """Serves connections with `handler`, which answers each request; it is called as a factory.

    `idle_seconds` bounds both the wait for a request's head, from the connection's begin or the
    last answer, and the time that a connection may be kept open unused. A client that leaves
    cancels its handler. One that for the limits' `stall_seconds` reads nothing of what was sent to
    it is given up, also when the gateway is done with it and the kernel holds the rest (Linux:
    tcp(7)).
    """

    def __init__(self, handler: Handler, limits: ExchangeLimits, *, idle_seconds: float) -> None:
        self.handler = handler
        self.limits = limits
        self.idle_seconds = idle_seconds
        self.user_timeout = max(1, int(limits.stall_seconds * 1000))
        self.connections: set[Connection] = set()

    def __call__(self) -> Connection:
        """A protocol for a new connection."""
        return Connection(self)

    @property
    def busy(self) -> int:
        """How many connections carry a request that is not answered yet."""
        return sum(connection.busy for connection in self.connections)

    def retire(self) -> None:
        """Close the connections that carry no request now, the others when theirs is answered."""
        for connection in list(self.connections):
            connection.retire()

    async def shutdown(self, seconds: float) -> None:
        """Close all of them; what is being served has so long to end, then it is cancelled."""
        self.retire()
        for insist in (False, True):
            busy = [each for each in self.connections if each.busy]
            tasks = [each.task for each in busy if each.task is not None]
            for task in tasks:
                if insist:
                    task.cancel()
            if tasks:
                await asyncio.wait(tasks, timeout=seconds)
        for connection in list(self.connections):
            connection.close()

"""The pool, and `send`: the only way to an upstream.

The pipeline calls `Transport.send` for every attempt. A request is written once; nothing here ever
repeats it. An idle connection that was closed before the write is replaced silently.
"""

import asyncio

from .connection import Connection, UpstreamAnswer
from .dial import Dialler, LookUp, system_look_up
from .errors import ConnectFailed, TimedOut
from .messages import AttemptTimeouts, Headers, Origin, UpstreamRequest, request_head
from .settings import TransportSettings

_CLOSING_SECONDS = 2.0


class Lane:
    """The connections to one origin, and how requests to it are written.

    All of them are interchangeable: proxy, TLS and address policy are fixed for one `Transport`.
    """

    __slots__ = ("_max_idle", "absolute", "idle", "opened", "proxy_headers")

    def __init__(self, origin: Origin, settings: TransportSettings) -> None:
        self._max_idle = settings.max_idle_per_origin
        self.idle: list[Connection] = []
        self.opened: set[Connection] = set()
        proxy = settings.proxies.proxy_for(origin) if origin.scheme == "http" else None
        # RFC 9112 section 3.2.2: a proxy is asked in absolute form; https goes through a tunnel.
        self.absolute = proxy is not None
        self.proxy_headers: Headers = ()
        if proxy is not None and proxy.authorization is not None:
            self.proxy_headers = ((b"Proxy-Authorization", proxy.authorization),)

    def take(self) -> Connection | None:
        """Return the connection used last, whose upstream is the least likely to drop it."""
        while self.idle:
            connection = self.idle.pop()
            if connection.usable:
                return connection
        return None

    def keep(self, connection: Connection) -> bool:
        """Store an idle connection, if there is room."""
        if len(self.idle) >= self._max_idle:
            return False
        self.idle.append(connection)
        return True

    def forget(self, connection: Connection) -> None:
        """Drop a connection that has closed."""
        self.opened.discard(connection)
        if connection in self.idle:
            self.idle.remove(connection)


class Transport:
    """Keep-alive connections to all upstreams; one per gateway process, bound to its loop."""

    def __init__(self, *, settings: TransportSettings, look_up: LookUp = system_look_up) -> None:
        """Load the CAs; raises OSError for an unreadable `ca_file`. `look_up` resolves names."""
        self._settings = settings
        self._dialler = Dialler(settings, look_up)
        # Origins come from the configuration, so their number stays small.
        self._lanes: dict[Origin, Lane] = {}
        self._closed = False
        # Kept, because asking asyncio for it costs a system call (getpid) on every request.
        self._loop = asyncio.get_running_loop()

    @property
    def open_connections(self) -> int:
        """How many sockets are open, idle ones included."""
        return sum(len(lane.opened) for lane in self._lanes.values())

    @property
    def idle_connections(self) -> int:
        """How many sockets wait for a request."""
        return sum(len(lane.idle) for lane in self._lanes.values())

    async def send(self, request: UpstreamRequest, timeouts: AttemptTimeouts) -> UpstreamAnswer:
        """Send the request and return when the answer's head has arrived.

        Raises UpstreamError. Cancelling closes the connection.
        """
        origin = request.origin
        lane = self._lanes.get(origin)
        if lane is None:
            lane = self._lanes[origin] = Lane(origin, self._settings)
        head = request_head(request, absolute=lane.absolute, extra=lane.proxy_headers)
        total_due = self._loop.time() + timeouts.total
        connection = lane.take()
        if connection is None:
            connection = await self._dial(origin, lane, timeouts.connect, total_due)
        answer = connection.exchange(
            head, request.body, timeouts, total_due, head_only=request.method == "HEAD"
        )
        await answer.head()
        return answer

    async def close(self) -> None:
        """Close every connection at once; answers still being read fail with ConnectionLost."""
        self._closed = True
        self._dialler.close()
        closing = [connection for lane in self._lanes.values() for connection in lane.opened]
        for connection in closing:
            connection.give_up("the gateway is shutting down")
        if closing:
            await asyncio.wait(
                [connection.gone for connection in closing], timeout=_CLOSING_SECONDS
            )

    async def _dial(
        self, origin: Origin, lane: Lane, seconds: float, total_due: float
    ) -> Connection:
        """Open a connection for the attempt that starts now."""
        due = self._loop.time() + seconds
        connection = Connection(origin.authority, self._settings.idle_seconds, lane)
        try:
            async with asyncio.timeout_at(min(due, total_due)):
                await self._dialler.dial(origin, connection, min(due, total_due))
        except TimeoutError:
            phase = "connect" if due <= total_due else "total"
            message = "no connection in time"
            raise TimedOut(phase, message, origin.authority, sent=False) from None
        if self._closed or not connection.usable:
            connection.abort()
            raise ConnectFailed("the connection was closed", origin.authority)
        lane.opened.add(connection)
        return connection

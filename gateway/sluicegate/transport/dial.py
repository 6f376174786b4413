"""Opening a connection: resolve, judge the addresses, connect to exactly those, proxy, TLS.

The address that was judged is the address connected to, so a name that resolves differently a
moment later gains nothing. TLS is still asked for, and verified against, the host's name.

Through a proxy only hosts that are literal addresses are judged, because the proxy resolves names.
"""

import asyncio
import socket
import ssl
from collections.abc import Callable, Coroutine
from ipaddress import ip_address

from .addresses import Address, literal_address
from .connection import Connection
from .decoder import AnswerDecoder, FramingFault, Stage
from .errors import AddressRefused, ConnectFailed, reason_of
from .messages import Origin
from .settings import Proxy, TransportSettings

LookUp = Callable[[str], Coroutine[None, None, list[Address]]]


def tls_context(ca_file: str | None) -> ssl.SSLContext:
    """Make the client context: verification on, TLS 1.2 or newer.

    Trusts the system's CAs (OpenSSL honours SSL_CERT_FILE and SSL_CERT_DIR) and those of `ca_file`.
    Raises OSError for a file that can't be read.
    """
    context = ssl.create_default_context()
    if ca_file is not None:
        context.load_verify_locations(cafile=ca_file)
    context.set_alpn_protocols(["http/1.1"])
    return context


class Resolver:
    """Looks names up, one look-up per name at a time, and remembers answers for some seconds."""

    def __init__(self, seconds: float, look_up: LookUp) -> None:
        self._seconds = seconds
        self._look_up = look_up
        self._lookups: dict[str, tuple[float, asyncio.Task[list[Address]]]] = {}

    async def resolve(self, host: str) -> list[Address]:
        """Return the addresses in the system's order of preference; raises OSError."""
        now = asyncio.get_running_loop().time()
        expires, task = self._lookups.get(host, (0.0, None))
        if task is None or (expires <= now and task.done()):
            # What is under way is waited for, however long it takes: it holds one of the few
            # threads (uvloop has four) that look up the names of all upstreams.
            self._lookups = {
                name: (until, other)
                for name, (until, other) in self._lookups.items()
                if until > now or not other.done()
            }
            task = asyncio.create_task(self._look_up(host))
            # Nobody may be left to take the error when every attempt has timed out.
            task.add_done_callback(lambda done: done.cancelled() or done.exception())
            self._lookups[host] = (now + self._seconds, task)
        try:
            # Several attempts may wait for one look-up; none of them may cancel it.
            return await asyncio.shield(task)
        except OSError:
            if self._lookups.get(host, (0.0, None))[1] is task:
                del self._lookups[host]
            raise
        except asyncio.CancelledError:
            if task.cancelled():  # by `close`, not by who waits
                raise OSError("the transport is closed") from None
            raise

    def close(self) -> None:
        """Cancel what is under way."""
        for _, task in self._lookups.values():
            task.cancel()
        self._lookups = {}


async def system_look_up(host: str) -> list[Address]:
    """Ask the system's resolver, in another thread; raises OSError."""
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except UnicodeError:
        raise socket.gaierror(socket.EAI_NONAME, "not a host name") from None
    # dict: without duplicates, in order; a scope id (`%eth0`) plays no part in the judgement.
    return list(dict.fromkeys(ip_address(str(entry[4][0]).partition("%")[0]) for entry in found))


class Dialler:
    """Opens connections for one `Transport`; the caller sets the time limit around `dial`."""

    def __init__(self, settings: TransportSettings, look_up: LookUp) -> None:
        """Load the CAs; raises OSError for an unreadable file."""
        self._settings = settings
        self._tls = tls_context(settings.ca_file)
        self._resolver = Resolver(settings.dns_seconds, look_up)

    async def dial(self, origin: Origin, connection: Connection, due: float) -> None:
        """Make `connection` ready for a request.

        `due` is the loop time by which it has to stand; addresses share what is left of it. Raises
        ConnectFailed, AddressRefused, TimeoutError.
        """
        proxy = self._settings.proxies.proxy_for(origin)
        try:
            if proxy is None:
                await self._direct(origin, connection, due)
                return
            literal = literal_address(origin.host)
            if literal is not None:
                self._permitted(origin, [literal])
            await self._through(proxy, origin, connection)
        except TimeoutError:
            raise
        except OSError as error:
            by_proxy = proxy is not None
            raise ConnectFailed(reason_of(error), origin.authority, by_proxy=by_proxy) from error

    def close(self) -> None:
        """Stop looking up names."""
        self._resolver.close()

    async def _direct(self, origin: Origin, connection: Connection, due: float) -> None:
        literal = literal_address(origin.host)
        found = [literal] if literal is not None else await self._resolver.resolve(origin.host)
        addresses = self._permitted(origin, found)
        loop = asyncio.get_running_loop()
        failure: OSError | None = None
        for position, address in enumerate(addresses):
            share = (due - loop.time()) / (len(addresses) - position)
            try:
                async with asyncio.timeout(share):
                    await self._connect(origin, connection, address)
                    return
            except ssl.SSLError:
                raise
            except OSError as error:
                failure = failure or error
        if failure is None:
            raise ConnectFailed("the name has no address", origin.authority)
        raise failure

    def _permitted(self, origin: Origin, found: list[Address]) -> list[Address]:
        """Drop what the policy forbids; raises AddressRefused if nothing is left of something."""
        policy = self._settings.address_policy
        reasons = [(address, policy.refusal(address, origin.host)) for address in found]
        permitted = [address for address, reason in reasons if reason is None]
        if reasons and not permitted:
            raise AddressRefused(
                f"its host is {reasons[0][1]}, which is not allowed as an upstream",
                origin.authority,
            )
        return permitted

    async def _connect(self, origin: Origin, connection: Connection, address: Address) -> None:
        secure = origin.scheme == "https"
        await asyncio.get_running_loop().create_connection(
            lambda: connection,
            host=str(address),
            port=origin.port,
            ssl=self._tls if secure else None,
            server_hostname=_server_name(origin) if secure else None,
        )

    async def _through(self, proxy: Proxy, origin: Origin, connection: Connection) -> None:
        loop = asyncio.get_running_loop()
        if origin.scheme == "http":
            await loop.create_connection(lambda: connection, proxy.host, proxy.port)
            return
        transport, tunnel = await loop.create_connection(Tunnel, proxy.host, proxy.port)
        try:
            transport.write(_connect_head(proxy, origin))
            await tunnel.answered(origin)
            secure = await loop.start_tls(
                transport, connection, self._tls, server_hostname=_server_name(origin)
            )
        except BaseException:
            transport.abort()
            raise
        if secure is None:
            raise ConnectFailed("the connection was closed", origin.authority, by_proxy=True)
        connection.connection_made(secure)


class Tunnel(asyncio.Protocol):
    """Waits for a proxy's answer to CONNECT; TLS takes the socket over after that."""

    def __init__(self) -> None:
        self._decoder = AnswerDecoder(bodiless=True)
        self._done: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()

    async def answered(self, origin: Origin) -> None:
        """Return when the tunnel stands; raises ConnectFailed."""
        failure = await self._done
        if failure is not None:
            raise ConnectFailed(failure, origin.authority, by_proxy=True)

    def data_received(self, data: bytes) -> None:
        """Read the head (RFC 9110 section 9.3.6: a 2xx answer has no body here)."""
        try:
            self._decoder.feed(data)
        except FramingFault as fault:
            self._settle(f"the proxy broke HTTP: {fault}")
            return
        if self._decoder.stage is not Stage.DONE:
            return
        status = self._decoder.status
        if not 200 <= status < 300:
            self._settle(f"the proxy answered {status}")
        elif self._decoder.surplus:
            # The upstream speaks only after our TLS greeting.
            self._settle("the proxy sent data before the upstream could")
        else:
            self._settle(None)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 (asyncio's signature)
        """The proxy hung up."""
        self._settle("the proxy closed the connection")

    def _settle(self, failure: str | None) -> None:
        if not self._done.done():
            self._done.set_result(failure)


def _connect_head(proxy: Proxy, origin: Origin) -> bytes:
    lines = [f"CONNECT {origin.authority} HTTP/1.1", f"Host: {origin.authority}"]
    head = "\r\n".join(lines).encode("ascii")
    if proxy.authorization is not None:
        head += b"\r\nProxy-Authorization: " + proxy.authorization
    return head + b"\r\n\r\n"


def _server_name(origin: Origin) -> str:
    # A name's final dot is DNS notation; certificates and SNI don't have it (RFC 6066 section 3).
    return origin.host.rstrip(".")

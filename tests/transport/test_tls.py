"""TLS is always verified, for the host's name, whatever address is connected to."""

import asyncio
import datetime as dt
import re
import socket
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Protocol

import pytest
import trustme

from sluicegate.transport import (
    AttemptTimeouts,
    ConnectFailed,
    ConnectionLost,
    Origin,
    TimedOut,
    Transport,
    TransportSettings,
    UpstreamRequest,
)

Script = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Serve(Protocol):
    def __call__(
        self, script: Script, *, tls: ssl.SSLContext | None = None
    ) -> Awaitable[Origin]: ...


TIMEOUTS = AttemptTimeouts(connect=5, first_byte=5, idle=5, total=10)
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


async def answering(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while True:
        await read_request(reader)
        writer.write(OK)


async def read_request(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    length = re.search(rb"Content-Length: (\d+)", head)
    return await reader.readexactly(int(length[1]) if length else 0)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def ca_file(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("tls") / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return str(path)


def server_context(cert: trustme.LeafCert) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    cert.configure_cert(context)  # pyright: ignore[reportUnknownMemberType] (pyOpenSSL's type)
    return context


@asynccontextmanager
async def trusting(ca_file: str | None) -> AsyncGenerator[Transport]:
    transport = Transport(settings=TransportSettings(ca_file=ca_file))
    yield transport
    await transport.close()
    assert transport.open_connections == 0


def named(host: str, origin: Origin) -> Origin:
    return Origin("https", host, origin.port)


async def fetch(transport: Transport, origin: Origin, body: bytes = b"{}") -> bytes:
    request = UpstreamRequest(origin, "POST", "/v1/responses", (), body)
    answer = await transport.send(request, TIMEOUTS)
    return await answer.read_all(2**20)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
async def test_a_trusted_upstream(
    serve: Serve, authority: trustme.CA, ca_file: str, host: str
) -> None:
    names: list[str | None] = []
    context = server_context(authority.issue_cert("localhost", "127.0.0.1"))
    context.set_alpn_protocols(["h2", "http/1.1"])
    protocols: list[str | None] = []

    def asked(_: ssl.SSLObject | ssl.SSLSocket, name: str | None, __: ssl.SSLContext) -> None:
        names.append(name)

    context.sni_callback = asked

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        protocols.append(writer.get_extra_info("ssl_object").selected_alpn_protocol())
        await answering(reader, writer)

    origin = named(host, await serve(script, tls=context))
    async with trusting(ca_file) as transport:
        for _ in range(3):
            assert await fetch(transport, origin) == b"ok"
        assert transport.open_connections == 1
    assert names == ["localhost" if host == "localhost" else None]
    assert protocols == ["http/1.1"]


async def test_long_bodies_over_tls(serve: Serve, authority: trustme.CA, ca_file: str) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        body = await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body))
        writer.write(body)
        await reader.read()

    context = server_context(authority.issue_cert("localhost"))
    origin = named("localhost", await serve(script, tls=context))
    body = bytes(range(256)) * 20_000
    async with trusting(ca_file) as transport:
        request = UpstreamRequest(origin, "POST", "/", (), body)
        answer = await transport.send(request, TIMEOUTS)
        assert await answer.read_all(len(body)) == body
        assert transport.idle_connections == 1


def certificate(authority: trustme.CA, problem: str) -> trustme.LeafCert:
    if problem == "wrong host":
        return authority.issue_cert("other.example")
    if problem == "expired":
        yesterday = dt.datetime.now(dt.UTC) - dt.timedelta(days=1)
        return authority.issue_cert("localhost", not_after=yesterday)
    return trustme.CA().issue_cert("localhost")


@pytest.mark.parametrize("problem", ["wrong host", "expired", "untrusted", "no CA file"])
async def test_a_bad_certificate_ends_it_before_a_byte_is_sent(
    serve: Serve, authority: trustme.CA, ca_file: str, problem: str
) -> None:
    reached: list[bytes] = []

    async def script(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        reached.append(await reader.read(1))

    context = server_context(certificate(authority, problem))
    origin = named("localhost", await serve(script, tls=context))
    async with trusting(None if problem == "no CA file" else ca_file) as transport:
        with pytest.raises(ConnectFailed, match="certificate not accepted") as caught:
            await fetch(transport, origin)
        assert not caught.value.sent
        assert "localhost" not in str(caught.value)
        assert transport.open_connections == 0
    assert reached in ([], [b""])


async def test_another_address_is_no_way_around_a_bad_certificate(
    serve: Serve, authority: trustme.CA, ca_file: str
) -> None:
    handshakes: list[str | None] = []
    context = server_context(certificate(authority, "untrusted"))

    def asked(_: ssl.SSLObject | ssl.SSLSocket, name: str | None, __: ssl.SSLContext) -> None:
        handshakes.append(name)

    context.sni_callback = asked
    origin = named("two.invalid", await serve(answering, tls=context))

    async def look_up(_: str) -> list[IPv4Address | IPv6Address]:
        return [IPv4Address("127.0.0.1"), IPv6Address("::ffff:127.0.0.1")]

    transport = Transport(settings=TransportSettings(ca_file=ca_file), look_up=look_up)
    with pytest.raises(ConnectFailed, match="certificate not accepted"):
        await fetch(transport, origin)
    await transport.close()
    assert handshakes == ["two.invalid"]


async def test_the_environments_ca_file_is_honoured(
    serve: Serve, authority: trustme.CA, ca_file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", ca_file)
    context = server_context(authority.issue_cert("localhost"))
    origin = named("localhost", await serve(answering, tls=context))
    async with trusting(None) as transport:
        assert await fetch(transport, origin) == b"ok"


def test_an_unreadable_ca_file(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        Transport(settings=TransportSettings(ca_file=str(tmp_path / "absent.pem")))


async def test_old_tls_is_refused(serve: Serve, authority: trustme.CA, ca_file: str) -> None:
    context = server_context(authority.issue_cert("localhost"))
    with pytest.warns(DeprecationWarning, match="TLSv1"):
        context.minimum_version = ssl.TLSVersion.TLSv1
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    origin = named("localhost", await serve(answering, tls=context))
    async with trusting(ca_file) as transport:
        with pytest.raises(ConnectFailed):
            await fetch(transport, origin)


async def test_plain_http_where_tls_is_expected(serve: Serve, ca_file: str) -> None:
    origin = named("localhost", await serve(answering))
    async with trusting(ca_file) as transport:
        request = UpstreamRequest(origin, "GET", "/")
        with pytest.raises((ConnectFailed, TimedOut)):
            await transport.send(request, AttemptTimeouts(connect=0.5))


async def test_a_handshake_that_hangs(ca_file: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        origin = Origin("https", "localhost", silent.getsockname()[1])
        async with trusting(ca_file) as transport:
            request = UpstreamRequest(origin, "GET", "/")
            with pytest.raises(TimedOut) as caught:
                await transport.send(request, AttemptTimeouts(connect=0.2))
            assert (caught.value.phase, caught.value.sent) == ("connect", False)


async def test_truncation_over_tls(serve: Serve, authority: trustme.CA, ca_file: str) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
        await writer.drain()
        await asyncio.sleep(0.05)
        writer.transport.abort()

    context = server_context(authority.issue_cert("localhost"))
    origin = named("localhost", await serve(script, tls=context))
    async with trusting(ca_file) as transport:
        with pytest.raises(ConnectionLost):
            await fetch(transport, origin)


async def test_cancelling_over_tls_leaves_nothing(
    serve: Serve, authority: trustme.CA, ca_file: str
) -> None:
    left = asyncio.Event()
    asked = asyncio.Event()

    async def script(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await read_request(reader)
        asked.set()
        with suppress(ConnectionError, ssl.SSLError):
            await reader.read()
        left.set()

    context = server_context(authority.issue_cert("localhost"))
    origin = named("localhost", await serve(script, tls=context))
    async with trusting(ca_file) as transport:
        task = asyncio.create_task(fetch(transport, origin))
        await asked.wait()
        task.cancel()
        await asyncio.wait([task])
        assert transport.open_connections == 0
        await asyncio.wait_for(left.wait(), 1)

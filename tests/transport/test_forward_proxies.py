"""Proxies from the environment: which request takes which way, and the tunnel for https."""

import asyncio
import base64
import re
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Protocol

import pytest
import trustme

from sluicegate.transport import (
    AddressRefused,
    AttemptTimeouts,
    ConnectFailed,
    Origin,
    Proxy,
    ProxySettings,
    TimedOut,
    Transport,
    TransportSettings,
    UpstreamRequest,
    proxies_from_environment,
)

Script = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Serve(Protocol):
    def __call__(
        self, script: Script, *, tls: ssl.SSLContext | None = None
    ) -> Awaitable[Origin]: ...


TIMEOUTS = AttemptTimeouts(connect=5, first_byte=5, idle=5, total=10)
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
HTTP = Origin("http", "api.example", 80)
HTTPS = Origin("https", "api.example", 443)


async def read_head(reader: asyncio.StreamReader) -> bytes:
    return await reader.readuntil(b"\r\n\r\n")


async def answering(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while True:
        await read_head(reader)
        writer.write(OK)


def through(proxy: Origin, *, ca_file: Path | None = None) -> Transport:
    way = Proxy(proxy.host, proxy.port, b"Basic " + base64.b64encode(b"me:s3cret"))
    return Transport(
        settings=TransportSettings(
            ca_file=None if ca_file is None else str(ca_file),
            proxies=ProxySettings(http=way, https=way),
        )
    )


async def fetch(transport: Transport, origin: Origin) -> bytes:
    answer = await transport.send(UpstreamRequest(origin, "GET", "/v1?a=b"), TIMEOUTS)
    return await answer.read_all(100)


async def test_http_is_asked_in_absolute_form(serve: Serve) -> None:
    heads: list[bytes] = []

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            heads.append(await read_head(reader))
            writer.write(OK)

    transport = through(await serve(script))
    for _ in range(2):
        assert await fetch(transport, HTTP) == b"ok"
    assert transport.open_connections == 1
    await transport.close()
    expected = (
        b"GET http://api.example:80/v1?a=b HTTP/1.1\r\nHost: api.example\r\n"
        b"Accept-Encoding: identity\r\nProxy-Authorization: Basic bWU6czNjcmV0\r\n\r\n"
    )
    assert heads == [expected, expected]


class TunnelProxy:
    """A CONNECT proxy that leads every tunnel to one upstream."""

    def __init__(self, upstream: Origin) -> None:
        self.heads: list[bytes] = []
        self._upstream = upstream

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.heads.append(await read_head(reader))
        there_reader, there = await asyncio.open_connection(
            self._upstream.host, self._upstream.port
        )
        writer.write(b"HTTP/1.1 200 Connection established\r\nVia: x\r\n\r\n")

        async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
            while data := await source.read(65536):
                sink.write(data)
            sink.close()

        await asyncio.gather(pump(reader, there), pump(there_reader, writer))


@pytest.mark.parametrize("valid", [True, False])
async def test_https_goes_through_a_tunnel(serve: Serve, tmp_path: Path, valid: bool) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    cert = authority.issue_cert("api.example" if valid else "proxy.example")
    cert.configure_cert(context)  # pyright: ignore[reportUnknownMemberType] (pyOpenSSL's type)
    heads: list[bytes] = []

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            heads.append(await read_head(reader))
            writer.write(OK)

    proxy = TunnelProxy(await serve(script, tls=context))
    transport = through(await serve(proxy), ca_file=tmp_path / "ca.pem")
    if valid:
        for _ in range(2):
            assert await fetch(transport, HTTPS) == b"ok"
        assert transport.open_connections == 1
    else:
        with pytest.raises(ConnectFailed, match="certificate not accepted"):
            await fetch(transport, HTTPS)
    await transport.close()
    connect = (
        b"CONNECT api.example:443 HTTP/1.1\r\nHost: api.example:443\r\n"
        b"Proxy-Authorization: Basic bWU6czNjcmV0\r\n\r\n"
    )
    assert proxy.heads == [connect]
    request = b"GET /v1?a=b HTTP/1.1\r\nHost: api.example\r\nAccept-Encoding: identity\r\n\r\n"
    assert heads == ([request] * 2 if valid else []), "the upstream never sees the proxy's password"


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (b"HTTP/1.1 407 Who are you\r\nContent-Length: 2\r\n\r\nno", "answered 407"),
        (b"HTTP/1.1 302 Go\r\nLocation: /\r\n\r\n", "answered 302"),
        (b"HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", "before the upstream could"),
        (b"SOCKS\r\n\r\n", "broke HTTP"),
        (b"HTTP/1.1 200 OK\r\nA: " + b"x" * 70_000, "broke HTTP"),
        (b"", "closed the connection"),
        (b"HTTP/1.1 200", "closed the connection"),
    ],
)
async def test_a_proxy_that_makes_no_tunnel(serve: Serve, answer: bytes, why: str) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_head(reader)
        writer.write(answer)

    transport = through(await serve(script))
    with pytest.raises(ConnectFailed, match=why) as caught:
        await fetch(transport, HTTPS)
    assert not caught.value.sent
    assert "s3cret" not in str(caught.value)
    assert transport.open_connections == 0
    await transport.close()


async def test_a_silent_proxy(serve: Serve) -> None:
    left = asyncio.Event()

    async def script(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read()
        left.set()

    transport = through(await serve(script))
    with pytest.raises(TimedOut) as caught:
        await transport.send(UpstreamRequest(HTTPS, "GET", "/"), AttemptTimeouts(connect=0.1))
    assert (caught.value.phase, caught.value.sent) == ("connect", False)
    await asyncio.wait_for(left.wait(), 1)
    await transport.close()


@pytest.mark.parametrize("host", ["169.254.169.254", "2852039166", "::ffff:169.254.169.254"])
@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_literal_addresses_are_judged_before_the_proxy(
    serve: Serve, host: str, scheme: str
) -> None:
    transport = through(await serve(answering))
    with pytest.raises(AddressRefused):
        await fetch(transport, Origin(scheme, host, 80))
    await transport.close()


async def test_loopback_is_reached_without_a_proxy(serve: Serve) -> None:
    upstream = await serve(answering)
    transport = through(Origin("http", "127.0.0.1", 1))
    assert await fetch(transport, upstream) == b"ok"
    assert await fetch(transport, Origin("http", "localhost", upstream.port)) == b"ok"
    await transport.close()


# The variables.


def test_no_variables() -> None:
    assert proxies_from_environment({}) == ProxySettings()
    assert proxies_from_environment({"HTTP_PROXY": "", "NO_PROXY": " "}) == ProxySettings()


def test_one_variable_for_each_scheme() -> None:
    settings = proxies_from_environment(
        {"HTTP_PROXY": "http://a:3128", "HTTPS_PROXY": "http://me:p%40ss@[::1]:8080/"}
    )
    assert settings.proxy_for(HTTP) == Proxy("a", 3128)
    secure = settings.proxy_for(HTTPS)
    assert secure == Proxy("::1", 8080, b"Basic " + base64.b64encode(b"me:p@ss"))
    assert secure is not None
    assert not re.search("p@ss|p%40ss|bWU6", repr(settings)), "no password in a repr"
    assert secure.where == "[::1]:8080"


@pytest.mark.parametrize(
    ("environ", "host"),
    [
        ({"http_proxy": "http://lower", "HTTP_PROXY": "http://upper"}, "lower"),
        ({"HTTP_PROXY": "http://upper"}, "upper"),
        ({"HTTP_PROXY": "upper:80"}, "upper"),
        ({"HTTP_PROXY": "HTTP://UPPER"}, "upper"),
    ],
)
def test_spellings(environ: dict[str, str], host: str) -> None:
    proxy = proxies_from_environment(environ).proxy_for(HTTP)
    assert proxy is not None
    assert (proxy.host, proxy.port) == (host, 80)


def test_an_empty_lower_case_variable_switches_off() -> None:
    environ = {"http_proxy": "", "HTTP_PROXY": "http://upper"}
    assert proxies_from_environment(environ).proxy_for(HTTP) is None


@pytest.mark.parametrize(
    "value",
    [
        "https://s3cret",
        "socks5://s3cret:1",
        "http://me:s3cret@",
        "http://me:s3cret@h:x",
        "http://ä",
    ],
)
def test_a_proxy_that_is_not_understood_names_the_variable_only(value: str) -> None:
    with pytest.raises(ValueError, match="HTTPS_PROXY") as caught:
        proxies_from_environment({"HTTPS_PROXY": value})
    assert "s3cret" not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    ("no_proxy", "host", "port", "bypassed"),
    [
        ("*", "api.example", 443, True),
        ("api.example", "api.example", 443, True),
        ("API.example", "api.example", 443, True),
        ("example", "api.example", 443, True),
        (".example", "api.example", 443, True),
        ("*.example", "api.example", 443, True),
        (".api.example", "api.example", 443, True),
        ("api.example", "api.example.", 443, True),
        ("api.example", "xapi.example", 443, False),
        ("pi.example", "api.example", 443, False),
        ("api.example:443", "api.example", 443, True),
        ("api.example:8443", "api.example", 443, False),
        ("a, b , api.example", "api.example", 443, True),
        ("a b api.example", "api.example", 443, True),
        ("10.0.0.0/8", "10.1.2.3", 443, True),
        ("10.0.0.1/8", "10.1.2.3", 443, True),
        ("10.0.0.0/8", "11.1.2.3", 443, False),
        ("10.0.0.0/8", "api.example", 443, False),
        ("10.1.2.3", "10.1.2.3", 443, True),
        ("10.1.2.3:80", "10.1.2.3", 443, False),
        ("2.3", "10.1.2.3", 443, False),
        ("2001:db8::/32", "2001:db8::5", 443, True),
        ("2001:db8::5", "2001:db8:0::5", 443, True),
        ("[2001:db8::5]:443", "2001:db8::5", 443, True),
        ("[2001:db8::5]:80", "2001:db8::5", 443, False),
        ("127.0.0.1", "api.example", 443, False),
        ("not/a/network,,.", "api.example", 443, False),
        ("", "127.0.0.1", 443, True),
        ("", "127.1", 443, True),
        ("", "::1", 443, True),
        ("", "localhost", 443, True),
        ("", "10.0.0.1", 443, False),
    ],
)
def test_no_proxy(no_proxy: str, host: str, port: int, bypassed: bool) -> None:
    environ = {"HTTPS_PROXY": "http://p", "NO_PROXY": no_proxy}
    way = proxies_from_environment(environ).proxy_for(Origin("https", host, port))
    assert (way is None) is bypassed

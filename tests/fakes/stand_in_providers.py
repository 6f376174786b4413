"""All providers' hosts on loopback: a forward proxy whose every tunnel ends at one TLS server."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path

import trustme

import spoken_wires
from scripted_upstream import Call, ScriptedUpstream

HOSTS = ("api.openai.com", "api.anthropic.com", "generativelanguage.googleapis.com")


@dataclass(frozen=True)
class StandIns:
    """What a program has to be told so that it finds them."""

    upstream: ScriptedUpstream
    proxy: int
    authority: Path
    asked: list[str]  # for what the proxy was asked, as in "CONNECT api.openai.com:443"

    def environ(self) -> dict[str, str]:
        return {
            "HTTPS_PROXY": f"http://127.0.0.1:{self.proxy}",
            "SLUICEGATE_UPSTREAM_CA": str(self.authority),
            "SSL_CERT_FILE": str(self.authority),
            "OPENAI_API_KEY": "sk-of-openai",
            "ANTHROPIC_API_KEY": "sk-of-anthropic",
            "GEMINI_API_KEY": "key-of-gemini",
        }


async def answer(call: Call) -> None:
    """As whichever provider was asked."""
    if call.target.endswith("/responses"):
        await spoken_wires.openai(call)
    elif call.target.endswith("/messages"):
        await spoken_wires.anthropic(call)
    else:
        await spoken_wires.google(call)


@contextlib.asynccontextmanager
async def stand_in_providers(folder: Path, *hosts: str) -> AsyncGenerator[StandIns]:
    """The providers', and `hosts` beside them."""
    authority = trustme.CA()
    path = folder / "providers.pem"
    authority.cert_pem.write_to_path(str(path))
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with authority.issue_cert(*HOSTS, *hosts).private_key_and_cert_chain_pem.tempfile() as pem:
        tls.load_cert_chain(pem)
    upstream = ScriptedUpstream(answer)
    tunnels: set[asyncio.Task[None]] = set()
    asked: list[str] = []

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tunnels.add(task)
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            await _tunnel(reader, writer, upstream.port, asked)
        writer.close()

    async with upstream.listening(tls):
        server = await asyncio.start_server(accept, "127.0.0.1", 0)
        try:
            yield StandIns(upstream, server.sockets[0].getsockname()[1], path, asked)
        finally:
            server.close()
            for task in tunnels:
                task.cancel()
            await asyncio.gather(*tunnels, return_exceptions=True)


async def _tunnel(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int, asked: list[str]
) -> None:
    head = await reader.readuntil(b"\r\n\r\n")
    asked.append(head.decode("latin-1").partition(" HTTP/")[0])
    if not head.startswith(b"CONNECT "):
        return
    there, onward = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
    try:
        ways = (_pump(reader, onward), _pump(there, writer))
        pumps = [asyncio.create_task(way) for way in ways]
        await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        for pump in pumps:
            pump.cancel()
        await asyncio.gather(*pumps, return_exceptions=True)
    finally:
        onward.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while piece := await reader.read(65_536):
        writer.write(piece)
        await writer.drain()

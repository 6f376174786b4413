"""A scripted upstream: an asyncio server on loopback that says whatever bytes a test wants.

A script is a coroutine that gets one `Call` (a request that has arrived whole) and answers it, with
any bytes, in any pieces, at any pace, or not at all. What was asked is kept in `calls`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import ssl
import struct
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias, cast

_HEAD_END = b"\r\n\r\n"


@dataclass(eq=False)
class Call:
    """One request of the gateway, and the way to answer it."""

    method: str
    target: str
    headers: list[tuple[str, str]]  # names in lower case
    body: bytes
    transport: asyncio.Transport = field(repr=False)
    gone: asyncio.Event = field(repr=False)  # the gateway has closed this connection
    writable: asyncio.Event = field(repr=False)

    def header(self, name: str) -> str | None:
        """The only value of a header, None without one."""
        values = [value for key, value in self.headers if key == name]
        assert len(values) < 2, f"{name} was sent {len(values)} times"
        return values[0] if values else None

    def json(self) -> dict[str, Any]:
        return cast("dict[str, Any]", json.loads(self.body))

    @property
    def streamed(self) -> bool:
        return self.json().get("stream") is True

    def write(self, data: bytes) -> None:
        self.transport.write(data)

    async def send(self, data: bytes) -> None:
        """Write and wait until the socket has room: what a well-behaved upstream does."""
        if self.transport.is_closing():
            raise ConnectionResetError
        self.transport.write(data)
        await asyncio.sleep(0)  # an event that is set already would not let others run
        await self.writable.wait()

    def head(self, status: int, headers: Iterable[tuple[str, str]] = ()) -> None:
        lines = [f"HTTP/1.1 {status} Scripted", *(f"{name}: {value}" for name, value in headers)]
        self.write("\r\n".join(lines).encode("latin-1") + _HEAD_END)

    def answer(
        self, body: bytes, status: int = 200, headers: Iterable[tuple[str, str]] = ()
    ) -> None:
        """A whole answer."""
        length = ("Content-Length", str(len(body)))
        self.head(status, [("Content-Type", "application/json"), length, *headers])
        self.write(body)

    def begin(self, headers: Iterable[tuple[str, str]] = ()) -> None:
        """The head of an event stream."""
        self.head(
            200,
            [("Content-Type", "text/event-stream"), ("Transfer-Encoding", "chunked"), *headers],
        )

    def chunk(self, data: bytes) -> None:
        self.write(b"%x\r\n%b\r\n" % (len(data), data))

    def end(self) -> None:
        self.write(b"0\r\n\r\n")

    def close(self) -> None:
        """An orderly end of the connection."""
        self.transport.close()

    def reset(self) -> None:
        """The connection is torn down (RST)."""
        sock = cast("socket.socket", self.transport.get_extra_info("socket"))
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()


Script: TypeAlias = Callable[[Call], Awaitable[None]]


class _Connection(asyncio.Protocol):
    def __init__(self, upstream: ScriptedUpstream) -> None:
        self._upstream = upstream
        self._received = b""
        self._task: asyncio.Task[None] | None = None
        self._gone = asyncio.Event()
        self._writable = asyncio.Event()
        self._writable.set()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._upstream.open.add(self._transport)
        self._upstream.accepted += 1

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, separator, rest = self._received.partition(_HEAD_END)
        if not separator:
            return
        first, *lines = head.decode("latin-1").split("\r\n")
        method, target, _ = first.split(" ")
        headers: list[tuple[str, str]] = []
        for line in lines:
            name, _, value = line.partition(":")
            headers.append((name.lower(), value.strip()))
        length = int(dict(headers).get("content-length", "0"))
        if len(rest) < length:
            return
        assert len(rest) == length, (
            "the gateway sent a second request before the first was answered"
        )
        assert self._task is None or self._task.done(), "two exchanges on one connection"
        assert self._transport is not None
        self._received = b""
        call = Call(method, target, headers, rest, self._transport, self._gone, self._writable)
        self._task = self._upstream.run(call)

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        if self._transport is not None:
            self._upstream.open.discard(self._transport)
        self._gone.set()
        self._writable.set()


class ScriptedUpstream:
    """Listens from `listening` on; runs `script` for each request."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.calls: list[Call] = []
        self.open: set[asyncio.Transport] = set()
        self.accepted = 0
        self.port = 0
        self.scheme = "http"
        self._arrived = asyncio.Condition()
        self._tasks: set[asyncio.Task[None]] = set()
        self._failures: list[BaseException] = []

    @property
    def base_url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}/v1"

    @property
    def last(self) -> Call:
        return self.calls[-1]

    async def called(self, count: int = 1) -> Call:
        """Wait until `count` requests have come in all; gives the last of them."""
        async with self._arrived:
            await self._arrived.wait_for(lambda: len(self.calls) >= count)
        return self.calls[count - 1]

    def run(self, call: Call) -> asyncio.Task[None]:
        self.calls.append(call)
        task = asyncio.get_running_loop().create_task(self._run(call))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _run(self, call: Call) -> None:
        async with self._arrived:
            self._arrived.notify_all()
        try:
            await self.script(call)
        except ConnectionError:
            pass  # the gateway hung up, which is its right
        except Exception as error:  # noqa: BLE001 -- a script's failure has to reach the test
            self._failures.append(error)
            call.transport.abort()

    @contextlib.asynccontextmanager
    async def listening(
        self, tls: ssl.SSLContext | None = None
    ) -> AsyncGenerator[ScriptedUpstream]:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: _Connection(self), "127.0.0.1", 0, ssl=tls)
        self.port = server.sockets[0].getsockname()[1]
        self.scheme = "http" if tls is None else "https"
        try:
            yield self
        finally:
            server.close()
            for transport in list(self.open):
                transport.abort()
            for task in list(self._tasks):
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
        assert not self._failures, self._failures


# Scripts.


def answers(body: bytes, status: int = 200, headers: Sequence[tuple[str, str]] = ()) -> Script:
    """Every request gets this whole answer."""

    async def script(call: Call) -> None:
        call.answer(body, status, headers)

    return script


def streams(*pieces: bytes) -> Script:
    """Every request gets these bytes as an event stream, each piece in a chunk and a packet."""

    async def script(call: Call) -> None:
        call.begin()
        for piece in pieces:
            call.chunk(piece)
            await asyncio.sleep(0)
        call.end()

    return script


def breaks_after(*pieces: bytes, reset: bool = False) -> Script:
    """A stream whose connection ends after these bytes."""

    async def script(call: Call) -> None:
        call.begin()
        for piece in pieces:
            call.chunk(piece)
        await asyncio.sleep(0.05)  # a reset would overtake what the gateway has not read yet
        if reset:
            call.reset()
        else:
            call.close()

    return script


def waits(go_on: asyncio.Event, *pieces: bytes, whole: bytes | None = None) -> Script:
    """A stream whose first five pieces come at once, and the others after the event.

    `whole` is what those get at once who ask for no stream.
    """

    async def script(call: Call) -> None:
        if whole is not None and not call.streamed:
            call.answer(whole)
            return
        call.begin()
        for piece in pieces[:5]:
            call.chunk(piece)
        await go_on.wait()
        for piece in pieces[5:]:
            call.chunk(piece)
        call.end()

    return script


def hangs(*pieces: bytes) -> Script:
    """A stream that falls silent after these bytes (without any: no answer at all)."""

    async def script(call: Call) -> None:
        if pieces:
            call.begin()
        for piece in pieces:
            call.chunk(piece)
        await call.gone.wait()

    return script


def in_turn(*scripts: Script) -> Script:
    """The first request is answered by the first script, and so on; the last one stays."""
    left = list(scripts)

    async def script(call: Call) -> None:
        await (left.pop(0) if len(left) > 1 else left[0])(call)

    return script

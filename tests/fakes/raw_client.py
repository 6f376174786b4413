"""A client that sends bytes and reads bytes, strict about what it reads (RFC 9112)."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import ssl
import struct
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self, cast

_STATUS = re.compile(rb"HTTP/1\.1 ([1-5][0-9][0-9]) [\x20-\x7e]+")
_FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+): ?([\x20-\x7e]*)")
_SIZE = re.compile(rb"[0-9a-f]+")
_ENVELOPE = {"message", "type", "param", "code"}


@dataclass(frozen=True)
class Answer:
    """One whole answer; `interim` are the 1xx statuses before it."""

    status: int
    headers: dict[str, str]  # names in lower case
    body: bytes = field(repr=False)
    interim: tuple[int, ...] = ()
    chunks: tuple[bytes, ...] = field(default=(), repr=False)

    def json(self) -> dict[str, Any]:
        return cast("dict[str, Any]", json.loads(self.body))

    @property
    def error(self) -> dict[str, Any]:
        """The error object, after checking that it is the OpenAI envelope and nothing else."""
        assert self.headers["content-type"].startswith("application/json"), self.headers
        value = self.json()
        assert set(value) == {"error"}, value
        error = cast("dict[str, Any]", value["error"])
        assert set(error) == _ENVELOPE, error
        assert isinstance(error["message"], str), error
        assert error["message"], error
        assert isinstance(error["type"], str), error
        assert error["code"] is None or isinstance(error["code"], str), error
        assert error["param"] is None or isinstance(error["param"], str), error
        return error


class RawClient:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def open(
        cls,
        port: int,
        *,
        host: str = "127.0.0.1",
        tls: ssl.SSLContext | None = None,
        receive_buffer: int | None = None,
    ) -> RawClient:
        """Connect. A small `receive_buffer` (bytes) makes a client that is soon full."""
        sock = socket.socket()
        if receive_buffer is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        sock.setblocking(False)
        try:
            await asyncio.get_running_loop().sock_connect(sock, (host, port))
        except OSError:
            sock.close()
            raise
        name = "localhost" if tls is not None else None
        limit = 64 * 1024 * 1024 if receive_buffer is None else receive_buffer
        return cls(
            *await asyncio.open_connection(sock=sock, ssl=tls, server_hostname=name, limit=limit)
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.writer.close()

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    def post(self, body: bytes, headers: dict[str, str], path: str = "/v1/responses") -> None:
        self.send(request(body, headers, path=path))

    def leave(self) -> None:
        """Close as a client does that has lost interest."""
        self.writer.transport.abort()

    def reset(self) -> None:
        sock = cast("socket.socket", self.writer.get_extra_info("socket"))
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    async def head(self) -> tuple[int, dict[str, str]]:
        """The head of the next answer."""
        lines = (await self.reader.readuntil(b"\r\n\r\n"))[:-4].split(b"\r\n")
        start = _STATUS.fullmatch(lines[0])
        assert start is not None, lines[0]
        headers: dict[str, str] = {}
        for line in lines[1:]:
            match = _FIELD.fullmatch(line)
            assert match is not None, line
            name = match[1].decode().lower()
            assert name not in headers, f"{name} is sent twice"
            headers[name] = match[2].decode()
        return int(start[1]), headers

    async def answer(self, *, to_head: bool = False) -> Answer:
        """The next whole answer. `to_head`: the request was HEAD, so there is no body."""
        interim: list[int] = []
        status, headers = await self.head()
        while status < 200:
            interim.append(status)
            status, headers = await self.head()
        chunks: list[bytes] = []
        if to_head:
            pass
        elif "content-length" in headers:
            assert "transfer-encoding" not in headers
            chunks = [await self.reader.readexactly(int(headers["content-length"]))]
        elif "transfer-encoding" in headers:
            assert headers["transfer-encoding"] == "chunked"
            while chunk := await self.chunk():
                chunks.append(chunk)
        else:
            assert headers["connection"] == "close"
            chunks = [await self.reader.read()]
        return Answer(status, headers, b"".join(chunks), tuple(interim), tuple(chunks))

    async def chunk(self) -> bytes:
        """The next chunk; empty at the end."""
        line = (await self.reader.readuntil(b"\r\n"))[:-2]
        assert _SIZE.fullmatch(line), line
        data = await self.reader.readexactly(int(line, 16))
        assert await self.reader.readexactly(2) == b"\r\n"
        return data

    async def closed(self) -> bytes:
        """Wait until the gateway closes; gives what it still sent."""
        try:
            return await self.reader.read()
        except ConnectionError:
            return b""


def request(
    body: bytes,
    headers: dict[str, str],
    *,
    method: str = "POST",
    path: str = "/v1/responses",
) -> bytes:
    """A well-formed request. `headers` override the usual ones; None of a value leaves one out."""
    fields = {
        "Host": "gateway.test",
        "Content-Type": "application/json",
        "Content-Length": str(len(body)),
    } | headers
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items())]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body

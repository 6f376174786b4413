"""The HTTP clients of this process: one for blocking calls, one for each event loop.

Connections, proxies (HTTP_PROXY, HTTPS_PROXY, NO_PROXY) and TLS are httpx2's. Redirects are not
followed, and no cookie is sent: requests are made here, not by the client.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncGenerator
from functools import lru_cache
from ssl import SSLContext
from typing import NamedTuple
from urllib.parse import urlsplit

import httpx2

from sluicegate.providers.contract import UpstreamCall

# As the openai package.
DEFAULT_TIMEOUT = httpx2.Timeout(600.0, connect=5.0)  # seconds
_LIMITS = httpx2.Limits(max_connections=1000, max_keepalive_connections=100)


class _Held(NamedTuple):
    client: httpx2.AsyncClient
    holder: AsyncGenerator[None]  # closes the client when its event loop ends


class _Clients:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._blocking: httpx2.Client | None = None
        self._loops: dict[asyncio.AbstractEventLoop, _Held] = {}

    def blocking(self) -> httpx2.Client:
        with self._lock:
            if self._blocking is None:
                self._blocking = httpx2.Client(verify=_tls(), limits=_LIMITS)
            return self._blocking

    async def of_loop(self) -> httpx2.AsyncClient:
        loop = asyncio.get_running_loop()
        held = self._loops.get(loop)
        if held is None:
            tls = await asyncio.to_thread(_tls)  # it reads the machine's certificates
            held = self._loops.get(loop) or await self._open(loop, tls)
        return held.client

    async def _open(self, loop: asyncio.AbstractEventLoop, tls: SSLContext) -> _Held:
        client = httpx2.AsyncClient(verify=tls, limits=_LIMITS)
        held = _Held(client, _hold(client))
        with self._lock:
            for ended in [each for each in self._loops if each.is_closed()]:
                del self._loops[ended]
            self._loops[loop] = held
        # From its first step on, a loop that shuts down closes it, and so the client.
        await anext(held.holder)
        return held


async def _hold(client: httpx2.AsyncClient) -> AsyncGenerator[None]:
    try:
        yield
    finally:
        await client.aclose()


@lru_cache(maxsize=1)
def _tls() -> SSLContext:
    return httpx2.create_ssl_context()


class _Process:
    def __init__(self) -> None:
        self.clients = _Clients()

    def renew(self) -> None:
        self.clients = _Clients()


_process = _Process()
os.register_at_fork(after_in_child=_process.renew)  # a connection has one owner


def shared_client() -> httpx2.Client:
    """The client of blocking calls in this process; any thread may use it."""
    return _process.clients.blocking()


async def loop_client() -> httpx2.AsyncClient:
    """The client of the running event loop; it ends with the loop."""
    return await _process.clients.of_loop()


def http_request(
    call: UpstreamCall,
    credentials: tuple[tuple[bytes, bytes], ...],
    timeout: httpx2.Timeout,
    *,
    stream: bool,
) -> httpx2.Request:
    """Exactly what the translator asked for: a signature covers path and body."""
    parts = urlsplit(call.base_url)
    url = httpx2.URL(f"{parts.scheme}://{parts.netloc}").copy_with(raw_path=call.target.encode())
    own: list[tuple[bytes, bytes]] = [(b"user-agent", b"sluicegate")]
    if stream:
        own.append((b"accept-encoding", b"identity"))  # no proxy should gather events to pack them
    return httpx2.Request(
        call.method,
        url,
        headers=[*own, *call.headers, *credentials],
        content=call.body,
        extensions={"timeout": timeout.as_dict()},
    )

"""A scripted upstream in a thread of its own, so that blocking calls can be tested too."""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

from scripted_upstream import Call, Script, ScriptedUpstream, answers

T = TypeVar("T")


class Served:
    """The upstream, seen from another thread."""

    def __init__(self) -> None:
        self._upstream = ScriptedUpstream(answers(b"{}"))
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._stop = asyncio.Event()

    @property
    def origin(self) -> str:
        return f"{self._upstream.scheme}://127.0.0.1:{self._upstream.port}"

    @property
    def calls(self) -> list[Call]:
        return self._upstream.calls

    @property
    def last(self) -> Call:
        return self._upstream.last

    def says(self, script: Script) -> None:
        self._upstream.script = script

    def wait(self, until: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(until, self._loop).result(10)

    def called(self, count: int = 1) -> Call:
        """Wait until so many requests have come in."""
        return self.wait(self._upstream.called(count))

    def closed(self, call: Call | None = None) -> None:
        """Wait until the other side has closed the connection of a call."""
        self.wait(_closed(call or self.last))

    def start(self, tls: ssl.SSLContext | None = None) -> None:
        self._thread.start()
        ready = threading.Event()
        self._served = asyncio.run_coroutine_threadsafe(self._serve(ready, tls), self._loop)
        assert ready.wait(10)

    async def _serve(self, ready: threading.Event, tls: ssl.SSLContext | None) -> None:
        async with self._upstream.listening(tls):
            ready.set()
            await self._stop.wait()

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        try:
            self._served.result(10)
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(10)
            self._loop.close()


async def _closed(call: Call) -> None:
    await call.gone.wait()

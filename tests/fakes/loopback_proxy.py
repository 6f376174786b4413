"""A TCP proxy on loopback that a test can break: the network between two parties."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator


class LoopbackProxy:
    """Forwards connections to a port, until it is told not to."""

    def __init__(self, target: int) -> None:
        self.port = 0
        self._target = target
        self._refuse = False
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    @contextlib.asynccontextmanager
    async def listening(self) -> AsyncGenerator[LoopbackProxy]:
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            self._hang_up()
            for task in list(self._tasks):
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def cut(self) -> None:
        """Tear down every connection; new ones are closed at once."""
        self._refuse = True
        self._hang_up()

    def freeze(self) -> None:
        """A half-open partition: connections stay, nothing comes through."""
        self._flowing.clear()

    def heal(self) -> None:
        self._refuse = False
        self._flowing.set()

    def _hang_up(self) -> None:
        for writer in list(self._writers):
            writer.transport.abort()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        self._writers.add(writer)
        try:
            await self._flowing.wait()
            if not self._refuse:
                await self._join(reader, writer)
        except OSError:
            pass  # either side has gone, which is what this proxy is for
        finally:
            self._writers.discard(writer)
            writer.transport.abort()

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        onward_reader, onward = await asyncio.open_connection("127.0.0.1", self._target)
        self._writers.add(onward)
        try:
            there = asyncio.create_task(self._pump(reader, onward))
            back = asyncio.create_task(self._pump(onward_reader, writer))
            _, left = await asyncio.wait((there, back), return_when=asyncio.FIRST_COMPLETED)
            for task in left:
                task.cancel()
            await asyncio.gather(there, back, return_exceptions=True)
        finally:
            self._writers.discard(onward)
            onward.transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while chunk := await reader.read(65_536):
            await self._flowing.wait()
            writer.write(chunk)
            await writer.drain()

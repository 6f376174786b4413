"""A real Valkey or Redis server of the test's own, which can be killed, hung and started again."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import signal
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from pathlib import Path

from eventually import eventually
from free_ports import free_ports

SERVER = shutil.which("valkey-server") or shutil.which("redis-server")


@dataclass
class ValkeyProcess:
    """It keeps nothing on disk, so what is started again is empty."""

    port: int
    folder: Path
    process: asyncio.subprocess.Process | None = field(default=None, repr=False)

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    async def start(self) -> None:
        assert SERVER is not None
        options = ("--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder))
        self.process = await asyncio.create_subprocess_exec(
            *(SERVER, *options, "--save", "", "--appendonly", "no", "--loglevel", "warning"),
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        await eventually(self.answers)

    async def command(self, *words: str) -> str:
        """One command's answer: the text of a bulk string, else as it comes over the wire."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write((" ".join(words) + "\r\n").encode())
            reply = (await reader.readline()).decode().strip()
            if reply.startswith("$") and reply != "$-1":
                reply = (await reader.readline()).decode().strip()
            return reply
        finally:
            writer.close()

    async def answers(self) -> bool:
        with contextlib.suppress(OSError):
            return await self.command("PING") == "+PONG"
        return False

    async def kill(self) -> None:
        """As kill -9 does."""
        if self.process is not None:
            self.process.kill()
            await self.process.wait()
            self.process = None

    def hang(self) -> None:
        """It takes connections, and answers nothing."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def wake(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)


@contextlib.asynccontextmanager
async def valkey_process(folder: Path) -> AsyncGenerator[ValkeyProcess]:
    with free_ports(1) as (port,):
        server = ValkeyProcess(port, folder)
        try:
            await server.start()
            yield server
        finally:
            await server.kill()

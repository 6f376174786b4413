"""A real `sluicegate-operator run`: a process under the ServiceAccount's own token."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import sys
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from control_plane import ROOT
from eventually import eventually

_COMMAND = "import sys; from sluicegate_operator.cli import main; sys.exit(main())"
_ADDRESS = re.compile(r"probes and metrics.*?'127\.0\.0\.1', (\d+)")


@dataclass
class OperatorProcess:
    """The process and all that it has written to standard error."""

    process: asyncio.subprocess.Process = field(repr=False)
    log: list[str] = field(repr=False)

    @property
    def port(self) -> int | None:
        return next((int(m[1]) for line in self.log if (m := _ADDRESS.search(line))), None)

    @property
    def running(self) -> bool:
        return self.process.returncode is None

    def said(self, text: str) -> bool:
        return any(text in line for line in self.log)

    async def until_said(self, text: str) -> None:
        async def said() -> bool:
            return self.said(text)

        await eventually(said)

    def kill(self) -> None:
        self.process.kill()

    def pause(self) -> None:
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    async def end(self) -> int:
        """SIGTERM, and the exit status."""
        with contextlib.suppress(ProcessLookupError):
            self.process.terminate()
        return await self.process.wait()

    async def ask(self, path: str) -> tuple[int, str]:
        """Status and text of an answer of its port, once that is open."""
        await self.until_said("probes and metrics")
        url = f"http://127.0.0.1:{self.port}{path}"
        async with aiohttp.ClientSession() as session, session.get(url) as answer:
            return answer.status, await answer.text()

    async def metric(self, name: str) -> float:
        _, text = await self.ask("/metrics")
        return next(
            float(line.split()[-1]) for line in text.splitlines() if line.startswith(f"{name} ")
        )


@contextlib.asynccontextmanager
async def running_operator(
    kubeconfig: Path,
    namespace: str,
    *options: str,
    watch: Sequence[str] = (),
    name: str = "op-0",
    command: str = _COMMAND,
) -> AsyncGenerator[OperatorProcess]:
    """An operator of its own for `namespace`, and for those it is to watch."""
    roots = ("gateway", "operator", "tests/fakes")
    paths = os.pathsep.join(str(ROOT / root) for root in roots)
    watched = [f"--watch-namespace={one}" for one in (watch or (namespace,))]
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        command,
        "run",
        f"--config-namespace={namespace}",
        *watched,
        f"--pod-name={name}",
        "--host=127.0.0.1",
        "--port=0",
        *options,
        env={**os.environ, "KUBECONFIG": str(kubeconfig), "PYTHONPATH": paths},
        stderr=asyncio.subprocess.PIPE,
    )
    operator = OperatorProcess(process, [])
    reading = asyncio.create_task(_read(operator))
    try:
        yield operator
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGCONT)
            process.kill()
        await process.wait()
        await reading


async def _read(operator: OperatorProcess) -> None:
    assert operator.process.stderr is not None
    async for line in operator.process.stderr:
        operator.log.append(line.decode(errors="replace"))

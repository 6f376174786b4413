"""A copy of the checkout in which the commands of a page are typed, one after the other."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import shutil
import signal
import sys
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from control_plane import ROOT
from documented import ELLIPSIS, Command, Step
from eventually import eventually

_STARTED = re.compile(r"sluicegate serves .* at https?://\S+?:(\d+)/v1 \(admin: http://\S+:(\d+)\)")
_SECONDS = 60.0
_UNSTEADY = (
    (re.compile(r"\b[0-9a-f]{12}\b"), "REVISION"),
    (re.compile(r"publication \d+"), "publication N"),
    (re.compile(r"heard \d+ s ago"), "heard N s ago"),
    (re.compile(r"\b\d+[smhd](\d+[smh])?$", re.MULTILINE), "AGE"),
)
# `scripts/setup` is what has made the environment that runs this test: not again, from a copy.
_SET_UP = "#!/bin/sh\nexit 0\n"


@dataclass
class Stage:
    """A shell's folder and variables, and the server that was started last.

    Ports are taken as they are free, so a page's 4000 and 4001 are replaced by those.
    """

    folder: Path
    environ: dict[str, str]
    prelude: str = ""
    output: list[str] = field(default_factory=list[str])  # of the server
    _server: asyncio.subprocess.Process | None = None
    _reading: asyncio.Task[None] | None = None
    _ports: tuple[str, str] = ("4000", "4001")

    async def perform(self, command: Command, step: Step) -> None:
        """Type it, and look at what becomes of it."""
        if step.not_run or step.elsewhere:
            return
        if step.serves:
            await self.serve(command.text)
            if step.asks:
                await self._ask(step)
        elif command.language == "python":
            program = self._adapted(command.text)
            code, printed = await self.run(".venv/bin/python -", reads=program)
            assert (code, step.prints in printed) == (0, True), (command.place, printed)
        else:
            await self._perform(command, step)

    async def _perform(self, command: Command, step: Step) -> None:
        code, printed = await self.run(command.text, reads=step.reads)
        assert code == step.code, (command.place, code, printed)
        assert step.prints in printed, (command.place, printed)
        if step.exactly:
            assert _steady(printed) == _steady(command.printed), f"{command.place}\n{printed}"
        if step.stays:
            self.prelude += f"{self._adapted(command.text)}\n"

    async def _ask(self, step: Step) -> None:
        """Until what serves has answered, and has printed what it should."""
        body = json.dumps({"model": step.asks, "input": "hi"})
        asked = f"curl -sS http://127.0.0.1:4000/v1/responses -d '{body}'"
        asked += f" -H 'content-type: application/json' -H 'authorization: Bearer {step.key}'"
        code, printed = await self.run(asked)
        completed = '"status":"completed"' in printed.replace(" ", "")
        assert (code, completed) == (0, True), (step.starts, printed)

        await self.until_printed(step.prints)

    async def until_printed(self, text: str) -> list[str]:
        """The lines of the server that have this, once there is one."""
        found: list[str] = []

        async def said() -> bool:
            found[:] = [line for line in self.output if text in line]
            return bool(found)

        await eventually(said, _SECONDS)
        return found

    async def run(self, text: str, *, reads: str = "") -> tuple[int, str]:
        """The exit status, and what was printed to either stream."""
        process = await self._start(text, stdin=asyncio.subprocess.PIPE)
        async with asyncio.timeout(_SECONDS):
            printed, _ = await process.communicate(reads.encode())
        assert process.returncode is not None
        return process.returncode, printed.decode()

    async def serve(self, text: str) -> None:
        """Start it in place of what serves now, and wait until it does."""
        await self.stop()
        self.output = []
        self._server = server = await self._start(text, stdin=asyncio.subprocess.DEVNULL)
        started: asyncio.Future[re.Match[str]] = asyncio.get_running_loop().create_future()

        async def read() -> None:
            assert server.stdout is not None
            async for line in server.stdout:
                self.output.append(line.decode())
                match = _STARTED.match(self.output[-1])
                if match is not None and not started.done():
                    started.set_result(match)

        self._reading = reading = asyncio.create_task(read())
        await asyncio.wait(
            (started, reading), timeout=_SECONDS, return_when=asyncio.FIRST_COMPLETED
        )
        assert started.done(), f"{text}: {''.join(self.output)}"
        self._ports = (started.result()[1], started.result()[2])

    async def stop(self) -> None:
        """End the server, and whatever shell or make has started it."""
        if self._server is None or self._reading is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._server.pid, signal.SIGKILL)
        await self._server.wait()
        await self._reading
        self._server = None

    async def _start(self, text: str, *, stdin: int) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            *("bash", "-c", f"{self.prelude}{self._adapted(text)}"),
            cwd=self.folder,
            env=self.environ,
            stdin=stdin,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )

    def _adapted(self, text: str) -> str:
        public, admin = self._ports
        text = text.replace("127.0.0.1:4000", f"127.0.0.1:{public}")
        return text.replace("127.0.0.1:4001", f"127.0.0.1:{admin}").replace("…", ELLIPSIS)


def _steady(printed: str) -> str:
    """Without what differs from run to run: ages, revisions, numbers of publications."""
    for pattern, name in _UNSTEADY:
        printed = pattern.sub(name, printed)
    return "\n".join(line.rstrip() for line in printed.strip().splitlines())


@contextlib.asynccontextmanager
async def stage(folder: Path, environ: Mapping[str, str], *programs: Path) -> AsyncGenerator[Stage]:
    """`programs` are folders on PATH, before the system's."""
    checkout = folder / "checkout"
    checkout.mkdir()
    for path in ROOT.iterdir():
        if path.name in {"examples", "scripts"}:
            shutil.copytree(path, checkout / path.name)
        elif not path.name.startswith("."):
            (checkout / path.name).symlink_to(path)
    (checkout / "scripts" / "setup").write_text(_SET_UP)
    (checkout / ".venv").symlink_to(sys.prefix)
    home = folder / "home"
    home.mkdir()
    system = os.environ["PATH"].split(os.pathsep)
    paths = [*map(str, programs), *(path for path in system if not path.startswith(sys.prefix))]
    made = Stage(
        checkout,
        {
            "PATH": os.pathsep.join(paths),
            "HOME": str(home),
            "LANG": "C.UTF-8",
            "SLUICEGATE_PORT": "0",
            "SLUICEGATE_ADMIN_PORT": "0",
            **environ,
        },
    )
    try:
        yield made
    finally:
        await made.stop()

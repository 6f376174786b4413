"""A real `sluicegate serve`, as a person starts it: a process of its own."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import re
import signal
import sys
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from raw_client import Answer, RawClient, request
from running_gateway import AUTHORIZED, CLIENT_KEY

_COMMAND = "import sys; from sluicegate.cli import main; sys.exit(main())"
_STARTED = re.compile(r"sluicegate serves .* at https?://\S+?:(\d+)/v1 \(admin: http://\S+:(\d+)\)")


def key_manifest(key: str = CLIENT_KEY, *, name: str = "team") -> str:
    digest = hashlib.sha256(key.encode()).hexdigest()
    return f"""\
apiVersion: sluicegate.dev/v1alpha1
kind: ApiKey
metadata: {{name: {name}}}
spec: {{client: {{keyHash: "sha256:{digest}"}}}}
"""


def echo_manifest(name: str = "echo", *, text: str = "", chunk_delay: str = "0s") -> str:
    says = f', text: "{text}"' if text else ""
    return f"""\
apiVersion: sluicegate.dev/v1alpha1
kind: ModelDeployment
metadata: {{name: {name}}}
spec: {{provider: {{echo: {{chunkDelay: {chunk_delay}{says}}}}}}}
"""


def openai_manifest(base_url: str, key: str, *, name: str = "gpt-test") -> str:
    return f"""\
apiVersion: sluicegate.dev/v1alpha1
kind: ModelDeployment
metadata: {{name: {name}}}
spec:
  provider: {{openai: {{model: gpt-real, baseURL: "{base_url}"}}}}
  credentials: {{secretRef: {{name: {name}-key, key: token}}}}
---
apiVersion: v1
kind: Secret
metadata: {{name: {name}-key}}
stringData: {{token: "{key}"}}
"""


@dataclass
class Served:
    """The process, its ports, and all that it has written to standard error."""

    process: asyncio.subprocess.Process = field(repr=False)
    port: int
    admin_port: int
    log: list[str] = field(repr=False)

    async def post(self, body: bytes, headers: Mapping[str, str] = AUTHORIZED) -> Answer:
        async with await RawClient.open(self.port) as client:
            client.send(request(body, dict(headers)))
            return await client.answer()

    async def admin(self, path: str) -> Answer:
        async with await RawClient.open(self.admin_port) as client:
            client.send(f"GET {path} HTTP/1.1\r\nHost: admin.test\r\n\r\n".encode())
            return await client.answer()

    def signal(self, number: signal.Signals = signal.SIGTERM) -> None:
        self.process.send_signal(number)

    async def exit_code(self) -> int:
        return await asyncio.wait_for(self.process.wait(), 30)


@dataclass
class ServedFolder(Served):
    """The same, and the folder that it serves."""

    folder: Path

    def write(self, name: str, text: str) -> None:
        """As an editor saves: another file, renamed over the old one."""
        draft = self.folder / f".{name}.tmp"
        draft.write_text(text)
        draft.rename(self.folder / name)


async def start_command(*arguments: str, environ: Mapping[str, str]) -> asyncio.subprocess.Process:
    """`sluicegate …` in the interpreter that runs the tests."""
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", _COMMAND, *arguments),
        env={"PATH": os.environ["PATH"], "HOME": os.devnull, **environ},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


@contextlib.asynccontextmanager
async def served(*options: str, environ: Mapping[str, str]) -> AsyncGenerator[Served]:
    """`sluicegate serve` on free ports, killed at the end if it has not ended."""
    fixed = ("--port", "0", "--admin-port", "0")
    process = await start_command("serve", *fixed, *options, environ=environ)
    log: list[str] = []
    started: asyncio.Future[re.Match[str]] = asyncio.get_running_loop().create_future()

    async def read() -> None:
        assert process.stderr is not None
        async for line in process.stderr:
            log.append(line.decode())
            match = _STARTED.match(log[-1])
            if match is not None and not started.done():
                started.set_result(match)

    reading = asyncio.create_task(read())
    try:
        await asyncio.wait((started, reading), timeout=60, return_when=asyncio.FIRST_COMPLETED)
        assert started.done(), "".join(log)
        ports = started.result()
        yield Served(process, int(ports[1]), int(ports[2]), log)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        await reading


@contextlib.asynccontextmanager
async def served_folder(
    root: Path, manifests: Mapping[str, str], *options: str
) -> AsyncGenerator[ServedFolder]:
    """Serve these manifests (name of the file: its text) on free ports."""
    folder = root / "manifests"
    folder.mkdir()
    for name, text in manifests.items():
        (folder / name).write_text(text)
    places = ("--manifests", str(folder), "--state-dir", str(root / "state"))
    certificates = ("SSL_CERT_FILE", "SSL_CERT_DIR")
    environ = {name: os.environ[name] for name in certificates if name in os.environ}
    async with served(*places, *options, environ=environ) as one:
        yield ServedFolder(one.process, one.port, one.admin_port, one.log, folder)

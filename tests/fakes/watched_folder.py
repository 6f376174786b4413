"""A manifest folder with a source that follows it, and what the source published."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from sluicegate.compile import Compilation, Settings
from sluicegate.config import ClientKey, Deployment, EchoUpstream
from sluicegate.source.folder import FolderSource
from sluicegate.source.lookout import Timing
from sluicegate.source.status import SourceStatus

GUARD = 10  # seconds; what is waited for takes some tenths
NOW = 1_800_000_000.0


def echo(name: str, text: str = "hello") -> str:
    return f"""\
apiVersion: sluicegate.dev/v1alpha1
kind: ModelDeployment
metadata: {{name: {name}}}
spec: {{provider: {{echo: {{text: "{text}"}}}}}}
"""


def api_key(name: str, client: str) -> str:
    return f"""\
apiVersion: sluicegate.dev/v1alpha1
kind: ApiKey
metadata: {{name: {name}}}
spec: {{client: {{{client}}}}}
"""


SOON = Timing(rescan=0.2)


def keys_of(compilation: Compilation) -> dict[str, ClientKey]:
    entries = compilation.config.entries.values()
    return {entry.name: entry for entry in entries if isinstance(entry, ClientKey)}


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


class Served:
    """A source and what it published."""

    def __init__(self, base: Path, timing: Timing = SOON) -> None:
        self.root = base / "manifests"
        self.state = base / "state"
        self.clock = Clock()
        self.published: list[Compilation] = []
        self.news = asyncio.Event()
        self.fail: Exception | None = None
        self.source = FolderSource(
            self.root,
            state_dir=self.state,
            environ={"TOKEN": "sk-from-the-environment"},
            settings=Settings.folder(),
            publish=self.publish,
            clock=self.clock,
            timing=timing,
        )

    def publish(self, compilation: Compilation) -> Iterable[None]:
        yield
        if self.fail is not None:
            raise self.fail
        self.published.append(compilation)
        self.news.set()

    @property
    def texts(self) -> dict[str, str | None]:
        """What each echo deployment says."""
        return {
            entry.name: entry.upstream.text
            for entry in self.published[-1].config.entries.values()
            if isinstance(entry, Deployment) and isinstance(entry.upstream, EchoUpstream)
        }

    @property
    def keys(self) -> dict[str, ClientKey]:
        return keys_of(self.published[-1])

    async def until(self, texts: dict[str, str | None]) -> None:
        async with asyncio.timeout(GUARD):
            while not self.published or self.texts != texts:
                self.news.clear()
                await self.news.wait()

    async def status(self, wanted: Callable[[SourceStatus], bool]) -> SourceStatus:
        for _ in range(GUARD * 100):
            if wanted(self.source.status):
                return self.source.status
            await asyncio.sleep(0.01)
        pytest.fail(f"the status stays {self.source.status}")

    @asynccontextmanager
    async def running(self) -> AsyncGenerator["Served", None]:
        await self.source.load()
        task = asyncio.create_task(self.source.run())
        try:
            yield self
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


def replace(path: Path, text: str) -> None:
    fresh = path.with_name(".fresh")
    fresh.write_text(text)
    fresh.replace(path)

"""A whole gateway in the test's own event loop: real ports, and a source that tests drive."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import hashlib
import re
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field

from raw_client import Answer, RawClient, request
from sluicegate.config import (
    AmbientCredential,
    ClientKey,
    Config,
    Deployment,
    EchoUpstream,
    Entry,
    KeyDigest,
    OpenAIUpstream,
    Pool,
    Retry,
    SecretCredential,
    Timeouts,
    Upstream,
    entry_revision,
)
from sluicegate.pipeline.live import LiveStore
from sluicegate.server.process import ServerSettings, Stop, run
from sluicegate.transport import TransportSettings

CLIENT_KEY = "sk-client-0123456789abcdef-secret"
UPSTREAM_KEY = "sk-upstream-0123456789abcdef-secret"
AUTHORIZED = {"Authorization": f"Bearer {CLIENT_KEY}"}
ONCE = Retry(attempts=1)
PATIENT = Timeouts()


def key_entry(key: str = CLIENT_KEY, *, name: str = "team", key_id: str = "teamkey1") -> ClientKey:
    digest = hashlib.sha256(key.encode()).hexdigest()
    return ClientKey(
        namespace="default", name=name, digests=(KeyDigest(digest=digest, key_id=key_id),)
    )


def openai_entry(
    base_url: str,
    *,
    name: str = "primary",
    model: str = "gpt-test",
    upstream_model: str = "gpt-real",
    key: str = UPSTREAM_KEY,
    priority: int = 0,
    retry: Retry = ONCE,
    timeouts: Timeouts = PATIENT,
    upstream: Upstream | None = None,
) -> Deployment:
    return Deployment(
        namespace="default",
        name=name,
        model=model,
        upstream=upstream or OpenAIUpstream(model=upstream_model, base_url=base_url),
        credential=SecretCredential(key),
        priority=priority,
        retry=retry,
        timeouts=timeouts,
    )


def echo_entry(
    upstream: EchoUpstream | None = None, *, name: str = "echo", model: str = "echo"
) -> Deployment:
    return Deployment(
        namespace="default",
        name=name,
        model=model,
        upstream=upstream or EchoUpstream(),
        credential=AmbientCredential(),
    )


def config_of(*entries: Entry) -> Config:
    """A Config of these entries, with the pools that their deployments make."""
    members: dict[tuple[str, str], list[Deployment]] = {}
    for entry in entries:
        if isinstance(entry, Deployment):
            members.setdefault((entry.namespace, entry.model), []).append(entry)
    pools: list[Entry] = [
        Pool(
            namespace=namespace,
            model=model,
            members=tuple(
                one.name for one in sorted(deployments, key=lambda one: (one.priority, one.name))
            ),
        )
        for (namespace, model), deployments in members.items()
        if not any(isinstance(entry, Pool) and entry.model == model for entry in entries)
    ]
    found = {entry.id: entry for entry in (*entries, *pools)}
    return Config(
        entries=found, revisions={id_: entry_revision(entry) for id_, entry in found.items()}
    )


@dataclass
class HandSource:
    """A source that says what a test says."""

    store: LiveStore
    first: Config
    loaded: bool = True
    problems: tuple[str, ...] = ()
    longest_slice: float = 0.0
    origin: Mapping[str, str] = field(default_factory=lambda: {"source": "hand"})
    newer: Config | None = None  # what another look finds
    looks: int = 0

    @property
    def ok(self) -> bool:
        return not self.problems

    @property
    def status(self) -> HandSource:
        return self

    async def load(self) -> None:
        self.publish(self.first)

    def publish(self, config: Config) -> None:
        for _ in self.store.publish_steps(config):
            pass

    async def look_again(self) -> bool:
        self.looks += 1
        newer, self.newer = self.newer, None
        if newer is not None:
            self.publish(newer)
        return newer is not None

    async def run(self) -> None:
        await asyncio.Event().wait()


@dataclass
class RunningGateway:
    """Where it listens, and what a test may do with it."""

    port: int
    admin_port: int
    source: HandSource
    stop: Stop
    ended: asyncio.Task[None] = field(repr=False)

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def publish(self, *entries: Entry) -> None:
        self.source.publish(config_of(*entries))

    async def connect(self) -> RawClient:
        return await RawClient.open(self.port)

    async def post(
        self,
        body: bytes,
        headers: Mapping[str, str] = AUTHORIZED,
        *,
        path: str = "/v1/responses",
    ) -> Answer:
        """One request on a connection of its own."""
        return await self.ask(request(body, dict(headers), path=path))

    async def get(
        self, path: str, headers: Mapping[str, str] = AUTHORIZED, *, method: str = "GET"
    ) -> Answer:
        lines = [f"{method} {path} HTTP/1.1", "Host: gateway.test"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        data = "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"
        return await self.ask(data, to_head=method == "HEAD")

    async def ask(self, data: bytes, *, to_head: bool = False) -> Answer:
        """Any bytes, and the first answer to them."""
        async with await self.connect() as client:
            client.send(data)
            return await client.answer(to_head=to_head)

    async def admin(self, path: str) -> Answer:
        async with await RawClient.open(self.admin_port) as client:
            client.send(f"GET {path} HTTP/1.1\r\nHost: admin.test\r\n\r\n".encode())
            return await client.answer()

    async def metric(self, name: str, **labels: str) -> float:
        """The sum of a metric's samples with these labels (0 without any)."""
        total = 0.0
        for line in (await self.admin("/metrics")).body.decode().splitlines():
            match = re.fullmatch(rf"{name}(?:\{{(.*)\}})? (\S+)", line)
            if match is not None:
                found = dict(re.findall(r'(\w+)="([^"]*)"', match[1] or ""))
                if labels.items() <= found.items():
                    total += float(match[2])
        return total


@contextlib.asynccontextmanager
async def running_gateway(
    config: Config,
    settings: ServerSettings | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    transport: TransportSettings | None = None,
) -> AsyncGenerator[RunningGateway]:
    """Start one; at the end it must stop of itself, at once."""
    sources: list[HandSource] = []
    started: asyncio.Future[tuple[int, int]] = asyncio.get_running_loop().create_future()
    stop = Stop()
    collector = gc.get_threshold()
    # A gateway looks through its heap once, before it serves. All that the tests have loaded so far
    # is no part of that: left out, a start takes a tenth of the time.
    gc.freeze()

    def source(store: LiveStore) -> HandSource:
        sources.append(HandSource(store, config))
        return sources[0]

    task = asyncio.create_task(
        run(
            settings or ServerSettings(port=0, admin_port=0, drain_seconds=0.0),
            transport or TransportSettings(),
            environ or {},
            source,
            lambda public, admin: started.set_result((public, admin)),
            stop,
        )
    )
    try:
        await asyncio.wait((task, started), return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            await task
        ports = started.result()
        yield RunningGateway(*ports, source=sources[0], stop=stop, ended=task)
    finally:
        stop.ask()
        stop.ask()
        try:
            await asyncio.wait_for(task, 10)
        finally:
            gc.unfreeze()
            gc.set_threshold(*collector)

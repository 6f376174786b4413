"""A gateway as the operator sees it: it reads the bundle and acknowledges it by its Lease."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from datetime import UTC, datetime

import msgspec

from sluicegate.bundle import Bundle, assemble_steps, missing, read_index, secret_name
from sluicegate.cluster import (
    LEASES,
    SECRETS,
    ClusterClient,
    ClusterError,
    ClusterSecret,
    Metadata,
    ObjectKey,
    Reflector,
)
from sluicegate.config import Config


class LeaseGateway:
    """Acknowledges each bundle at once, unless it is told to hold, to refuse, or to be silent.

    Whatever is wrong with a bundle it reads (a torn set, a sequence that goes back) fails the test.
    """

    def __init__(self, client: ClusterClient, namespace: str, name: str) -> None:
        self.name = name
        self.holds = False
        self.error = ""
        self.bundle: Bundle | None = None
        self.sequences: list[int] = []
        self._client = client
        self._namespace = namespace
        self._task: asyncio.Task[None] | None = None
        self._news = asyncio.Event()
        self._ended = False
        self._reflector = Reflector(
            client,
            SECRETS,
            msgspec.json.Decoder(ClusterSecret).decode,
            on_change=lambda _: self._news.set(),
            namespace=namespace,
            field_selector="metadata.name=sluicegate",
        )

    @property
    def config(self) -> Config:
        return self.bundle.config if self.bundle is not None else Config({}, {})

    async def start(self) -> None:
        await self.tell()
        self._task = asyncio.create_task(self._run())

    async def go_silent(self) -> None:
        """The node is gone: neither renewed nor deleted."""
        self._ended = True
        self._news.set()
        if self._task is not None:
            await self._task

    async def leave(self) -> None:
        """A clean exit."""
        await self.go_silent()
        await self._client.delete(LEASES, self.name, namespace=self._namespace)

    async def _run(self) -> None:
        watching = asyncio.create_task(self._reflector.run())
        try:
            while not self._ended:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(1.0):
                        await self._news.wait()
                self._news.clear()
                with contextlib.suppress(ClusterError):
                    if not self.holds:
                        await self._load()
                    if not self._ended:
                        await self.tell()
        finally:
            watching.cancel()
            await asyncio.wait([watching])
            await asyncio.sleep(0.1)  # TLS says goodbye in its own time, and tells nobody when

    @property
    def sees(self) -> Mapping[str, bytes]:
        """What is in the bundle's first Secret, as far as it has been told."""
        found = self._reflector.objects.get(ObjectKey(self._namespace, "sluicegate"))
        return found.data if found is not None else {}

    async def _load(self) -> None:
        found = self.sees
        if "index" not in found:
            return
        index = read_index(found)
        if self.sequences and index.sequence <= self.sequences[-1]:
            assert index.sequence == self.sequences[-1], "the sequence went back"
            return
        contents = dict(found)
        for number in missing(index, contents, self.bundle):
            shard = await self._client.get(
                SECRETS,
                secret_name("sluicegate", number),
                ClusterSecret,
                namespace=self._namespace,
            )
            contents.update(shard.data)
        steps = assemble_steps(index, contents, self.bundle)
        while True:
            try:
                next(steps)
            except StopIteration as end:
                self.bundle = end.value
                break
        self.sequences.append(index.sequence)

    async def tell(self) -> None:
        """Write the Lease."""
        said: dict[str, str] = {}
        if self.sequences:
            said["sluicegate.dev/sequence"] = str(self.sequences[-1])
        if self.error:
            said["sluicegate.dev/config-error"] = self.error
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        manifest = {
            "apiVersion": LEASES.api_version,
            "kind": LEASES.kind,
            "metadata": {
                "name": self.name,
                "namespace": self._namespace,
                "labels": {"sluicegate.dev/gateway": "sluicegate"},
                "annotations": said,
            },
            "spec": {"holderIdentity": self.name, "renewTime": now},
        }
        await self._client.apply(
            LEASES,
            self.name,
            manifest,
            Metadata,
            namespace=self._namespace,
            manager="sluicegate-gateway",
        )

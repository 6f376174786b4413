"""What an onlooker at the API server sees: statuses as `kubectl wait` does, and publications."""

import asyncio
import time
from collections.abc import Callable

import msgspec

from sluicegate.bundle import Index, read_index
from sluicegate.cluster import (
    API_KEYS,
    MODEL_DEPLOYMENTS,
    SECRETS,
    ClusterClient,
    ClusterSecret,
    ObjectKey,
    ObjectMeta,
    Reflector,
    ResourceType,
)

_CONFIG_NAME = "sluicegate"
_PATIENCE = 60.0  # seconds


class _Condition(msgspec.Struct, frozen=True, rename="camel"):
    type: str
    status: str
    observed_generation: int = 0


class _Status(msgspec.Struct, frozen=True):
    conditions: tuple[_Condition, ...] = ()


class _Object(msgspec.Struct, frozen=True):
    metadata: ObjectMeta
    status: _Status = _Status()

    def holds(self, kind: str, generation: int) -> bool:
        """Whether the condition is True and tells of this generation, or a later one."""
        return any(
            one.type == kind and one.status == "True" and one.observed_generation >= generation
            for one in self.status.conditions
        )


class _News:
    """Lets tasks wait until something that changes holds."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def tell(self) -> None:
        self._event.set()
        self._event = asyncio.Event()

    async def until(self, holds: Callable[[], bool], seconds: float = _PATIENCE) -> None:
        """Raises TimeoutError."""
        async with asyncio.timeout(seconds):
            while not holds():
                await self._event.wait()


class Statuses:
    """The objects of both kinds in a namespace."""

    def __init__(self, client: ClusterClient, namespace: str) -> None:
        self._namespace = namespace
        self._news = _News()
        self._ready: set[tuple[str, str]] = set()
        kinds = (MODEL_DEPLOYMENTS, API_KEYS)
        self._kinds = {kind.kind: self._reflect(client, kind) for kind in kinds}

    def _reflect(self, client: ClusterClient, kind: ResourceType) -> Reflector[_Object]:
        def changed(keys: frozenset[ObjectKey]) -> None:
            for key in keys:
                found = reflector.objects.get(key)
                mark = (kind.kind, key.name)
                if found is not None and found.holds("Ready", found.metadata.generation):
                    self._ready.add(mark)
                else:
                    self._ready.discard(mark)
            self._news.tell()

        decode = msgspec.json.Decoder(_Object).decode
        reflector = Reflector(client, kind, decode, on_change=changed, namespace=self._namespace)
        return reflector

    async def run(self) -> None:
        """Follow them until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for reflector in self._kinds.values():
                tasks.create_task(reflector.run())

    @property
    def ready(self) -> int:
        """How many are Ready as they are now."""
        return len(self._ready)

    async def until_ready(self, count: int, seconds: float) -> None:
        """Wait until so many are. Raises TimeoutError."""
        await self._news.until(lambda: len(self._ready) >= count, seconds)

    async def until(self, kind: ResourceType, name: str, condition: str, generation: int) -> float:
        """When the condition was seen True of this generation, in Unix seconds."""
        key = ObjectKey(self._namespace, name)
        objects = self._kinds[kind.kind].objects

        def holds() -> bool:
            found = objects.get(key)
            return found is not None and found.holds(condition, generation)

        await self._news.until(holds)
        return time.time()


class IndexWatch:
    """The publications, each with the Unix time at which it was seen."""

    def __init__(self, client: ClusterClient, namespace: str) -> None:
        self.seen: list[tuple[float, Index]] = []
        self._news = _News()
        self._reflector = Reflector(
            client,
            SECRETS,
            self._read,
            on_change=lambda _: self._news.tell(),
            namespace=namespace,
            field_selector=f"metadata.name={_CONFIG_NAME}",
        )

    def _read(self, content: bytes) -> None:
        index = read_index(msgspec.json.decode(content, type=ClusterSecret).data)
        if not self.seen or index.sequence > self.latest.sequence:
            self.seen.append((time.time(), index))

    async def run(self) -> None:
        """Follow them until cancelled."""
        await self._reflector.run()

    @property
    def latest(self) -> Index:
        """The newest publication."""
        return self.seen[-1][1]

    async def until_newer(self, than: Index | None) -> None:
        """Wait until something newer is published. Raises TimeoutError."""
        sequence = than.sequence if than is not None else 0
        await self._news.until(lambda: bool(self.seen) and self.latest.sequence > sequence)

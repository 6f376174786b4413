"""The bundle's Secrets while they are written: always a whole bundle, and nothing old for long."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Callable, Mapping
from typing import Any, cast

from bundle_secrets import config_of, done, key_entry, large_config
from sluicegate.bundle import assemble_steps, read_index, shard_of
from sluicegate.cluster import (
    ClusterClient,
    ClusterSecret,
    Metadata,
    NotFound,
    ObjectMeta,
    ResourceType,
)
from sluicegate.config import ClientKey
from sluicegate_operator.publish import Publisher

LARGE = large_config(keys=1500, deployments=150)


def _by_id(keys: list[ClientKey]) -> dict[str, ClientKey]:
    return {key.id: key for key in keys}


class _Secrets:
    """What the publisher needs of an API server."""

    def __init__(self) -> None:
        self.data: dict[str, Mapping[str, bytes]] = {}
        self.seen: set[str] = set()  # revisions
        self._versions = itertools.count(1)
        self._order = random.Random(1)  # which write is the faster

    def _look(self) -> None:
        """As a gateway does that looks after any of the writes. Raises Refused."""
        index = self.data.get("sluicegate")
        if index is not None:
            contents = {
                digest: data for each in self.data.values() for digest, data in each.items()
            }
            self.seen.add(done(assemble_steps(read_index(index), contents, None)).index.revision)

    async def get(self, _: ResourceType, name: str, __: type, *, namespace: str) -> ClusterSecret:
        if name not in self.data:
            raise NotFound(404, "NotFound", f"{namespace}/{name}")
        return ClusterSecret(ObjectMeta(name=name), dict(self.data[name]))

    async def create(
        self, _: ResourceType, manifest: Mapping[str, Any], __: type, *, namespace: str
    ) -> Metadata:
        meta: ObjectMeta = manifest["metadata"]
        assert meta.namespace == namespace
        for _turn in range(self._order.randrange(5)):
            await asyncio.sleep(0)
        self.data[meta.name] = manifest["data"]
        self._look()
        return Metadata(ObjectMeta(name=meta.name, resource_version=str(next(self._versions))))

    async def replace(
        self, kind: ResourceType, _: str, manifest: Mapping[str, Any], as_: type, *, namespace: str
    ) -> Metadata:
        return await self.create(kind, manifest, as_, namespace=namespace)


async def _publisher(secrets: _Secrets, clock: Callable[[], float]) -> Publisher:
    made = Publisher(cast("ClusterClient", secrets), "config", "sluicegate", clock, clock)
    await made.read_back()
    return made


async def test_at_every_moment_there_is_a_whole_bundle() -> None:
    now = 1000.0
    secrets = _Secrets()
    publisher = await _publisher(secrets, lambda: now)
    for turn in range(4):
        revoked = [key_entry(f"k{number:05d}", revoked=True) for number in range(400 * turn)]
        assert await publisher.publish(config_of({**LARGE.entries, **_by_id(revoked)}), 0)
        now += 3600.0
        await publisher.tidy(0)
    assert len(secrets.seen) == 4


async def test_what_is_superseded_goes_while_changes_keep_coming() -> None:
    """A key that changes every five seconds keeps no other's old content in the Secrets."""
    now = 1000.0
    secrets = _Secrets()
    publisher = await _publisher(secrets, lambda: now)
    await publisher.publish(LARGE, 0)
    replaced = key_entry("k00007", revoked=True)
    shard = f"sluicegate-{shard_of(replaced.id):02d}"
    old = set(secrets.data[shard])
    names = (f"k{number:05d}" for number in range(1500))
    restless = next(name for name in names if shard_of(key_entry(name).id) != shard_of(replaced.id))
    for turn in range(18):  # 90 seconds
        now += 5.0
        other = key_entry(restless, revoked=bool(turn % 2))
        config = config_of({**LARGE.entries, replaced.id: replaced, other.id: other})
        assert await publisher.publish(config, 0)
        due = publisher.tidy_at
        if due is not None and due <= now:
            await publisher.tidy(0)
    assert old.isdisjoint(secrets.data[shard])
    assert len(secrets.data[shard]) == 1


async def test_who_writes_after_our_first_look_has_overtaken_us() -> None:
    """Gateways may have acknowledged what is not what we have found."""
    secrets = _Secrets()
    other = await _publisher(secrets, lambda: 1000.0)
    kept, fallen_out = config_of(_by_id([key_entry("a")])), config_of({})
    await other.publish(kept, 0)
    publisher = await _publisher(secrets, lambda: 1000.0)
    await other.publish(fallen_out, 0)
    publisher.distrust()  # its first write was refused
    await publisher.read_back()
    await publisher.publish(kept, 0)
    assert publisher.overtaken
    await publisher.publish(fallen_out, 0)
    assert not publisher.overtaken


async def test_a_lost_future_is_not_overtaken_by_tidying() -> None:
    """What its gateways have acknowledged would count, as if it were of what stands."""
    now = 1000.0
    secrets = _Secrets()
    publisher = await _publisher(secrets, lambda: now)
    await publisher.publish(LARGE, 0)
    changed = config_of({**LARGE.entries, **_by_id([key_entry("k00007", revoked=True)])})
    await publisher.publish(changed, 0)
    stood, future = publisher.sequence, publisher.sequence + 9
    now += 3600.0
    assert publisher.tidy_at is not None
    await publisher.tidy(future)
    assert publisher.sequence == stood
    assert await publisher.publish(changed, future)  # looked at after each write: always whole
    assert publisher.overtaken
    assert publisher.sequence > future
    publisher.distrust()
    await publisher.read_back()
    assert not publisher.standing.problem
    assert not await publisher.publish(changed, future)

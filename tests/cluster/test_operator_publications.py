"""What a publication writes on a real API server, and how its Secrets are kept tidy."""

from __future__ import annotations

import asyncio
import time

from bundle_secrets import config_of, done, key_entry, large_config
from sluicegate.bundle import Standing, secret_names, shard_of, standing_steps
from sluicegate.cluster import SECRETS, ClusterClient, ClusterSecret
from sluicegate_operator.publish import Publisher

LARGE = large_config(keys=1500, deployments=150)
REVOKED = key_entry("k00007", revoked=True)
CHANGED = config_of({**LARGE.entries, REVOKED.id: REVOKED})


class Onlooker:
    """Follows which of the bundle's Secrets have changed."""

    def __init__(self, admin: ClusterClient, namespace: str) -> None:
        self._admin = admin
        self._namespace = namespace
        self._versions: dict[str, str] = {}
        self.standing = Standing.nothing()

    async def news(self) -> set[str]:
        """The names of those that were written since the last look."""
        names = secret_names("sluicegate")
        found = await asyncio.gather(
            *(
                self._admin.get(SECRETS, name, ClusterSecret, namespace=self._namespace)
                for name in names
            )
        )
        index, *shards = (secret.data for secret in found)
        self.standing = done(standing_steps(index, shards))
        versions = {one.metadata.name: one.metadata.resource_version for one in found}
        before, self._versions = self._versions, versions
        return {name for name in names if before.get(name) != versions[name]}


async def test_changes_are_one_write_and_go_into_the_shards_in_quiet_times(
    admin: ClusterClient, namespace: str
) -> None:
    publisher = Publisher(admin, namespace, "sluicegate", time.time)
    onlooker = Onlooker(admin, namespace)
    await publisher.read_back()
    assert publisher.tidy_at is None
    assert await publisher.publish(LARGE, 0)
    assert await onlooker.news() == set(secret_names("sluicegate"))
    assert publisher.tidy_at is None

    assert await publisher.publish(CHANGED, 0)
    assert await onlooker.news() == {"sluicegate"}
    assert onlooker.standing.config.entries[REVOKED.id] == REVOKED
    due = publisher.tidy_at
    assert due is not None
    assert due > time.monotonic()

    number = shard_of(REVOKED.id)
    shard = f"sluicegate-{number:02d}"
    await publisher.tidy(0)
    assert await onlooker.news() == {"sluicegate", shard}
    assert len(onlooker.standing.names[number]) == 2  # for readers of the index before
    assert onlooker.standing.config.entries[REVOKED.id] == REVOKED

    await publisher.tidy(0)
    assert await onlooker.news() == {shard}
    assert len(onlooker.standing.names[number]) == 1
    assert publisher.tidy_at is None

    another = Publisher(admin, namespace, "sluicegate", time.time)
    await another.read_back()
    assert not await another.publish(CHANGED, 0)
    assert another.sequence == publisher.sequence == 3
    assert not publisher.overtaken

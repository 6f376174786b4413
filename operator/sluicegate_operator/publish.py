"""Writes the bundle: the shards, then the index. Every write is fenced by the version it replaces.

Whatever goes wrong on the way, what stands is read back before the next try: a write that was not
answered may have been carried out.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable, Mapping

from sluicegate.bundle import (
    SecretData,
    Standing,
    next_stamp,
    plan_steps,
    secret_name,
    secret_names,
    standing_steps,
    tidying,
)
from sluicegate.cluster import (
    SECRETS,
    ClusterClient,
    ClusterSecret,
    Metadata,
    NotFound,
    ObjectMeta,
)
from sluicegate.config import Config
from sluicegate.telemetry.logs import log
from sluicegate_operator.objects import CONFIG_LABEL, MANAGED_BY, MANAGED_BY_LABEL
from sluicegate_operator.steps import drive
from sluicegate_operator.versions import is_older


class Publisher:
    """The one writer of a bundle. `clock` is Unix time in seconds."""

    def __init__(
        self,
        client: ClusterClient,
        namespace: str,
        config_name: str,
        clock: Callable[[], float],
    ) -> None:
        self._client = client
        self._namespace = namespace
        self._config_name = config_name
        self._clock = clock
        self._versions: dict[str, str | None] = {}
        self._known = False
        self._own: int | None = None  # the sequence that we have published last
        self.overtaken = False  # whether what stood before the last publication was not ours
        self._highest = 0  # sequence; etcd may be restored from a backup, gateways are not
        self.standing = Standing.nothing()

    @property
    def sequence(self) -> int:
        """The sequence of what stands; 0 before anything was published."""
        return self.standing.index.sequence if self.standing.index is not None else 0

    @property
    def epoch(self) -> str | None:
        """The epoch of what stands; None before anything was published."""
        return self.standing.index.epoch if self.standing.index is not None else None

    @property
    def untidy(self) -> bool:
        """Whether superseded contents still lie in the Secrets."""
        return self._known and bool(tidying(self.standing)[0])

    def is_own(self, name: str, meta: ObjectMeta | None) -> bool:
        """Whether a Secret of the bundle is as it was last written or read, or was before."""
        if not self._known or name not in self._versions:
            return True
        known = self._versions[name]
        if meta is None or known is None:
            return meta is None and known is None
        return not is_older(known, meta.resource_version)

    def distrust(self) -> None:
        """Read back what stands before the next publication."""
        self._known = False

    async def read_back(self) -> None:
        """Learn what stands, unless it is known.

        Raises ClusterError, or Refused where a newer operator has written the index.
        """
        if self._known:
            return
        found = await asyncio.gather(*(self._get(name) for name in secret_names(self._config_name)))
        index, shards = found[0], [data or {} for data in found[1:]]
        before = self.standing
        self.standing = await drive(standing_steps(index, shards))
        self._known = True
        if self.standing.problem:
            log(logging.WARNING, f"the bundle is not whole: {self.standing.problem}")
        if index is None and before.index is not None:
            log(logging.WARNING, "the index of the bundle is gone: it is published anew")
            self.standing = Standing(
                before.index, None, before.config, self.standing.names, "the index is gone"
            )

    async def _get(self, name: str) -> Mapping[str, bytes] | None:
        try:
            found = await self._client.get(SECRETS, name, ClusterSecret, namespace=self._namespace)
        except NotFound:
            self._versions[name] = None
            return None
        self._versions[name] = found.metadata.resource_version
        return found.data

    async def publish(self, config: Config, highest_seen: int) -> bool:
        """Make a configuration what stands. Answers whether anything had to be written.

        Raises ClusterError (a Conflict where somebody else has written), or TooLarge.
        """
        self.overtaken = self._own is not None and self._own != self.sequence
        stamp = next_stamp(
            self.standing,
            new_epoch=secrets.token_hex(8),
            highest_seen=max(highest_seen, self._highest),
            now=self._clock(),
        )
        publication = await drive(plan_steps(self.standing, config, stamp))
        if publication is None:
            self._own = self.sequence
            return False
        self._known = False  # until the last write is answered
        self._highest = stamp.sequence
        await asyncio.gather(*(self._write(data) for data in publication.shards))
        await self._write(publication.index)
        self._known = True
        self.standing = publication.standing
        self._own = stamp.sequence
        return True

    async def tidy(self) -> None:
        """Take superseded contents, old credentials among them, out of the Secrets."""
        writes, standing = tidying(self.standing)
        if not writes or not self._known:
            return
        self._known = False
        await asyncio.gather(*(self._write(data) for data in writes))
        self._known = True
        self.standing = standing

    async def _write(self, data: SecretData) -> None:
        name = secret_name(self._config_name, data.number)
        version = self._versions.get(name)
        meta = ObjectMeta(
            name=name,
            namespace=self._namespace,
            resource_version=version or "",
            labels={MANAGED_BY_LABEL: MANAGED_BY, CONFIG_LABEL: self._config_name},
        )
        manifest = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": meta,
            "type": "Opaque",
            "data": data.data,
        }
        if version is None:
            made = await self._client.create(SECRETS, manifest, Metadata, namespace=self._namespace)
        else:
            made = await self._client.replace(
                SECRETS, name, manifest, Metadata, namespace=self._namespace
            )
        self._versions[name] = made.metadata.resource_version

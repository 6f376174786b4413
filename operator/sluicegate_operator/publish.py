"""Writes the bundle: the shards, then the index. Every write is fenced by the version it replaces.

Whatever goes wrong on the way, what stands is read back before the next try: a write that was not
answered may have been carried out.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Callable, Iterable, Mapping

from sluicegate.bundle import (
    Publication,
    SecretData,
    Stamp,
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

# Seconds. Changes go from the index into the shards when nothing was published for a while, and
# after a minute of changes at the latest; what the shards held before goes a while after that.
_CALM = 10.0
_LONGEST = 60.0


class Publisher:
    """The one writer of a bundle. `clock` is Unix time in seconds, `monotonic` for pauses."""

    def __init__(
        self,
        client: ClusterClient,
        namespace: str,
        config_name: str,
        clock: Callable[[], float],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._namespace = namespace
        self._config_name = config_name
        self._clock = clock
        self._monotonic = monotonic
        self._versions: dict[str, str | None] = {}
        self._known = False
        # The sequence that we have published last, before that the one that we have found first.
        self._own: int | None = None
        # Whether what stood, or a gateway had, before the last publication was not ours.
        self.overtaken = False
        self._highest = 0  # sequence; etcd may be restored from a backup, gateways are not
        self.standing = Standing.nothing()
        # By a monotonic clock: the last publication, the last one of whole shards, the first one
        # after that, and the last try to tidy.
        self._last = self._whole = self._first_change = self._tidied = monotonic()

    @property
    def sequence(self) -> int:
        """The sequence of what stands; 0 before anything was published."""
        return self.standing.index.sequence if self.standing.index is not None else 0

    @property
    def epoch(self) -> str | None:
        """The epoch of what stands; None before anything was published."""
        return self.standing.index.epoch if self.standing.index is not None else None

    @property
    def tidy_at(self) -> float | None:
        """When `tidy` has something to do (a monotonic clock's seconds); None: nothing."""
        if not self._known or self.standing.bundle is None:
            return None
        dues: list[float] = []
        if self.standing.bundle.changes:
            dues.append(min(self._last + _CALM, self._first_change + _LONGEST))
        if tidying(self.standing)[0]:
            dues.append(self._whole + _CALM)
        return max(self._tidied + _CALM, min(dues)) if dues else None

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
        if self._own is None:
            self._own = self.sequence

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

        Also where it stands already it gets a later sequence, if `highest_seen`, the highest that a
        gateway has, is above it: what that gateway serves was lost, and it takes nothing older.
        Raises ClusterError (a Conflict where somebody else has written), or TooLarge.
        """
        lost = highest_seen > self.sequence
        self.overtaken = lost or self._own != self.sequence
        stamp = self._stamp(highest_seen)
        publication = await drive(plan_steps(self.standing, config, stamp, anew=lost))
        if publication is None:
            self._own = self.sequence
            return False
        await self._put(publication)
        return True

    async def tidy(self, highest_seen: int) -> None:
        """Move changes from the index into the shards, or what they supersede out of them.

        What is superseded may be a credential: it goes also while changes keep coming. A lost
        future is not overtaken here: `publish` has to see it, and say so. Raises as that does.
        """
        now = self._tidied = self._monotonic()
        bundle = self.standing.bundle
        if not self._known or bundle is None or highest_seen > self.sequence:
            return
        writes, standing = tidying(self.standing)
        if bundle.changes and not (writes and now >= self._whole + _CALM):
            stamp = self._stamp(highest_seen)
            publication = await drive(plan_steps(self.standing, bundle.config, stamp, fold=True))
            if publication is not None:
                await self._put(publication)
            return
        self._known = False
        await self._write_all(writes)
        self._known = True
        self.standing = standing

    def _stamp(self, highest_seen: int) -> Stamp:
        return next_stamp(
            self.standing,
            new_epoch=secrets.token_hex(8),
            highest_seen=max(highest_seen, self._highest),
            now=self._clock(),
        )

    async def _put(self, publication: Publication) -> None:
        self._known = False  # until the last write is answered
        before, after = self.standing, publication.standing
        self._highest = after.index.sequence if after.index is not None else 0
        await self._write_all(publication.shards)
        await self._write(publication.index)
        self._known = True
        self.standing = after
        self._own = self.sequence
        self._last = self._monotonic()
        if after.bundle is None or not after.bundle.changes:
            self._whole = self._last
        elif before.bundle is None or not before.bundle.changes:
            self._first_change = self._last

    async def _write_all(self, writes: Iterable[SecretData]) -> None:
        await asyncio.gather(*(self._write(data) for data in writes))

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

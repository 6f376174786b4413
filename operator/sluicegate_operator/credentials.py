"""The Secrets that objects refer to: fetched when they are wanted, and again when they change.

A reflector tells which labelled Secrets there are and in which version; the values of those that
nothing refers to never leave the API server.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import NamedTuple

from sluicegate.cluster import (
    SECRETS,
    AlreadyExists,
    ClusterClient,
    ClusterError,
    ClusterSecret,
    ClusterUnreachable,
    Conflict,
    Metadata,
    NotFound,
    ObjectMeta,
)
from sluicegate.compile import WantedKey
from sluicegate.resources import ResourceRef, Secret, SecretRef
from sluicegate.telemetry.logs import log
from sluicegate_operator.facts import Held
from sluicegate_operator.minted import (
    first_key,
    minted_at,
    next_key,
    owner_name,
    owner_uid,
    requested_at,
)
from sluicegate_operator.objects import is_credential, secret_of
from sluicegate_operator.world import World

_AT_ONCE = 8  # requests
_ABSENT = Held("absent")
# A Secret that can't be read is looked at so often before it counts as missing.
_TRIES = 5


class Minted(NamedTuple):
    """A key was minted; the id is not secret."""

    wanted: WantedKey
    key_id: str | None
    rotated: bool


class Credentials:
    """Keeps the Secrets of a World up to date.

    `version_of` answers a Secret's metadata as the reflector holds it, None where it has none.
    `reserved`: the Secrets of the bundle, which hold everybody's credentials. They serve nobody as
    a credential, whatever their labels, and no key is minted into one that is not there yet.
    """

    def __init__(
        self,
        client: ClusterClient,
        world: World,
        version_of: Callable[[SecretRef], ObjectMeta | None],
        reserved: frozenset[SecretRef],
    ) -> None:
        self._client = client
        self._world = world
        self._version_of = version_of
        self._reserved = reserved
        self._held: dict[SecretRef, Held] = {}
        self._failures: dict[SecretRef, int] = {}
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self._distrusted: set[SecretRef] = set()

    @property
    def held(self) -> Mapping[SecretRef, Held]:
        """What was fetched, and in which version."""
        return self._held

    @property
    def outdated(self) -> bool:
        """Whether any is to be fetched again."""
        return bool(self._distrusted)

    def changed(self, ref: SecretRef) -> bool:
        """The reflector tells of a Secret. Answers whether it has to be fetched again."""
        if ref not in self._held or not self._is_outdated(ref):
            return False
        self._distrusted.add(ref)
        return True

    def distrust(self, refs: Iterable[SecretRef]) -> None:
        """Fetch these again, whatever their version."""
        self._distrusted.update(ref for ref in refs if ref in self._held)

    def distrust_absent(self) -> bool:
        """Look again for what was not there, or could not be read.

        A Secret without the label is not watched.
        """
        self._distrusted.update(
            ref for ref in self._held if self._version_of(ref) is None or self._is_outdated(ref)
        )
        return bool(self._distrusted)

    def forget(self, is_used: Callable[[SecretRef], Collection[ResourceRef]]) -> None:
        """Drop what nothing refers to any more."""
        for ref in [ref for ref in self._held if not is_used(ref)]:
            del self._held[ref]
            self._distrusted.discard(ref)
            self._failures.pop(ref, None)
            self._world.keep(ref, None)

    def _is_outdated(self, ref: SecretRef) -> bool:
        held, meta = self._held.get(ref), self._version_of(ref)
        if held is None:
            return True
        return held.mark != _mark(meta) if meta is not None else is_labelled(held)

    async def fetch(self, wanted: Iterable[SecretRef]) -> bool:
        """Get those that are not held, or changed. Answers whether that changed anything.

        Raises the ClusterError of one that can't be had at present.
        """
        refs = {ref for ref in wanted if ref not in self._held} | self._distrusted
        if not refs:
            return False
        results = await asyncio.gather(*(self._fetch(ref) for ref in sorted(refs)))
        return any(results)

    async def _fetch(self, ref: SecretRef) -> bool:
        async with self._slots:
            try:
                held, secret = await self._get(ref)
            except ClusterUnreachable:
                raise
            except ClusterError as error:
                return self._refused(ref, error)
        self._failures.pop(ref, None)
        self._distrusted.discard(ref)
        self._held[ref] = held
        return self._world.keep(ref, secret)

    def _refused(self, ref: SecretRef, error: ClusterError) -> bool:
        """One Secret can't be read: it keeps what it had, and all else waits for it not for long.

        Raises the error while there is hope and nothing that it had.
        """
        held = self._held.get(ref)
        failures = self._failures[ref] = self._failures.get(ref, 0) + 1
        if held is None and failures < _TRIES:
            raise error
        self._failures.pop(ref, None)
        self._distrusted.discard(ref)
        log(logging.ERROR, f"{ref} can't be read: {error}")
        if held is not None:
            return False
        self._held[ref] = _ABSENT
        return self._world.keep(ref, None)

    async def _get(self, ref: SecretRef) -> tuple[Held, Secret | None]:
        if ref in self._reserved:
            return Held("unlabelled"), Secret(ref.namespace, ref.name, {})
        try:
            if self._version_of(ref) is None:
                return await self._look_at_unlabelled(ref)
            found = await self._client.get(
                SECRETS, ref.name, ClusterSecret, namespace=ref.namespace
            )
        except NotFound:
            return _ABSENT, None
        return _held(found.metadata), secret_of(found, self._minted_for(found.metadata))

    async def _look_at_unlabelled(self, ref: SecretRef) -> tuple[Held, Secret | None]:
        """A Secret that is not watched: whether it is there, and no more of it than that."""
        found = await self._client.get(SECRETS, ref.name, Metadata, namespace=ref.namespace)
        meta = found.metadata
        minted_for = self._minted_for(meta)
        if minted_for is None and not is_credential(meta):
            return Held("unlabelled"), Secret(ref.namespace, ref.name, {})
        whole = await self._client.get(SECRETS, ref.name, ClusterSecret, namespace=ref.namespace)
        return _held(whole.metadata), secret_of(whole, minted_for)

    def _minted_for(self, meta: ObjectMeta) -> str | None:
        name = owner_name(meta)
        if name is None:
            return None
        observed = self._world.observed(ResourceRef("ApiKey", meta.namespace, name))
        uid = owner_uid(meta, name)
        return name if observed is not None and uid == observed.uid else None

    # --- minting ----------------------------------------------------------------------------------

    async def mint(self, wanted: WantedKey, now: float) -> Minted | None:
        """Make the Secret of an ApiKey, or rotate the key in it; None where nothing is to be done.

        Raises ClusterError.
        """
        ref = SecretRef(wanted.namespace, wanted.secret_name)
        secret = self._world.secret(ref)
        if secret is not None:
            return await self._rotate(ref, wanted, now) if self.is_due(wanted, now) else None
        observed = self._world.observed(ResourceRef("ApiKey", wanted.namespace, wanted.name))
        if observed is None:
            return None
        manifest, key_id = first_key(wanted, observed.uid, now)
        try:
            made = await self._client.create(
                SECRETS, manifest, ClusterSecret, namespace=wanted.namespace
            )
        except AlreadyExists:  # made meanwhile, by somebody or by ourselves before we were ended
            self.distrust((ref,))
            await self.fetch((ref,))
            return None
        self._keep(made)
        return Minted(wanted, key_id, rotated=False)

    def is_due(self, wanted: WantedKey, now: float) -> bool:
        """Whether the key is to be rotated, which it was not. `now` is Unix time in seconds."""
        ref = SecretRef(wanted.namespace, wanted.secret_name)
        secret, held = self._world.secret(ref), self._held.get(ref)
        return (
            secret is not None
            and secret.minted_for == wanted.name
            and held is not None
            and wanted.rotation is not None
            and wanted.rotation.is_due(held.requested_at, now)
        )

    async def _rotate(self, ref: SecretRef, wanted: WantedKey, now: float) -> Minted | None:
        found = await self._client.get(SECRETS, ref.name, ClusterSecret, namespace=ref.namespace)
        planned = next_key(wanted, found, now)
        if planned is None:
            self._keep(found)
            return None
        manifest, key_id = planned
        try:
            made = await self._client.replace(
                SECRETS, ref.name, manifest, ClusterSecret, namespace=ref.namespace
            )
        except Conflict:  # changed meanwhile, be it in nothing that matters: tried again later
            self.distrust((ref,))
            raise
        self._keep(made)
        return Minted(wanted, key_id, rotated=True)

    def _keep(self, made: ClusterSecret) -> None:
        ref = SecretRef(made.metadata.namespace, made.metadata.name)
        self._held[ref] = _held(made.metadata)
        self._world.keep(ref, secret_of(made, self._minted_for(made.metadata)))


def is_labelled(held: Held) -> bool:
    """Whether it was a Secret that the reflector tells of."""
    return held.mark not in {"absent", "unlabelled"}


def _mark(meta: ObjectMeta) -> str:
    return f"{meta.uid}/{meta.resource_version}"


def _held(meta: ObjectMeta) -> Held:
    return Held(_mark(meta), minted_at(meta), requested_at(meta))

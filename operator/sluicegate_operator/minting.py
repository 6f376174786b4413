"""Which keys are to be minted or rotated, and when to try again."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from itertools import chain

from sluicegate.cluster import ClusterError
from sluicegate.compile import Compilation, WantedKey, wanted_key
from sluicegate.resources import Inputs, ResourceRef, SecretRef
from sluicegate.telemetry.logs import log
from sluicegate_operator.credentials import Credentials, Minted
from sluicegate_operator.events import Announcer, Happening
from sluicegate_operator.world import World

_RETRY = 30.0  # seconds
_AT_ONCE = 64  # keys
_LOOK = 300.0  # seconds between two looks at a rotation that is to come, for clocks that are set


class Minting:
    """Has the keys made that ApiKeys with `generate` ask for. `clock` is Unix time in seconds."""

    def __init__(
        self,
        world: World,
        credentials: Credentials,
        announcer: Announcer,
        clock: Callable[[], float],
    ) -> None:
        self._world = world
        self._credentials = credentials
        self._announcer = announcer
        self._clock = clock
        self._wanted: dict[ResourceRef, WantedKey] = {}
        # By a monotonic clock: when what failed is tried again, and when to look at a rotation that
        # is to come, which no lost key has to wait for.
        self._again: dict[ResourceRef, float] = {}
        self._looks: dict[ResourceRef, float] = {}

    @property
    def due(self) -> float | None:
        """When to try again (a monotonic clock's seconds), None where nothing is to be tried."""
        return min(chain(self._again.values(), self._looks.values()), default=None)

    def secret_of(self, ref: ResourceRef) -> tuple[SecretRef, ...]:
        """The Secret that an ApiKey has its key minted into, if it does."""
        wanted = self._wanted.get(ref)
        return () if wanted is None else (SecretRef(wanted.namespace, wanted.secret_name),)

    def owes(self, ref: ResourceRef) -> bool:
        """Whether an ApiKey has asked for a rotation that was not done."""
        wanted = self._wanted.get(ref)
        return wanted is not None and self._credentials.is_due(wanted, self._clock())

    def note(self, inputs: Inputs) -> None:
        """Take what the ApiKeys that changed want now."""
        for ref in inputs.changed:
            resource = inputs.resources.get(ref)
            wanted = wanted_key(resource) if resource is not None else None
            if wanted is None:
                self._wanted.pop(ref, None)
                self._again.pop(ref, None)
                self._looks.pop(ref, None)
            elif self._wanted.get(ref) != wanted:
                self._wanted[ref] = wanted
                self._again.pop(ref, None)

    async def run(self, compilation: Compilation, inputs: Inputs) -> bool:
        """Mint the keys that are missing, and those to be rotated. Answers whether any was."""
        missing = (ResourceRef("ApiKey", one.namespace, one.name) for one in compilation.minting())
        users = (user for secret in inputs.changed_secrets for user in compilation.users_of(secret))
        now = time.monotonic()
        looks = (ref for ref, at in self._looks.items() if at <= now)
        asked = dict.fromkeys((*missing, *inputs.changed, *users, *self._again, *looks))
        due = [ref for ref in asked if ref in self._wanted and self._again.get(ref, now) <= now]
        for ref in due[_AT_ONCE:]:  # what changes meanwhile is not to wait for all of them
            self._again[ref] = now
        minted = await asyncio.gather(
            *(self._mint(ref, self._wanted[ref]) for ref in due[:_AT_ONCE])
        )
        return any(minted)

    async def _mint(self, ref: ResourceRef, wanted: WantedKey) -> bool:
        self._again.pop(ref, None)
        self._looks.pop(ref, None)
        before = self._world.touched
        try:
            minted = await self._credentials.mint(wanted, self._clock())
        except ClusterError as error:
            log(logging.WARNING, f"no key for {ref}: {error}")
            self._again[ref] = time.monotonic() + _RETRY
            return False
        to_come = 0.0 if wanted.rotation is None else wanted.rotation.requested_at - self._clock()
        if to_come > 0:
            self._looks[ref] = time.monotonic() + min(to_come, _LOOK)
        if minted is not None:
            self._tell(ref, minted)
        return minted is not None or (self._world.touched and not before)

    def _tell(self, ref: ResourceRef, minted: Minted) -> None:
        what = "rotated" if minted.rotated else "minted"
        note = f"The key {minted.key_id} was {what} into Secret {minted.wanted.secret_name}."
        log(logging.INFO, f"client key {what}", {"object": str(ref), "key_id": minted.key_id})
        observed = self._world.observed(ref)
        if observed is not None:
            reason, action = ("KeyRotated", "Rotate") if minted.rotated else ("KeyMinted", "Mint")
            self._announcer.tell(Happening(ref, observed.uid, "Normal", reason, action, note))

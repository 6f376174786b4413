"""The keys that ApiKeys with `spec.client.generate` ask for, in a folder without an operator."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from datetime import UTC, datetime

from sluicegate.compile import MintRequest, WantedKey, wanted_key
from sluicegate.resources import Inputs, ResourceRef, Secret
from sluicegate.source.keystore import KeyRefused, StoredKey

# How many objects are looked at between two chances for the event loop to serve requests.
_STEP = 50


def secret_of(stored: StoredKey) -> Secret:
    """A minted key, as the Secret that the operator would have made in a cluster."""
    values = {"key": stored.key}
    if stored.previous_key is not None and stored.previous_not_after is not None:
        until = datetime.fromtimestamp(stored.previous_not_after, UTC)
        values["previousKey"] = stored.previous_key
        values["previousNotAfter"] = until.strftime("%Y-%m-%dT%H:%M:%SZ")
    return Secret(
        namespace=stored.namespace,
        name=stored.secret_name,
        values=values,
        minted_for=stored.name,
    )


class GeneratedKeys:
    """Which keys are wanted and which are held. Says what to ask the key store for."""

    def __init__(self) -> None:
        self.refused: dict[WantedKey, str] = {}  # keys that could not be had, and why
        self._wanted: dict[ResourceRef, WantedKey] = {}
        self._held: dict[tuple[str, str], StoredKey] = {}

    def note(self, inputs: Inputs) -> Generator[None, None, None]:
        """Take what the ApiKeys that changed want now. Yields between some hundred objects."""
        for count, ref in enumerate(inputs.changed, 1):
            resource = inputs.resources.get(ref)
            one = wanted_key(resource) if resource is not None else None
            before = self._wanted.pop(ref, None)
            if one is not None:
                self._wanted[ref] = one
            if before is not None and before != one:
                self.refused.pop(before, None)
            if count % _STEP == 0:
                yield

    def due(self, minting: Iterable[MintRequest], now: float) -> list[WantedKey]:
        """The keys to obtain: those that compile misses, and those to be rotated at `now`."""
        refs = (ResourceRef("ApiKey", request.namespace, request.name) for request in minting)
        missing = [self._wanted[ref] for ref in refs if ref in self._wanted]
        return missing + [one for one in self._wanted.values() if self._is_outdated(one, now)]

    def _is_outdated(self, one: WantedKey, now: float) -> bool:
        """Whether a rotation was asked for after the key that is held was made."""
        held = self._held.get((one.namespace, one.secret_name))
        return (
            held is not None
            and one.rotation is not None
            and held.name == one.name
            and one.rotation.is_due(held.requested_at, now)
        )

    def hold(self, wanted: WantedKey, result: StoredKey | KeyRefused) -> bool:
        """Take what the key store answered. Answers whether there is a key."""
        if isinstance(result, KeyRefused):
            self.refused[wanted] = result.message
            return False
        self.refused.pop(wanted, None)
        self._held[result.namespace, result.secret_name] = result
        return True

    def give_up(self) -> list[StoredKey]:
        """Take out, and answer, the keys that no ApiKey wants any more."""
        names = {(one.namespace, one.secret_name) for one in self._wanted.values()}
        unwanted = [held for place, held in self._held.items() if place not in names]
        for held in unwanted:
            del self._held[held.namespace, held.secret_name]
        return unwanted

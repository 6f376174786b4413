"""The keys that ApiKeys with `spec.client.generate` ask for, in a folder without an operator."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from datetime import UTC, datetime

import msgspec

from sluicegate.compile.compilation import MintRequest
from sluicegate.resources import Inputs, Resource, ResourceRef, Secret
from sluicegate.resources.durations import DurationError, parse_duration
from sluicegate.resources.timestamps import TimestampError, parse_timestamp
from sluicegate.source.keystore import KeyRefused, Rotation, StoredKey, WantedKey


class _Rotation(msgspec.Struct, rename="camel"):
    requested_at: str
    overlap: str = "24h"


class _Generate(msgspec.Struct, rename="camel"):
    secret_name: str


class _Client(msgspec.Struct, rename="camel"):
    generate: _Generate | None = None
    rotation: _Rotation | None = None


class _Spec(msgspec.Struct, rename="camel"):
    client: _Client | None = None


class _Manifest(msgspec.Struct, rename="camel"):
    spec: _Spec


# How many objects are looked at between two chances for the event loop to serve requests.
_STEP = 50

_decoder = msgspec.json.Decoder(_Manifest)


def wanted_key(resource: Resource) -> WantedKey | None:
    """The key that an object wants to have minted; None where it wants none or is not valid."""
    if resource.ref.kind != "ApiKey" or b'"generate"' not in resource.manifest:
        return None
    try:
        client = _decoder.decode(resource.manifest).spec.client
        if client is None or client.generate is None:
            return None
        rotation = None
        if client.rotation is not None:
            rotation = Rotation(
                parse_timestamp(client.rotation.requested_at),
                parse_duration(client.rotation.overlap),
            )
    except (msgspec.DecodeError, TimestampError, DurationError):
        return None
    ref = resource.ref
    return WantedKey(ref.namespace, ref.name, client.generate.secret_name, rotation)


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

    def due(self, minting: Iterable[MintRequest]) -> list[WantedKey]:
        """The keys to obtain: those that compile misses, and those to be rotated."""
        refs = (ResourceRef("ApiKey", request.namespace, request.name) for request in minting)
        missing = [self._wanted[ref] for ref in refs if ref in self._wanted]
        return missing + [one for one in self._wanted.values() if self._is_outdated(one)]

    def _is_outdated(self, one: WantedKey) -> bool:
        """Whether a rotation was asked for after the key that is held was made."""
        held = self._held.get((one.namespace, one.secret_name))
        return (
            held is not None
            and one.rotation is not None
            and held.name == one.name
            and one.rotation.requested_at > (held.requested_at or 0)
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

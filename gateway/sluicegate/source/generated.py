"""The keys that ApiKeys with `spec.client.generate` ask for, in a folder without an operator."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

import msgspec

from sluicegate.resources import Resource, ResourceRef, Secret
from sluicegate.resources.durations import DurationError, parse_duration
from sluicegate.resources.timestamps import TimestampError, parse_timestamp
from sluicegate.source.keystore import Rotation, StoredKey, WantedKey


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


class HeldKeys:
    """Which minted keys are in use. Says what to ask the key store for, and what to give up."""

    def __init__(self) -> None:
        self._held: dict[tuple[str, str], StoredKey] = {}

    def hold(self, stored: StoredKey) -> None:
        """A key was obtained."""
        self._held[stored.namespace, stored.secret_name] = stored

    def due_for_rotation(self, wanted: Iterable[WantedKey]) -> list[WantedKey]:
        """Those that are held, but whose rotation was asked for after the key was made."""
        due: list[WantedKey] = []
        for one in wanted:
            held = self._held.get((one.namespace, one.secret_name))
            if (
                held is not None
                and one.rotation is not None
                and held.name == one.name
                and one.rotation.requested_at > (held.requested_at or 0)
            ):
                due.append(one)
        return due

    def give_up(self, wanted: Mapping[ResourceRef, WantedKey]) -> list[StoredKey]:
        """Take out, and answer, the keys that no ApiKey wants any more."""
        names = {(one.namespace, one.secret_name) for one in wanted.values()}
        unwanted = [held for place, held in self._held.items() if place not in names]
        for held in unwanted:
            del self._held[held.namespace, held.secret_name]
        return unwanted

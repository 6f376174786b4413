"""The keys that ApiKeys with `spec.client.generate` ask for.

Who mints them (the operator, or the gateway that serves a folder) keeps them its own way.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from sluicegate.resources.durations import DurationError, parse_duration
from sluicegate.resources.objects import Resource
from sluicegate.resources.timestamps import TimestampError, parse_timestamp


class Rotation(NamedTuple):
    """`spec.client.rotation`: a later `requested_at` (Unix seconds) asks for a new key, once.

    One that is still to come asks for it then.
    """

    requested_at: int
    overlap: float  # seconds that the key before serves on

    def is_due(self, done: int | None, now: float) -> bool:
        """Whether to rotate now; `done` is the request that the newest key came of."""
        return (done or 0) < self.requested_at <= now


class WantedKey(NamedTuple):
    """An ApiKey with `spec.client.generate`."""

    namespace: str
    name: str
    secret_name: str
    rotation: Rotation | None

    def requested_at(self, now: float) -> int | None:
        """The rotation that a key which is made now comes of."""
        rotation = self.rotation
        return rotation.requested_at if rotation is not None and rotation.is_due(0, now) else None


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

"""The Secrets of keys that the operator mints: what is in them. Pure, but for new keys' randomness.

A Secret that is lost is minted anew; one that is there and is not the operator's is never touched.
"""

from __future__ import annotations

from collections.abc import Mapping

from sluicegate.auth.keys import key_id, mint
from sluicegate.cluster import API_KEYS, ClusterSecret, ObjectMeta, OwnerReference
from sluicegate.compile import WantedKey
from sluicegate.resources.durations import DurationError
from sluicegate.resources.timestamps import TimestampError, parse_timestamp
from sluicegate_operator.facts import rfc3339
from sluicegate_operator.objects import (
    CREDENTIAL_LABEL,
    MANAGED_BY,
    MANAGED_BY_LABEL,
    is_ours,
)

_REQUESTED = "sluicegate.dev/rotation-requested-at"
_MINTED = "sluicegate.dev/minted-at"
_MINTED_BEFORE = "sluicegate.dev/previous-minted-at"


def owner_uid(meta: ObjectMeta, name: str) -> str | None:
    """The uid of the ApiKey `name` that a Secret of ours was made for; None for any other."""
    if not is_ours(meta):
        return None
    return next(
        (
            owner.uid
            for owner in meta.owner_references
            if owner.controller
            and owner.kind == API_KEYS.kind
            and owner.api_version == API_KEYS.api_version
            and owner.name == name
        ),
        None,
    )


def owner_name(meta: ObjectMeta) -> str | None:
    """The name of the ApiKey that a Secret of ours was made for."""
    if not is_ours(meta):
        return None
    return next(
        (
            owner.name
            for owner in meta.owner_references
            if owner.controller and owner.kind == API_KEYS.kind
        ),
        None,
    )


def minted_at(meta: ObjectMeta) -> tuple[str, ...]:
    """When the keys in a Secret were made, the newest first."""
    if not is_ours(meta):
        return (meta.creation_timestamp,) if meta.creation_timestamp else ()
    times = (meta.annotations.get(_MINTED), meta.annotations.get(_MINTED_BEFORE))
    return tuple(time for time in times if time)


def requested_at(meta: ObjectMeta) -> int | None:
    """The rotation that the newest key came of (Unix seconds)."""
    try:
        return parse_timestamp(meta.annotations.get(_REQUESTED, ""))
    except (TimestampError, DurationError):
        return None


def first_key(wanted: WantedKey, uid: str, now: float) -> tuple[Mapping[str, object], str | None]:
    """The new Secret of an ApiKey, and the id of the key in it."""
    key = mint()
    annotations = {_MINTED: rfc3339(now)}
    requested = wanted.requested_at(now)
    if requested is not None:
        annotations[_REQUESTED] = rfc3339(requested)
    owner = OwnerReference(API_KEYS.api_version, API_KEYS.kind, wanted.name, uid, controller=True)
    meta = ObjectMeta(
        name=wanted.secret_name,
        namespace=wanted.namespace,
        labels={MANAGED_BY_LABEL: MANAGED_BY, CREDENTIAL_LABEL: "true"},
        annotations=annotations,
        owner_references=(owner,),
    )
    return _manifest(meta, {"key": key.encode()}), key_id(key)


def next_key(
    wanted: WantedKey, found: ClusterSecret, now: float
) -> tuple[Mapping[str, object], str | None] | None:
    """The Secret with a new key, the one before still in it; None where no rotation is due.

    Written under the version that was found, so that two rotations can't both succeed.
    """
    rotation, old = wanted.rotation, found.data.get("key")
    if rotation is None or old is None:
        return None
    if not rotation.is_due(requested_at(found.metadata), now):
        return None
    key = mint()
    before = found.metadata
    annotations = {
        **before.annotations,
        _REQUESTED: rfc3339(rotation.requested_at),
        _MINTED: rfc3339(now),
        _MINTED_BEFORE: before.annotations.get(_MINTED, ""),
    }
    meta = ObjectMeta(
        name=before.name,
        namespace=before.namespace,
        uid=before.uid,
        resource_version=before.resource_version,
        labels={**before.labels, MANAGED_BY_LABEL: MANAGED_BY, CREDENTIAL_LABEL: "true"},
        annotations=annotations,
        owner_references=before.owner_references,
    )
    data = {
        "key": key.encode(),
        "previousKey": old,
        "previousNotAfter": rfc3339(now + rotation.overlap).encode(),
    }
    return _manifest(meta, data), key_id(key)


def _manifest(meta: ObjectMeta, data: Mapping[str, bytes]) -> Mapping[str, object]:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": meta,
        "type": "Opaque",
        "data": data,
    }

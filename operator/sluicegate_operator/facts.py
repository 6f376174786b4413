"""What compiling an object came to, as its status will tell it. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime

import msgspec
from msgspec import Raw, Struct
from msgspec.structs import replace

from sluicegate.compile import Compilation
from sluicegate.compile.compilation import entry_id
from sluicegate.config import (
    AwsCredential,
    ClientKey,
    CredentialEntry,
    Deployment,
    Entry,
    GoogleCredential,
    KeyDigest,
    SecretCredential,
    UnresolvedCredential,
    canonical,
)
from sluicegate.resources import SecretRef
from sluicegate_operator.objects import Observed
from sluicegate_operator.status.judge import Facts, Standing
from sluicegate_operator.status.values import Columns, KeyStatus

_Inline = SecretCredential | AwsCredential | GoogleCredential | UnresolvedCredential


class Held(Struct, frozen=True, gc=False):
    """A Secret as it was fetched. `mark` is its uid and version.

    `minted`: when the keys in it were minted, the newest first; `requested_at`: the rotation that
    the newest one came of (Unix seconds).
    """

    mark: str
    minted: tuple[str, ...] = ()
    requested_at: int | None = None


def facts_of(
    observed: Observed,
    compilation: Compilation,
    held_since: int | None,
    secrets: Mapping[SecretRef, Held],
    *,
    inherited: bool,
) -> Facts:
    """The facts about one object. `held_since`: the sequence that first held its entry.

    `inherited`: it held it when this operator began.
    """
    entry = compilation.config.entries.get(entry_id(observed.ref))
    used = compilation.secrets_of(observed.ref)
    known = [held for use in used if (held := secrets.get(use)) is not None]
    return Facts(
        generation=observed.generation,
        conditions=compilation.conditions(observed.ref),
        revision=None if entry is None else _revision(entry, [held.mark for held in known]),
        held_since=held_since if entry is not None else None,
        standing=_standing(compilation, entry),
        columns=_columns(observed, entry, used, known),
        inherited=inherited,
        entry_id=entry_id(observed.ref),
    )


def _revision(entry: Entry, marks: list[str]) -> str:
    """Of what the object became; a Secret counts by its version, so that nothing tells its value.

    12 hex digits.
    """
    match entry:
        case Deployment(credential=credential) | CredentialEntry(credential=credential):
            if isinstance(credential, _Inline):
                entry = replace(entry, credential=_without_secret(credential))
        case ClientKey(digests=digests) if marks:
            ends = tuple(KeyDigest("", "", digest.not_after) for digest in digests)
            entry = replace(entry, digests=ends)
        case _:
            pass
    text = b"\n".join((canonical(entry), *(mark.encode() for mark in marks)))
    return hashlib.sha256(text).hexdigest()[:12]


def _without_secret(credential: _Inline) -> _Inline:
    match credential:
        case SecretCredential():
            return replace(credential, value="")
        case AwsCredential():
            return replace(
                credential, access_key_id=None, secret_access_key=None, session_token=None
            )
        case GoogleCredential():
            return replace(credential, json="")
        case UnresolvedCredential():
            return credential


def _standing(compilation: Compilation, entry: Entry | None) -> Standing:
    match entry:
        case Deployment(suspended=True):
            return "Suspended"
        case ClientKey(revoked=True):
            return "Revoked"
        case ClientKey(expires_at=end) if end is not None and end <= compilation.now:
            return "Expired"
        case _:
            pass
    return "Ready"


def _columns(
    observed: Observed, entry: Entry | None, used: tuple[SecretRef, ...], known: list[Held]
) -> Columns:
    match entry:
        case Deployment():
            provider = entry.upstream.__struct_config__.tag
            return Columns(model=entry.model, provider=str(provider))
        case CredentialEntry():
            return Columns(type="Upstream", secret_name=_name(used))
        case ClientKey():
            minted = known[0].minted if known else ()
            return Columns(type="Client", secret_name=_name(used), keys=tuple(_keys(entry, minted)))
        case _:
            pass
    if observed.ref.kind == "ApiKey":
        kind = "Client" if b'"spec":{"client"' in observed.manifest else "Upstream"
        return Columns(type=kind, secret_name=_name(used))
    return _asked_for(observed)


class _Spec(Struct):
    model: str | None = None
    provider: dict[str, Raw] = {}


class _Manifest(Struct):
    spec: _Spec


def _asked_for(observed: Observed) -> Columns:
    """What the spec of a ModelDeployment says that has never been accepted."""
    try:
        spec = msgspec.json.decode(observed.manifest, type=_Manifest).spec
    except (msgspec.DecodeError, RecursionError):
        return Columns()
    return Columns(model=spec.model or observed.ref.name, provider=next(iter(spec.provider), None))


def _name(used: tuple[SecretRef, ...]) -> str | None:
    return used[0].name if used else None


def _keys(entry: ClientKey, minted: tuple[str, ...]) -> list[KeyStatus]:
    return [
        KeyStatus(
            digest.key_id,
            minted[number] if number < len(minted) else None,
            None if digest.not_after is None else rfc3339(digest.not_after),
        )
        for number, digest in enumerate(entry.digests)
    ]


def rfc3339(seconds: float) -> str:
    """A time as Kubernetes writes it. `seconds` is Unix time."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

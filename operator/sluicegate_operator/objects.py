"""What the API server holds, read as far as the operator needs it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec
from msgspec import Struct

from sluicegate.cluster import ClusterSecret, Lease, ObjectMeta, ResourceType
from sluicegate.cluster.shallow import members, metadata_of
from sluicegate.resources import Resource, ResourceRef, Secret
from sluicegate_operator.status.fleet import Report
from sluicegate_operator.status.values import Spend, Status

CREDENTIAL_LABEL = "sluicegate.dev/credential"
MANAGED_BY_LABEL = "app.kubernetes.io/managed-by"
MANAGED_BY = "sluicegate"
CONFIG_LABEL = "sluicegate.dev/config"
GATEWAY_LABEL = "sluicegate.dev/gateway"

_SEQUENCE = "sluicegate.dev/sequence"
_EPOCH = "sluicegate.dev/epoch"
_ERROR = "sluicegate.dev/config-error"
_REFUSED = "sluicegate.dev/refused"
_LONGEST_ERROR = 300
_DIGITS = 16
_HIGHEST_SEQUENCE = 2**53


class Observed(Struct, frozen=True, gc=False):
    """A ModelDeployment or an ApiKey. `manifest` leaves out all but its name and its spec."""

    ref: ResourceRef
    uid: str
    generation: int
    resource_version: str
    created: str
    manifest: bytes
    status: Status
    spend: Spend | None = None  # what its status says of that

    @property
    def resource(self) -> Resource:
        """The object as compile takes it."""
        return Resource(self.ref, self.manifest)


class _Object(Struct, gc=False):
    metadata: ObjectMeta
    spec: msgspec.Raw = msgspec.Raw(b"{}")
    status: msgspec.Raw = msgspec.Raw(b"{}")


_object = msgspec.json.Decoder(_Object)
_status = msgspec.json.Decoder(Status)


class _Spending(Struct, gc=False):
    spend: Spend | None = None


_spending = msgspec.json.Decoder(_Spending)
_meta = msgspec.json.Decoder(ObjectMeta)
_refused = msgspec.json.Decoder(dict[str, list[str]])


def decoder(resource: ResourceType) -> Callable[[bytes], Observed | None]:
    """Reads objects of one of our kinds; None for one that is being deleted.

    The server writes a spec's fields in order, so equal specs have equal octets.
    """
    kind, version = resource.kind, resource.api_version

    def decode(content: bytes) -> Observed | None:
        read = _read_object(content)
        meta = read.metadata
        if meta.deletion_timestamp is not None:
            return None
        head = msgspec.json.encode(
            {
                "apiVersion": version,
                "kind": kind,
                "metadata": {"name": meta.name, "namespace": meta.namespace},
            }
        )
        return Observed(
            ref=ResourceRef(kind, meta.namespace, meta.name),
            uid=meta.uid,
            generation=meta.generation,
            resource_version=meta.resource_version,
            created=meta.creation_timestamp or "",
            manifest=b"".join((head[:-1], b',"spec":', bytes(read.spec), b"}")),
            status=_read_status(read.status),
            spend=_read_spend(read.status),
        )

    return decode


def _read_object(content: bytes) -> _Object:
    try:
        return _object.decode(content)
    except RecursionError:  # its spec is compile's to judge, and no reason not to see the object
        found = members(content)
        return _Object(
            _meta.decode(metadata_of(content)),
            msgspec.Raw(found.get("spec", b"{}")),
            msgspec.Raw(found.get("status", b"{}")),
        )


def _read_status(raw: msgspec.Raw) -> Status:
    try:
        return _status.decode(raw)
    except msgspec.DecodeError:  # written by somebody else
        return Status()


def _read_spend(raw: msgspec.Raw) -> Spend | None:
    try:
        return _spending.decode(raw).spend
    except msgspec.DecodeError:  # as above
        return None


def report_of(lease: Lease) -> Report:
    """What a gateway's Lease says."""
    said = lease.metadata.annotations
    sequence = said.get(_SEQUENCE, "")
    countable = sequence.isascii() and sequence.isdigit() and len(sequence) <= _DIGITS
    number = int(sequence) if countable else 0
    return Report(
        name=lease.metadata.name,
        stamp=f"{lease.metadata.uid}/{lease.spec.renew_time}",
        sequence=number if number < _HIGHEST_SEQUENCE else 0,
        error=said.get(_ERROR, "")[:_LONGEST_ERROR],
        epoch=said.get(_EPOCH, ""),
        refused=_read_refused(said.get(_REFUSED, "{}")),
    )


def _read_refused(text: str) -> Mapping[str, str]:
    """By the entry, out of whom each reason concerns; nothing where that is not what it says."""
    try:
        reasons = _refused.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return {}
    return {id_: reason[:_LONGEST_ERROR] for reason, ids in reasons.items() for id_ in ids}


def secret_of(found: ClusterSecret, minted_for: str | None) -> Secret:
    """A Secret as compile takes it."""
    values: dict[str, str] = {}
    missing: dict[str, str] = {}
    for name, octets in found.data.items():
        try:
            values[name] = octets.decode()
        except UnicodeDecodeError:
            missing[name] = "must be UTF-8 text"
    return Secret(
        namespace=found.metadata.namespace,
        name=found.metadata.name,
        values=values,
        missing=missing,
        labelled=is_credential(found.metadata),
        minted_for=minted_for,
    )


def is_credential(meta: ObjectMeta) -> bool:
    """Whether a Secret is meant to be used by ApiKeys and ModelDeployments."""
    return meta.labels.get(CREDENTIAL_LABEL) == "true"


def is_ours(meta: ObjectMeta) -> bool:
    """Whether the operator has made it."""
    return meta.labels.get(MANAGED_BY_LABEL) == MANAGED_BY

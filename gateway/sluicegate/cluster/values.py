"""The Kubernetes values that Sluicegate reads and writes: typed as far as they are used."""

from __future__ import annotations

from typing import NamedTuple

import msgspec


class ResourceType(msgspec.Struct, frozen=True):
    """A kind of object and where the API server keeps it; the core group is `""`."""

    group: str
    version: str
    kind: str
    plural: str

    @property
    def api_version(self) -> str:
        """`v1`, `coordination.k8s.io/v1`: as a manifest says it."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str | None = None, name: str = "", subresource: str = "") -> str:
        """The path of the collection, of one object or of its subresource.

        Without a namespace: of all namespaces, or of a type that has none.
        """
        parts = ["apis" if self.group else "api", self.api_version]
        if namespace is not None:
            parts += ["namespaces", namespace]
        parts += [self.plural, name, subresource]
        return "/" + "/".join(part for part in parts if part)


SECRETS = ResourceType("", "v1", "Secret", "secrets")
PODS = ResourceType("", "v1", "Pod", "pods")
SERVICES = ResourceType("", "v1", "Service", "services")
DEPLOYMENTS = ResourceType("apps", "v1", "Deployment", "deployments")
LEASES = ResourceType("coordination.k8s.io", "v1", "Lease", "leases")
EVENTS = ResourceType("events.k8s.io", "v1", "Event", "events")
MODEL_DEPLOYMENTS = ResourceType(
    "sluicegate.dev", "v1alpha1", "ModelDeployment", "modeldeployments"
)
API_KEYS = ResourceType("sluicegate.dev", "v1alpha1", "ApiKey", "apikeys")


class ObjectKey(NamedTuple):
    """What an object of one type is known by; the namespace is `""` for a type that has none."""

    namespace: str
    name: str


class OwnerReference(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """The object that this one is deleted with."""

    api_version: str
    kind: str
    name: str
    uid: str
    controller: bool = False
    block_owner_deletion: bool = False


class ObjectMeta(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """`metadata` of any object; times are RFC 3339 text."""

    name: str = ""
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    generation: int = 0
    creation_timestamp: str | None = None
    deletion_timestamp: str | None = None
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    owner_references: tuple[OwnerReference, ...] = ()

    @property
    def key(self) -> ObjectKey:
        """The object's key within its type."""
        return ObjectKey(self.namespace, self.name)


class Metadata(msgspec.Struct, frozen=True):
    """Any object, without the rest of it."""

    metadata: ObjectMeta = ObjectMeta()


class ClusterSecret(msgspec.Struct, frozen=True):
    """A Secret with its values decoded."""

    metadata: ObjectMeta = ObjectMeta()
    data: dict[str, bytes] = {}
    type: str = "Opaque"

    def __repr__(self) -> str:
        """Without the values."""
        return f"ClusterSecret({self.metadata.key!r}, entries={sorted(self.data)})"


class LeaseSpec(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """Who holds a Lease and since when; times are RFC 3339 text with microseconds."""

    holder_identity: str | None = None
    lease_duration_seconds: int | None = None
    lease_transitions: int | None = None
    acquire_time: str | None = None
    renew_time: str | None = None


class Lease(msgspec.Struct, frozen=True):
    """A Lease of `coordination.k8s.io/v1`."""

    metadata: ObjectMeta = ObjectMeta()
    spec: LeaseSpec = LeaseSpec()

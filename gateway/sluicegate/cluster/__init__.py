"""The Kubernetes API, as far as Sluicegate needs it: requests, and reflections of what is there.

See `reflector` for the way of a change from the server to its callback.
"""

from sluicegate.cluster.access import Access, Token, load_access, load_personal_access
from sluicegate.cluster.client import ClusterClient, Page, Selection
from sluicegate.cluster.errors import (
    AccessError,
    AlreadyExists,
    ApiStatusError,
    ClusterError,
    ClusterUnreachable,
    Conflict,
    Forbidden,
    GarbledAnswer,
    Gone,
    Invalid,
    NotFound,
    Unauthorized,
)
from sluicegate.cluster.reflection import Reflection
from sluicegate.cluster.reflector import Reflector, Timing
from sluicegate.cluster.values import (
    API_KEYS,
    DEPLOYMENTS,
    EVENTS,
    LEASES,
    MODEL_DEPLOYMENTS,
    PODS,
    SECRETS,
    SERVICES,
    ClusterSecret,
    Lease,
    LeaseSpec,
    Metadata,
    ObjectKey,
    ObjectMeta,
    OwnerReference,
    ResourceType,
)

__all__ = [
    "API_KEYS",
    "DEPLOYMENTS",
    "EVENTS",
    "LEASES",
    "MODEL_DEPLOYMENTS",
    "PODS",
    "SECRETS",
    "SERVICES",
    "Access",
    "AccessError",
    "AlreadyExists",
    "ApiStatusError",
    "ClusterClient",
    "ClusterError",
    "ClusterSecret",
    "ClusterUnreachable",
    "Conflict",
    "Forbidden",
    "GarbledAnswer",
    "Gone",
    "Invalid",
    "Lease",
    "LeaseSpec",
    "Metadata",
    "NotFound",
    "ObjectKey",
    "ObjectMeta",
    "OwnerReference",
    "Page",
    "Reflection",
    "Reflector",
    "ResourceType",
    "Selection",
    "Timing",
    "Token",
    "Unauthorized",
    "load_access",
    "load_personal_access",
]

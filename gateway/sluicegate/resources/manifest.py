"""What every object has: apiVersion, kind and metadata."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from sluicegate.resources.fields import Fields, Namespace, ObjectName

GROUP = "sluicegate.dev"
API_VERSION = "sluicegate.dev/v1alpha1"


class ObjectMeta(Fields):
    """The parts of Kubernetes' ObjectMeta that may stand in a manifest.

    The server's own are read over.
    """

    name: ObjectName = Field(description="Name of the object, unique in its namespace.")
    namespace: Namespace = Field("default", description="Namespace of the object.")
    labels: dict[str, str] = Field(default_factory=dict, description="Labels of the object.")
    annotations: dict[str, str] = Field(
        default_factory=dict, description="Annotations of the object."
    )
    generate_name: Any = None
    uid: Any = None
    resource_version: Any = None
    generation: Any = None
    creation_timestamp: Any = None
    deletion_timestamp: Any = None
    deletion_grace_period_seconds: Any = None
    owner_references: Any = None
    finalizers: Any = None
    managed_fields: Any = None
    self_link: Any = None


class Manifest(Fields):
    """An object of our API group, as it is applied."""

    api_version: Literal["sluicegate.dev/v1alpha1"] = Field(
        description="Version of the object's schema."
    )
    metadata: ObjectMeta = Field(description="Name, namespace, labels and annotations.")
    status: Any = Field(None, description="Written by the operator.")

"""What every object has: apiVersion, kind and metadata."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import Field

from sluicegate.resources.fields import SUBDOMAIN, Fields, Format, Namespace, ObjectName

GROUP = "sluicegate.dev"
API_VERSION = "sluicegate.dev/v1alpha1"

# What the API server asks of every object's labels and annotations; a null is "" to it.
_WORD = r"([A-Za-z0-9][A-Za-z0-9_.-]{0,61})?[A-Za-z0-9]"
_NAME = re.compile(rf"(?P<prefix>({SUBDOMAIN})/)?{_WORD}", re.ASCII)
_VALUE = re.compile(rf"({_WORD})?", re.ASCII)
_MAX_PREFIX = 253
_MAX_ANNOTATIONS = 256 * 1024


def _is_name(name: str) -> bool:
    match = _NAME.fullmatch(name)
    return match is not None and len(match["prefix"] or "") <= _MAX_PREFIX + 1


def _labels_problem(labels: dict[str, str | None]) -> str | None:
    if not all(_is_name(name) for name in labels):
        return "must have names such as team or example.com/team: 63 letters, digits and '-_.'"
    if not all(_VALUE.fullmatch(value or "") for value in labels.values()):
        return "must have values of up to 63 letters, digits and '-_.'"
    return None


def _annotations_problem(annotations: dict[str, str | None]) -> str | None:
    if not all(_is_name(name.lower()) for name in annotations):
        return "must have names such as note or example.com/note: 63 letters, digits and '-_.'"
    size = sum(
        len(name.encode()) + len((value or "").encode()) for name, value in annotations.items()
    )
    return "must have less than 256 KiB in all" if size > _MAX_ANNOTATIONS else None


Labels: TypeAlias = Annotated[dict[str, str | None], Format(_labels_problem, {})]
Annotations: TypeAlias = Annotated[dict[str, str | None], Format(_annotations_problem, {})]


class ObjectMeta(Fields):
    """The parts of Kubernetes' ObjectMeta that may stand in a manifest.

    The server's own are read over.
    """

    name: ObjectName = Field(description="Name of the object, unique in its namespace.")
    namespace: Namespace = Field("default", description="Namespace of the object.")
    labels: Labels = Field(
        default_factory=dict[str, str | None], description="Labels of the object."
    )
    annotations: Annotations = Field(
        default_factory=dict[str, str | None], description="Annotations of the object."
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

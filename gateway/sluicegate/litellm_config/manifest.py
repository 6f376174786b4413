"""The objects that a configuration becomes."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from sluicegate.litellm_config.deployment import Draft
from sluicegate.litellm_config.secrets import JsonObject, Made
from sluicegate.resources import Flaw, Invalid, Resource, ResourceRef, validate
from sluicegate.resources.manifest import API_VERSION


class Manifest(NamedTuple):
    """An object, and the line (from 1) of the configuration that it comes from."""

    value: JsonObject
    file: str
    line: int

    def __repr__(self) -> str:  # it may be a Secret
        return f"Manifest({self.kind} {self.name}, {self.file}:{self.line})"

    @property
    def kind(self) -> str:
        """Its kind."""
        return str(self.value["kind"])

    @property
    def name(self) -> str:
        """Its name."""
        metadata = self.value["metadata"]
        return str(metadata["name"]) if isinstance(metadata, dict) else ""


def flaws_of(manifest: JsonObject) -> tuple[Flaw, ...]:
    """What is wrong with a custom resource."""
    metadata = manifest["metadata"]
    name = str(metadata["name"]) if isinstance(metadata, dict) else ""
    ref = ResourceRef(str(manifest["kind"]), "default", name)
    found = validate(Resource(ref, msgspec.json.encode(manifest)))
    return found.flaws if isinstance(found, Invalid) else ()


def deployment_manifest(each: Draft) -> Manifest:
    """The ModelDeployment that a draft has become."""
    order = ("model", "provider", "credentials", "weight", "priority")
    spec = {key: each.spec[key] for key in order if key in each.spec}
    value: JsonObject = {
        "apiVersion": API_VERSION,
        "kind": "ModelDeployment",
        "metadata": {"name": each.name},
        "spec": spec | {key: part for key, part in each.spec.items() if key not in order},
    }
    return Manifest(value, each.place.source.name, each.place.line)


def manifest_of(each: Made) -> Manifest:
    """An object of another kind."""
    return Manifest(each.value, each.place.source.name, each.place.line)

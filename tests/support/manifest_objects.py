"""Resources and Secrets made in Python, and compiles of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from sluicegate.compile import Compilation, Settings, compile_all
from sluicegate.config import Config, Deployment, Entry, Pool
from sluicegate.resources import Inputs, Resource, ResourceRef, Secret, SecretRef

NOW = 1_800_000_000
API_VERSION = "sluicegate.dev/v1alpha1"
_encoder = msgspec.json.Encoder(order="sorted")


def resource(kind: str, name: str, spec: object, namespace: str = "default") -> Resource:
    manifest = {
        "apiVersion": API_VERSION,
        "kind": kind,
        "metadata": {"name": name, "namespace": namespace},
        "spec": spec,
    }
    return Resource(ResourceRef(kind, namespace, name), _encoder.encode(manifest))


def deployment(
    name: str, namespace: str = "default", spec: Mapping[str, Any] | None = None
) -> Resource:
    """An echo deployment, unless `spec` names another provider."""
    return resource("ModelDeployment", name, {"provider": {"echo": {}}, **(spec or {})}, namespace)


def openai(
    name: str, namespace: str = "default", spec: Mapping[str, Any] | None = None
) -> Resource:
    return deployment(
        name, namespace, {"provider": {"openai": {"model": "gpt-4.1"}}, **(spec or {})}
    )


def api_key(name: str, spec: Mapping[str, Any], namespace: str = "default") -> Resource:
    return resource("ApiKey", name, spec, namespace)


def client(
    name: str, namespace: str = "default", spec: Mapping[str, Any] | None = None
) -> Resource:
    """A client key; its hash is made from its name unless `spec` has another source."""
    source = (
        {}
        if spec and {"secretRef", "generate", "keyHash"} & spec.keys()
        else {"keyHash": hash_of(name)}
    )
    return api_key(name, {"client": {**source, **(spec or {})}}, namespace)


def hash_of(text: str) -> str:
    return "sha256:" + text.encode().hex().rjust(64, "0")


def secret(
    name: str,
    values: Mapping[str, str],
    namespace: str = "default",
    *,
    labelled: bool = True,
    minted_for: str | None = None,
) -> Secret:
    return Secret(namespace, name, values, labelled=labelled, minted_for=minted_for)


def inputs(objects: Iterable[Resource | Secret]) -> Inputs:
    resources: dict[ResourceRef, Resource] = {}
    secrets: dict[SecretRef, Secret] = {}
    for each in objects:
        if isinstance(each, Resource):
            resources[each.ref] = each
        else:
            secrets[each.ref] = each
    return Inputs(resources, secrets)


def compiled(
    *objects: Resource | Secret,
    previous: Compilation | Config | None = None,
    settings: Settings | None = None,
    now: float = NOW,
) -> Compilation:
    return compile_all(inputs(objects), previous, settings or Settings.folder(), now)


def entry(compilation: Compilation, entry_id: str) -> Entry | None:
    return compilation.config.entries.get(entry_id)


def deployment_entry(compilation: Compilation, name: str, namespace: str = "default") -> Deployment:
    found = compilation.config.entries[f"md/{namespace}/{name}"]
    assert isinstance(found, Deployment)
    return found


def pool_entry(compilation: Compilation, model: str, namespace: str = "default") -> Pool:
    found = compilation.config.entries[f"pool/{namespace}/{model}"]
    assert isinstance(found, Pool)
    return found


def condition(
    compilation: Compilation, each: Resource, kind: str = "Accepted"
) -> tuple[str, str] | None:
    """(status, reason) of one of an object's conditions, None where it is not there."""
    return next(
        (
            (found.status, found.reason)
            for found in compilation.conditions(each.ref)
            if found.type == kind
        ),
        None,
    )

"""Fields that are checked and compiled, and have no effect yet: nobody is to rely on them."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

from sluicegate.compile.findings import Finding
from sluicegate.resources.api_key import ClientKey
from sluicegate.resources.model_deployment import ModelDeploymentSpec
from sluicegate.resources.yaml_documents import FieldPath

NOT_ENFORCED = "NotEnforced"


def idle_deployment_fields(spec: ModelDeploymentSpec) -> tuple[Finding, ...]:
    """One warning for each field of a deployment that is set and has no effect."""
    return tuple(_warning(words, path) for words, path in _of_deployment(spec))


def idle_client_fields(spec: ClientKey) -> tuple[Finding, ...]:
    """One warning for each field of a client key that is set and has no effect."""
    fields: tuple[tuple[str, str, object], ...] = (
        ("limits are", "limits", spec.limits),
        ("budgets are", "budget", spec.budget),
        ("limits, budgets and names of end users are", "endUsers", spec.end_users),
    )
    return tuple(
        _warning(words, ("spec", "client", name))
        for words, name, value in fields
        if value is not None
    )


def _of_deployment(spec: ModelDeploymentSpec) -> Iterator[tuple[str, FieldPath]]:
    if spec.limits is not None:
        yield "limits are", ("spec", "limits")
    if spec.allowed_namespaces.per_namespace is not None:
        path = ("spec", "allowedNamespaces", "perNamespace")
        yield "limits and budgets of other namespaces are", path


@lru_cache
def _warning(words: str, path: FieldPath) -> Finding:
    message = f"{words} not enforced by this version: the field is checked, and has no effect yet"
    return Finding(None, NOT_ENFORCED, message, path, "warning")

"""The two CustomResourceDefinitions, as values and as YAML."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple, TypeAlias, cast

import yaml

from sluicegate.crds.schema import Schema, structural
from sluicegate.crds.status import (
    PENDING,
    ApiKeyStatus,
    CommonStatus,
    ModelDeploymentStatus,
)
from sluicegate.resources.api_key import ApiKey
from sluicegate.resources.manifest import API_VERSION, GROUP
from sluicegate.resources.model_deployment import ModelDeployment

Column: TypeAlias = Mapping[str, Any]
_READY = '.status.conditions[?(@.type=="Ready")]'
_HEADER = """\
# Made by `sluicegate crds` from the models in gateway/sluicegate/resources; do not edit.
# Install: kubectl apply -f crds/
"""


class _Kind(NamedTuple):
    plural: str
    short: str
    model: type[ModelDeployment | ApiKey]
    status: type[CommonStatus]
    columns: tuple[Column, ...]
    selectable: tuple[str, ...] = ()


def _column(name: str, path: str, says: str, *, kind: str = "string", wide: bool = False) -> Column:
    return {
        "name": name,
        "type": kind,
        "description": says,
        "jsonPath": path,
        **({"priority": 1} if wide else {}),
    }


_IS_READY = _column("Ready", f"{_READY}.status", "Whether every gateway serves it as it is now.")
_AGE = _column("Age", ".metadata.creationTimestamp", "Time since it was created.", kind="date")
_WIDE = (
    _column("Reason", f"{_READY}.reason", "Why it is ready or not, in one word.", wide=True),
    _column("Revision", ".status.revision", "Hash of what the gateways serve.", wide=True),
)
_KINDS: Mapping[str, _Kind] = MappingProxyType(
    {
        "ModelDeployment": _Kind(
            "modeldeployments",
            "md",
            ModelDeployment,
            ModelDeploymentStatus,
            (
                _column("Model", ".status.model", "Public name that clients send."),
                _column("Provider", ".status.provider", "Which provider answers."),
                _IS_READY,
                _column("Gateways", ".status.gateways.summary", "Gateways that serve it, of all."),
                _AGE,
                *_WIDE,
            ),
            (".spec.model",),
        ),
        "ApiKey": _Kind(
            "apikeys",
            "ak",
            ApiKey,
            ApiKeyStatus,
            (
                _column("Type", ".status.type", "Upstream or Client."),
                _IS_READY,
                _column("Spend", ".status.spend.amountUSD", "US dollars spent in this period."),
                _column("Budget", ".spec.client.budget.amountUSD", "US dollars that may be spent."),
                _column("Expires", ".spec.client.expiresAt", "When the key ends."),
                _AGE,
                *_WIDE,
            ),
        ),
    }
)
# File name to kind.
FILES: Mapping[str, str] = MappingProxyType(
    {f"{kind.plural}.yaml": name for name, kind in _KINDS.items()}
)


def definition(name: str) -> Schema:
    """The CustomResourceDefinition of a kind."""
    kind = _KINDS[name]
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{kind.plural}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "names": {
                "kind": name,
                "listKind": f"{name}List",
                "plural": kind.plural,
                "singular": name.lower(),
                "shortNames": [kind.short],
                "categories": ["sluicegate"],
            },
            "scope": "Namespaced",
            "versions": [
                {
                    "name": API_VERSION.partition("/")[2],
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    "additionalPrinterColumns": list(kind.columns),
                    **(
                        {"selectableFields": [{"jsonPath": path} for path in kind.selectable]}
                        if kind.selectable
                        else {}
                    ),
                    "schema": {"openAPIV3Schema": _schema(kind)},
                }
            ],
        },
    }


def _schema(kind: _Kind) -> Schema:
    schema = structural(kind.model)
    properties = cast("Schema", schema["properties"])
    # The API server judges these three by itself, and takes no more than their type.
    for name, says in (
        ("apiVersion", "Version of the schema: sluicegate.dev/v1alpha1."),
        ("kind", f"Kind of the object: {kind.model.__name__}."),
    ):
        properties[name] = {"description": says, "type": "string"}
    properties["metadata"] = {"type": "object"}
    status = structural(kind.status)
    status["properties"]["conditions"]["default"] = [dict(PENDING)]
    status["default"] = {"conditions": [dict(PENDING)]}
    properties["status"] = status
    order = ("apiVersion", "kind", "metadata", "spec", "status")
    schema["properties"] = {name: properties[name] for name in order}
    schema["required"] = ["spec"]
    return schema


def manifest(name: str) -> str:
    """The CustomResourceDefinition of a kind as YAML; the same text for the same models."""
    body = yaml.dump(
        definition(name),
        Dumper=_Dumper,
        sort_keys=False,
        width=100,
        allow_unicode=True,
        default_flow_style=False,
    )
    return _HEADER + body


class _Dumper(yaml.SafeDumper):
    """Without anchors, and with long sentences folded as people would."""

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002 -- PyYAML's signature
        return True

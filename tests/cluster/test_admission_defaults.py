"""What the API server makes of an object: defaults, a first status, columns, explanations."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, TypeAlias

import msgspec
import pytest

from admission import admission
from control_plane import ControlPlane
from manifest_mutations import mutation, valid_objects
from manifest_objects import compiled
from sluicegate.cluster import API_KEYS, MODEL_DEPLOYMENTS, ClusterClient, ResourceType
from sluicegate.config import Entry
from sluicegate.resources import Invalid, Resource, ResourceRef, load_text, validate

Object: TypeAlias = dict[str, Any]
TYPES: Mapping[str, ResourceType] = {"ModelDeployment": MODEL_DEPLOYMENTS, "ApiKey": API_KEYS}
pytestmark = pytest.mark.usefixtures("crds")


def from_folder(manifest: Object) -> Resource:
    loaded = load_text("manifest.yaml", json.dumps(manifest, ensure_ascii=False))
    (resource,) = loaded.resources.values()
    return resource


def from_server(stored: Object) -> Resource:
    metadata = stored["metadata"]
    ref = ResourceRef(stored["kind"], metadata["namespace"], metadata["name"])
    return Resource(ref, msgspec.json.encode(stored))


def meaning(resource: Resource) -> tuple[Mapping[str, Entry], Object]:
    """What the gateways get, and every field with its default."""
    found = validate(resource)
    assert not isinstance(found, Invalid)
    return compiled(resource).config.entries, found.spec.model_dump()


async def test_an_object_read_back_compiles_to_the_same(
    admin: ClusterClient, namespace: str
) -> None:
    """Created, stored with its defaults, read: the gateway's entry is the folder's."""
    for index, manifest in enumerate(valid_objects()):
        manifest["metadata"] |= {"name": f"x-{index}", "namespace": namespace}
        kind = TYPES[manifest["kind"]]
        await admin.create(kind, manifest, Object, namespace=namespace)
        stored = await admin.get(kind, f"x-{index}", Object, namespace=namespace)
        assert meaning(from_server(stored)) == meaning(from_folder(manifest)), manifest


async def test_so_does_whatever_is_admitted(control_plane: ControlPlane) -> None:
    objects = [mutation(number) for number in range(10_000, 10_400)]
    async with admission(control_plane.admin_kubeconfig) as judge:
        verdicts = await judge.verdicts(objects)
    compared = 0
    for manifest, verdict in zip(objects, verdicts, strict=True):
        if verdict.taken:
            assert meaning(from_server(verdict.stored)) == meaning(from_folder(manifest)), manifest
            compared += 1
    assert compared > 40


async def created(admin: ClusterClient, namespace: str, kind: str, spec: object) -> Object:
    manifest = {
        "apiVersion": "sluicegate.dev/v1alpha1",
        "kind": kind,
        "metadata": {"name": "x"},
        "spec": spec,
    }
    await admin.create(TYPES[kind], manifest, Object, namespace=namespace)
    return await admin.get(TYPES[kind], "x", Object, namespace=namespace)


async def test_a_deployment_shows_its_defaults(admin: ClusterClient, namespace: str) -> None:
    spec: Object = {"provider": {"echo": {}}, "pool": {"strategy": "LeastBusy"}}
    stored = await created(admin, namespace, "ModelDeployment", spec)
    assert stored["spec"] == {
        "provider": {"echo": {"delay": "0s", "chunkDelay": "0s"}},
        "weight": 1,
        "priority": 0,
        "timeouts": {"connect": "5s", "firstByte": "300s", "idle": "120s", "total": "30m"},
        "retry": {"attempts": 2, "backoff": "200ms"},
        "cooldown": {"failures": 3, "duration": "5s"},
        "unsupportedParameters": "Reject",
        "unsupportedTools": "Drop",
        "allowedNamespaces": {"from": "Same"},
        "pool": {"strategy": "LeastBusy"},
        "suspended": False,
    }


async def test_a_key_shows_its_defaults(admin: ClusterClient, namespace: str) -> None:
    spec: Object = {"client": {"generate": {"secretName": "s"}}}
    stored = await created(admin, namespace, "ApiKey", spec)
    assert stored["spec"]["client"] == {
        "generate": {"secretName": "s"},
        "models": ["*"],
        "revoked": False,
    }


async def test_a_null_that_takes_a_parameter_away_is_kept(
    admin: ClusterClient, namespace: str
) -> None:
    spec: Object = {"provider": {"echo": {}}, "parameters": {"overrides": {"user": None}}}
    stored = await created(admin, namespace, "ModelDeployment", spec)
    assert stored["spec"]["parameters"] == {"overrides": {"user": None}}
    spec["parameters"]["overrides"]["top_p"] = None
    stored = await applied(admin, namespace, "ModelDeployment", spec)
    assert stored["parameters"] == {"overrides": {"user": None, "top_p": None}}


async def applied(admin: ClusterClient, namespace: str, kind: str, spec: object) -> Object:
    manifest = {
        "apiVersion": "sluicegate.dev/v1alpha1",
        "kind": kind,
        "metadata": {"name": "x"},
        "spec": spec,
    }
    stored = await admin.apply(
        TYPES[kind], "x", manifest, Object, namespace=namespace, manager="git"
    )
    return stored["spec"]


async def test_what_an_apply_leaves_out_is_gone(admin: ClusterClient, namespace: str) -> None:
    """Defaults belong to nobody: they neither hold a union's old member nor a limit in place."""
    budget = {"amountUSD": "5", "period": "1d"}
    specs: list[tuple[str, Object]] = [
        (
            "ModelDeployment",
            {
                "provider": {"openai": {"model": "a"}},
                "timeouts": {"connect": "9s"},
                "allowedNamespaces": {"from": "Names", "names": ["a"]},
            },
        ),
        ("ModelDeployment", {"provider": {"anthropic": {"model": "a"}}}),
        ("ModelDeployment", {"provider": {"echo": {}}}),
        (
            "ApiKey",
            {"client": {"generate": {"secretName": "s"}, "endUsers": {"budget": budget}}},
        ),
        ("ApiKey", {"client": {"keyHash": "sha256:" + "0" * 64}}),
        ("ApiKey", {"upstream": {"secretRef": {"name": "a", "key": "b"}}}),
    ]
    for kind, spec in specs:
        stored = await applied(admin, namespace, kind, spec)
        for union in ("provider", "upstream", "client"):
            assert (
                stored.get(union, {}).keys() - {"models", "revoked"} == spec.get(union, {}).keys()
            )
    last = await admin.get(MODEL_DEPLOYMENTS, "x", Object, namespace=namespace)
    assert last["spec"]["timeouts"]["connect"] == "5s"
    assert last["spec"]["allowedNamespaces"] == {"from": "Same"}


@pytest.mark.parametrize(
    ("kind", "spec"),
    [
        ("ModelDeployment", {"provider": {"echo": {}}}),
        ("ApiKey", {"client": {"generate": {"secretName": "s"}}}),
    ],
)
async def test_a_new_object_is_pending_until_the_operator_speaks(
    admin: ClusterClient, namespace: str, kind: str, spec: object
) -> None:
    stored = await created(admin, namespace, kind, spec)
    (pending,) = stored["status"]["conditions"]
    assert (pending["type"], pending["status"], pending["reason"]) == (
        "Ready",
        "Unknown",
        "Pending",
    )

    ready = {
        "type": "Ready",
        "status": "True",
        "reason": "Ready",
        "message": "Every gateway serves it.",
        "observedGeneration": 1,
        "lastTransitionTime": "2027-01-01T00:00:00Z",
    }
    accepted = {**ready, "type": "Accepted", "reason": "Valid"}
    status = {
        "observedGeneration": 1,
        "conditions": [accepted, ready],
        "revision": "0123456789ab",
        "gateways": {"desired": 3, "updated": 2, "summary": "2/3"},
        "controller": "sluicegate/sluicegate",
    }
    manifest = {"apiVersion": stored["apiVersion"], "kind": kind, "status": status}
    await admin.apply(
        TYPES[kind], "x", manifest, Object, namespace=namespace, manager="o", subresource="status"
    )
    stored = await admin.get(TYPES[kind], "x", Object, namespace=namespace)
    found = {each["type"]: each for each in stored["status"].pop("conditions")}
    assert found == {"Ready": ready, "Accepted": accepted}, "by type: none is there twice"
    del status["conditions"]
    assert stored["status"] == status, "every field is in the schema"
    assert stored["metadata"]["generation"] == 1, "a status is no new spec"


async def raw(control_plane: ControlPlane, path: str, accept: str) -> Object:
    async with admission(control_plane.admin_kubeconfig) as judge:
        return await judge.read(path, accept)


async def test_kubectl_get_shows_the_columns(
    control_plane: ControlPlane, admin: ClusterClient, namespace: str
) -> None:
    spec = {
        "client": {
            "generate": {"secretName": "s"},
            "expiresAt": "2027-06-30T00:00:00Z",
            "budget": {"amountUSD": "50.00", "period": "Month"},
        }
    }
    await created(admin, namespace, "ApiKey", spec)
    table = await raw(
        control_plane,
        f"/apis/sluicegate.dev/v1alpha1/namespaces/{namespace}/apikeys",
        "application/json;as=Table;v=v1;g=meta.k8s.io",
    )
    names = [column["name"] for column in table["columnDefinitions"]]
    shown = dict(zip(names, table["rows"][0]["cells"], strict=True))
    assert shown.pop("Age")
    assert shown == {
        "Name": "x",
        "Type": None,
        "Ready": "Unknown",
        "Spend": None,
        "Budget": "50.00",
        "Expires": "2027-06-30T00:00:00Z",
        "Reason": "Pending",
        "Revision": None,
    }


async def test_kubectl_explain_has_a_sentence_for_each_field(control_plane: ControlPlane) -> None:
    document = await raw(
        control_plane, "/openapi/v3/apis/sluicegate.dev/v1alpha1", "application/json"
    )
    schemas = document["components"]["schemas"]
    for kind in TYPES:
        spec = schemas[f"dev.sluicegate.v1alpha1.{kind}"]["properties"]["spec"]
        assert spec["description"]
        for name, field in spec["properties"].items():
            assert field["description"].endswith("."), name


async def test_short_names_and_category(control_plane: ControlPlane) -> None:
    found = await raw(control_plane, "/apis/sluicegate.dev/v1alpha1", "application/json")
    kinds = {each["name"]: each for each in found["resources"]}
    assert kinds["modeldeployments"]["shortNames"] == ["md"]
    assert kinds["apikeys"]["shortNames"] == ["ak"]
    for name in ("modeldeployments", "apikeys"):
        assert kinds[name]["categories"] == ["sluicegate"]
        assert f"{name}/status" in kinds

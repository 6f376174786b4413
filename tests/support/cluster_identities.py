"""Who speaks to the test control plane: manifests applied, pods made, tokens asked for."""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import yaml

from control_plane import ROOT, ControlPlane, write_kubeconfig
from eventually import eventually
from sluicegate.cluster import (
    LEASES,
    PODS,
    SECRETS,
    Access,
    ClusterClient,
    Forbidden,
    Metadata,
    NotFound,
    ResourceType,
    Selection,
    Token,
)

SHIPPED = ROOT / "examples" / "cluster"

SERVICE_ACCOUNTS = ResourceType("", "v1", "ServiceAccount", "serviceaccounts")
NAMESPACES = ResourceType("", "v1", "Namespace", "namespaces")
CRDS = ResourceType(
    "apiextensions.k8s.io", "v1", "CustomResourceDefinition", "customresourcedefinitions"
)
# Kinds without a namespace, and plurals that are not the kind in lower case with an s.
CLUSTER_WIDE = frozenset(
    {
        "ClusterRole",
        "ClusterRoleBinding",
        "CustomResourceDefinition",
        "Namespace",
        "ValidatingAdmissionPolicy",
        "ValidatingAdmissionPolicyBinding",
    }
)
_PLURALS = {
    "Ingress": "ingresses",
    "NetworkPolicy": "networkpolicies",
    "ValidatingAdmissionPolicy": "validatingadmissionpolicies",
}


class _Token(msgspec.Struct):
    token: str

    def __repr__(self) -> str:
        return "_Token(…)"


class _TokenRequest(msgspec.Struct):
    status: _Token


class _Condition(msgspec.Struct):
    type: str
    status: str


class _Conditions(msgspec.Struct, frozen=True):
    conditions: tuple[_Condition, ...] | None = ()  # null at first


class _Crd(msgspec.Struct):
    status: _Conditions = _Conditions()


def documents(*sources: Path | str, replace: Mapping[str, str] | None = None) -> Iterator[Any]:
    """The YAML documents of files and texts; `replace` is applied to the text first."""
    for source in sources:
        text = source.read_text() if isinstance(source, Path) else source
        for old, new in (replace or {}).items():
            text = text.replace(old, new)
        yield from (document for document in yaml.safe_load_all(text) if document)


def type_of(document: Mapping[str, Any]) -> ResourceType:
    group, _, version = document["apiVersion"].rpartition("/")
    kind = document["kind"]
    return ResourceType(group, version, kind, _PLURALS.get(kind, f"{kind.lower()}s"))


async def apply_manifests(
    admin: ClusterClient,
    *sources: Path | str,
    namespace: str | None = None,
    replace: Mapping[str, str] | None = None,
) -> None:
    """Server-side apply of every document, in order; `namespace` is for those that name none.

    Returns when each CustomResourceDefinition among them is served.
    """
    for document in documents(*sources, replace=replace):
        resource, metadata = type_of(document), document["metadata"]
        place = None
        if resource.kind not in CLUSTER_WIDE:
            place = metadata.get("namespace") or namespace or "default"
        await admin.apply(
            resource, metadata["name"], document, Metadata, namespace=place, manager="tests"
        )
        if resource == CRDS:
            await _established(admin, metadata["name"])
            await _served(admin, document["spec"])


async def _established(admin: ClusterClient, name: str) -> None:
    async def is_so() -> bool:
        crd = await admin.get(CRDS, name, _Crd)
        return _Condition("Established", "True") in (crd.status.conditions or ())

    await eventually(is_so)


async def _served(admin: ClusterClient, spec: Mapping[str, Any]) -> None:
    """What answers for the kind hears of it a moment after it is established."""
    names, version = spec["names"], spec["versions"][0]["name"]
    kind = ResourceType(spec["group"], version, names["kind"], names["plural"])
    place = "default" if spec["scope"] == "Namespaced" else None
    await eventually(partial(may_list, admin, kind, place))


async def may_list(client: ClusterClient, kind: ResourceType, namespace: str | None) -> bool:
    """Whether the kind is served there, and to this client: roles are in force a moment later."""
    try:
        async for _ in client.pages(kind, Selection(namespace)):
            pass
    except (Forbidden, NotFound):
        return False
    return True


async def install(plane: ControlPlane, admin: ClusterClient, namespace: str) -> None:
    """What examples/cluster ships, in a namespace that is there already.

    So each test has an installation of its own: what is of no namespace gets the namespace into its
    name. Returns when the admission policies are in force.
    """
    moved = {
        "namespace: sluicegate\n": f"namespace: {namespace}\n",
        "system:serviceaccount:sluicegate:": f"system:serviceaccount:{namespace}:",
        "policyName: sluicegate-": f"policyName: {namespace}-",
    }
    paths = [SHIPPED / f"{name}.yaml" for name in ("operator", "gateway", "admission-policies")]
    for document in documents(*paths, replace=moved):
        resource, metadata = type_of(document), document["metadata"]
        if resource.kind in CLUSTER_WIDE:
            metadata["name"] = metadata["name"].replace("sluicegate", namespace, 1)
            if resource.kind == "ClusterRoleBinding":
                document["roleRef"]["name"] = metadata["name"]
        place = metadata.get("namespace")
        await admin.apply(
            resource, metadata["name"], document, Metadata, namespace=place, manager="tests"
        )
    for account, resource in (("sluicegate-gateway", LEASES), ("sluicegate-operator", SECRETS)):
        token = await service_account_token(admin, namespace, account)
        async with speaking_with(plane, token, namespace) as client:
            policed = partial(_is_policed, client, admin, resource, namespace)
            await eventually(policed)


async def _is_policed(
    client: ClusterClient, admin: ClusterClient, resource: ResourceType, namespace: str
) -> bool:
    """Whether the admission policy refuses by now what RBAC allows."""
    try:
        await client.create(
            resource, {"metadata": {"name": "nobodys"}}, Metadata, namespace=namespace
        )
    except Forbidden as refused:
        return "ValidatingAdmissionPolicy" in refused.message
    await admin.delete(resource, "nobodys", namespace=namespace)
    return False


def speaking_with(plane: ControlPlane, token: str, namespace: str) -> ClusterClient:
    """A client with this token, to be used as a context."""
    tls = ssl.create_default_context(cadata=plane.authority.decode())
    return ClusterClient(Access(plane.url, namespace, tls, token=Token(token)))


async def make_namespace(admin: ClusterClient, name: str) -> None:
    manifest = {"metadata": {"name": name}}
    await admin.create(NAMESPACES, manifest, Metadata)


async def make_service_account(admin: ClusterClient, namespace: str, name: str) -> None:
    await admin.create(
        SERVICE_ACCOUNTS, {"metadata": {"name": name}}, Metadata, namespace=namespace
    )


async def make_pod(
    admin: ClusterClient,
    namespace: str,
    name: str,
    *,
    service_account: str,
    labels: Mapping[str, str] | None = None,
) -> Metadata:
    """A Pod object; no kubelet runs it."""
    manifest = {
        "metadata": {"name": name, "labels": labels or {}},
        "spec": {
            "serviceAccountName": service_account,
            "containers": [{"name": "main", "image": "none.test/none"}],
        },
    }
    return await admin.create(PODS, manifest, Metadata, namespace=namespace)


async def service_account_token(
    admin: ClusterClient,
    namespace: str,
    service_account: str,
    *,
    pod: str | None = None,
    seconds: int = 3600,
) -> str:
    """What the kubelet would mount in that pod (TokenRequest); `seconds` is at least 600."""
    spec: dict[str, object] = {"expirationSeconds": seconds}
    if pod is not None:
        bound = await admin.get(PODS, pod, Metadata, namespace=namespace)
        spec["boundObjectRef"] = {
            "apiVersion": "v1",
            "kind": "Pod",
            "name": pod,
            "uid": bound.metadata.uid,
        }
    answer = await admin.create(
        SERVICE_ACCOUNTS,
        {"spec": spec},
        _TokenRequest,
        namespace=namespace,
        name=service_account,
        subresource="token",
    )
    return answer.status.token


async def service_account_kubeconfig(
    plane: ControlPlane,
    admin: ClusterClient,
    namespace: str,
    service_account: str,
    *,
    folder: Path,
    pod: str | None = None,
    seconds: int = 3600,
) -> Path:
    """A kubeconfig that speaks as the ServiceAccount, as from within `pod` if one is given."""
    token = await service_account_token(admin, namespace, service_account, pod=pod, seconds=seconds)
    path = folder / f"{pod or service_account}.kubeconfig"
    write_kubeconfig(path, plane.url, plane.authority, {"token": token}, namespace=namespace)
    return path

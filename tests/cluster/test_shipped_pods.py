"""The pods of examples/cluster, as the API server judges them."""

import asyncio

import pytest

from cluster_identities import (
    NAMESPACES,
    SHIPPED,
    documents,
    make_namespace,
    make_pod,
    make_service_account,
)
from control_plane import ControlPlane
from eventually import eventually
from sluicegate.cluster import (
    LEASES,
    PODS,
    ClusterClient,
    Lease,
    Metadata,
    NotFound,
    ObjectMeta,
    OwnerReference,
    load_access,
)


async def test_the_namespace_admits_only_restricted_pods() -> None:
    (namespace,) = documents(SHIPPED / "namespace.yaml")
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


@pytest.mark.parametrize("name", ["operator", "gateway"])
async def test_shipped_pods_are_restricted(admin: ClusterClient, installed: str, name: str) -> None:
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    await admin.patch(NAMESPACES, installed, {"metadata": {"labels": labels}}, Metadata)
    (deployment,) = (
        document
        for document in documents(SHIPPED / f"{name}.yaml")
        if document["kind"] == "Deployment"
    )
    pod = deployment["spec"]["template"]
    pod["metadata"]["name"] = name
    made = await admin.create(PODS, pod, Metadata, namespace=installed)
    assert made.metadata.uid


async def test_a_lease_is_collected_with_its_pod(own_control_plane: ControlPlane) -> None:
    plane = own_control_plane
    environ = {"KUBECONFIG": str(plane.admin_kubeconfig)}
    access = await asyncio.to_thread(load_access, environ)
    async with ClusterClient(access) as admin:
        await make_namespace(admin, "ns")
        await make_service_account(admin, "ns", "any")
        pod = await make_pod(admin, "ns", "gateway-0", service_account="any")
        owner = OwnerReference("v1", "Pod", "gateway-0", pod.metadata.uid)
        metadata = ObjectMeta(name="gateway-0", owner_references=(owner,))
        await admin.create(LEASES, Lease(metadata), Lease, namespace="ns")

        async def is_gone() -> bool:
            try:
                await admin.get(LEASES, "gateway-0", Metadata, namespace="ns")
            except NotFound:
                return True
            return False

        plane.start_controller_manager()
        assert not await is_gone()
        await admin.delete(PODS, "gateway-0", namespace="ns")
        await eventually(is_gone)

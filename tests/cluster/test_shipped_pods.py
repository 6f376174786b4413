"""The pods of examples/cluster, as the API server judges them."""

import pytest

from cluster_identities import NAMESPACES, SHIPPED, documents
from sluicegate.cluster import PODS, ClusterClient, Metadata


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

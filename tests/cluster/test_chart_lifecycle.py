"""The life of a release among controllers: `helm --wait`, from the chart before to nothing left.

kwok acts for the nodes, so every pod seems to run and gets ready.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from control_plane import ControlPlane
from helm_chart import CHART, VALUES
from helm_release import NAMESPACE, Helm, first_model, installed_objects, missing, names
from sluicegate.cluster import ClusterClient, load_access

PREVIOUS = next(Path(__file__).parent.glob("charts/*.tgz"))
SEVERAL = VALUES["several"]
NODE = """\
apiVersion: v1
kind: Node
metadata:
  name: {name}
  annotations: {{kwok.x-k8s.io/node: fake}}
  labels: {{kubernetes.io/hostname: {name}, kubernetes.io/os: linux, kubernetes.io/arch: amd64}}
"""


@pytest.fixture
async def helm(own_control_plane: ControlPlane, _every_program: None, tmp_path: Path) -> Helm:
    """In a cluster with controllers and three nodes that only seem to run pods."""
    for start in ("start_controller_manager", "start_scheduler", "start_kwok"):
        getattr(own_control_plane, start)()
    (tmp_path / "nodes.yaml").write_text("---\n".join(NODE.format(name=name) for name in "abc"))
    found = Helm(own_control_plane, tmp_path / "helm")
    await found.shell(f"kubectl create -f {tmp_path}/nodes.yaml")
    await found.shell("kubectl wait --for=condition=Ready --timeout=60s node --all")
    return found


@pytest.fixture
async def admin(own_control_plane: ControlPlane) -> AsyncIterator[ClusterClient]:
    environ = {"KUBECONFIG": str(own_control_plane.admin_kubeconfig)}
    async with ClusterClient(await asyncio.to_thread(load_access, environ)) as client:
        yield client


def objects_with(values: Path | None) -> list[Any]:
    return list(installed_objects(values))


async def gateways(helm: Helm) -> list[dict[str, Any]]:
    """Those that are not ending."""
    told = await helm.shell(
        f"kubectl get pods -n {NAMESPACE} -l app.kubernetes.io/component=gateway -o json"
    )
    pods = json.loads(told)["items"]
    return [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]


@pytest.mark.heavy
@pytest.mark.timeout(400)
async def test_from_the_previous_chart_to_nothing_left(
    helm: Helm, admin: ClusterClient, tmp_path: Path
) -> None:
    assert SEVERAL is not None
    full = await asyncio.to_thread(objects_with, SEVERAL)
    plain = await asyncio.to_thread(objects_with, None)
    told = await helm("install", "sluicegate", PREVIOUS, "--create-namespace", "--wait")
    (tmp_path / "first.yaml").write_text(first_model(told))
    await helm.shell(f"kubectl apply -f {tmp_path}/first.yaml")
    before = await helm.shell("kubectl get md,ak -o name")
    assert before.split() == ["modeldeployment.sluicegate.dev/echo", "apikey.sluicegate.dev/me"]
    uids = "kubectl get md,ak -o jsonpath='{.items[*].metadata.uid}'"
    known = await helm.shell(uids)

    await helm("upgrade", "sluicegate", CHART, "--wait", "--values", SEVERAL)
    assert await missing(admin, full) == set()
    await helm.shell(
        f"kubectl wait -n {NAMESPACE} deployment/sluicegate-gateway --timeout=60s"
        " --for=jsonpath='{.status.readyReplicas}'=3"  # the autoscaler's fewest
    )
    found = await gateways(helm)
    assert {pod["spec"]["nodeName"] for pod in found} == {"a", "b", "c"}
    allowed = await helm.shell(
        f"kubectl get pdb -n {NAMESPACE} sluicegate-gateway"
        " -o jsonpath='{.status.expectedPods} {.status.disruptionsAllowed}'"
    )
    assert allowed == "3 1"
    assert await helm.shell(uids) == known

    await helm("rollback", "sluicegate", "1", "--wait")
    assert await missing(admin, full) == names(full) - names(plain)
    assert await helm.shell(uids) == known

    await helm("uninstall", "sluicegate", "--wait")
    kept = [each for each in plain if each["kind"] == "CustomResourceDefinition"]
    assert await missing(admin, plain) == names(plain) - names(kept)
    assert await helm.shell(uids) == known
    left = await helm.shell(
        "kubectl get -A deploy,rs,pod,svc,ep,pdb,hpa,netpol,ing,cm,role,rolebinding,clusterrole,"
        "clusterrolebinding,validatingadmissionpolicy,validatingadmissionpolicybinding,lease,sa"
        " -l app.kubernetes.io/name=sluicegate -o name"
    )
    assert left == ""
    await helm.shell(f"kubectl delete namespace {NAMESPACE} --timeout=60s")
    await helm.shell(
        "kubectl delete crd modeldeployments.sluicegate.dev apikeys.sluicegate.dev --timeout=60s"
    )


@pytest.mark.heavy
@pytest.mark.timeout(300)
async def test_a_namespace_with_a_release_and_objects_can_be_deleted(
    helm: Helm, tmp_path: Path
) -> None:
    told = await helm("install", "sluicegate", CHART, "--create-namespace", "--wait")
    (tmp_path / "first.yaml").write_text(first_model(told))
    await helm.shell(f"kubectl apply -n {NAMESPACE} -f {tmp_path}/first.yaml")
    await helm.shell(f"kubectl delete namespace {NAMESPACE} --timeout=60s")
    # Once more: what was cluster-wide is still the release's.
    await helm("install", "sluicegate", CHART, "--create-namespace", "--wait")


@pytest.mark.heavy
@pytest.mark.timeout(400)
async def test_from_every_values_file_to_the_next_and_back(
    helm: Helm, admin: ClusterClient, foreign_crds: Path
) -> None:
    await helm.shell(f"kubectl create -f {foreign_crds}")
    for name in ("one", "another"):
        await helm.make_disk(name)
    await helm.shell("kubectl create namespace team-a && kubectl create namespace team-b")
    await helm("install", "sluicegate", CHART, "--create-namespace", "--wait")
    for values in (*VALUES.values(), None):
        options = ("--values", values) if values is not None else ()
        await helm("upgrade", "sluicegate", CHART, "--wait", *options)
        expected = await asyncio.to_thread(objects_with, values)
        assert await missing(admin, expected) == set()
        await helm.shell(
            f"kubectl wait -n {NAMESPACE} --for=condition=Available --timeout=60s deployment --all"
        )
        workloads = await helm.shell(f"kubectl get deploy,sts -n {NAMESPACE} -o name")
        kinds = {"Deployment", "StatefulSet"}
        assert len(workloads.split()) == sum(each["kind"] in kinds for each in expected)
    await helm("rollback", "sluicegate", "2", "--wait")
    await helm("uninstall", "sluicegate", "--wait")
    await helm.shell(f"kubectl delete namespace {NAMESPACE} --timeout=60s")

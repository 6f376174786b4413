"""Two releases in one cluster: kept apart they do not touch each other, else they say so."""

from pathlib import Path

import pytest

from eventually import eventually
from helm_chart import CHART
from helm_release import NAMESPACE, Helm
from pod_process import Object
from released_cluster import ReleasedCluster
from sluicegate.cluster import MODEL_DEPLOYMENTS

OTHER = "others"
# Operators alone decide here.
SETTINGS = ("--wait", "--create-namespace", "--set", "gateway.replicas=0")
SECOND = (*SETTINGS, "--set", "crds.install=false")
MODELS = """\
apiVersion: sluicegate.dev/v1alpha1
kind: ModelDeployment
metadata: {name: a}
spec: {provider: {echo: {}}}
---
apiVersion: sluicegate.dev/v1alpha1
kind: ModelDeployment
metadata: {name: b, labels: {tier: second}}
spec: {provider: {echo: {}}}
"""


@pytest.mark.heavy
@pytest.mark.timeout(300)
async def test_two_releases_are_kept_apart_or_complain(
    released: ReleasedCluster, tmp_path: Path
) -> None:
    first = released.helm
    second = Helm(released.plane, tmp_path / "second", OTHER)
    await first("install", "sluicegate", CHART, *SETTINGS, "--set", "selector=tier!=second")
    refused = await second.tried("install", "sluicegate", CHART, *SECOND)
    assert refused.returncode != 0
    assert 'ClusterRole "sluicegate-operator"' in refused.stderr
    assert f'must equal "{OTHER}": current value is "{NAMESPACE}"' in refused.stderr

    await second("install", "second", CHART, *SECOND, "--set", "selector=tier=second")
    (tmp_path / "models.yaml").write_text(MODELS)
    await first.shell(f"kubectl apply -f {tmp_path}/models.yaml")
    expected = {"a": f"{NAMESPACE}/sluicegate", "b": f"{OTHER}/second-sluicegate"}

    async def each_has_its_own() -> bool:
        found = {name: await written_by(released, name) for name in expected}
        return found == expected

    await eventually(each_has_its_own)
    assert await complaints(first) == ""

    await second("upgrade", "second", CHART, *SECOND)

    async def somebody_complains() -> bool:
        return "give them different namespaces or selectors" in await complaints(first)

    await eventually(somebody_complains)


async def written_by(released: ReleasedCluster, name: str) -> str:
    found = await released.admin.get(MODEL_DEPLOYMENTS, name, Object, namespace="default")
    return found.get("status", {}).get("controller", "")


async def complaints(helm: Helm) -> str:
    return await helm.shell(
        "kubectl get events.events.k8s.io -A --field-selector=reason=ControllerOverlap"
        " -o jsonpath='{.items[*].note}'"
    )

"""What the documentation says to type in a cluster, typed at a real API server."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from cluster_identities import make_namespace
from control_plane import ROOT, ControlPlane, kubectl_program
from documented import Command, Step, paired
from documented_scenes import IN_CLUSTER
from documented_stage import Stage, stage
from helm_chart import helm_program
from operated_cluster import Object, OperatedCluster, is_ready, reason
from sluicegate.cluster import API_KEYS, MODEL_DEPLOYMENTS, ClusterClient, Metadata, load_access

TEAM = "team-a"
PAGE = "docs/operations.md"
CHART = "helm/sluicegate --namespace sluicegate --set image.repository=registry.example/sluicegate"


@pytest.fixture
async def made(own_control_plane: ControlPlane, tmp_path: Path) -> AsyncIterator[Stage]:
    """An empty cluster, seen by its administrator from the namespace `team-a`."""
    config = json.loads(own_control_plane.admin_kubeconfig.read_text())
    config["contexts"][0]["context"]["namespace"] = TEAM
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(json.dumps(config))
    programs = tmp_path / "programs"
    programs.mkdir()
    for program in (kubectl_program(), helm_program()):
        (programs / program.name).symlink_to(program)
    plugin = programs / "kubectl-sluicegate"
    code = "from sluicegate.cli import kubectl_plugin\nkubectl_plugin()\n"
    plugin.write_text(f"#!{sys.executable}\n{code}")
    plugin.chmod(0o755)
    environ = {"KUBECONFIG": str(kubeconfig), "PYTHONPATH": str(ROOT / "gateway")}
    async with stage(tmp_path, environ, programs, Path(sys.prefix) / "bin") as ready:
        yield ready


@pytest.fixture
async def anyone(own_control_plane: ControlPlane) -> AsyncIterator[ClusterClient]:
    environ = {"KUBECONFIG": str(own_control_plane.admin_kubeconfig)}
    async with ClusterClient(await asyncio.to_thread(load_access, environ)) as client:
        yield client


async def types(made: Stage, text: str, prints: str) -> None:
    """One of those that the running text has (MENTIONED of documented_scenes.py)."""
    await made.perform(Command("", 0, "sh", text), Step(text, prints=prints))


async def performs(made: Stage, page: str) -> None:
    for command, step in paired(page, IN_CLUSTER[page]):
        await made.perform(command, step)


def _served_by_three(found: Object) -> bool:
    return is_ready(found) and found["status"]["gateways"]["summary"] == "3/3"


async def test_the_pages_of_a_cluster(
    made: Stage, own_control_plane: ControlPlane, anyone: ClusterClient, tmp_path: Path
) -> None:
    nothing = Step("kubectl sluicegate status", code=1, prints="does not have the kinds")
    await made.perform(Command("", 0, "sh", nothing.starts), nothing)
    for page in ("helm/sluicegate/README.md", "docs/helm.md"):
        await performs(made, page)
        await types(made, "helm uninstall sluicegate -n sluicegate", "uninstalled")
    crds = "kubectl delete crd modeldeployments.sluicegate.dev apikeys.sluicegate.dev"
    await types(made, crds, '"apikeys.sluicegate.dev" deleted')
    await types(made, "kubectl apply -f crds/", "modeldeployments.sluicegate.dev created")
    await types(made, f"helm install --take-ownership sluicegate {CHART}", "STATUS: deployed")
    await types(made, "helm uninstall sluicegate -n sluicegate", "uninstalled")

    await make_namespace(anyone, TEAM)
    for page_does in [each for each, _ in paired(PAGE, IN_CLUSTER[PAGE]) if "apply" in each.text]:
        assert (await made.run(page_does.text))[0] == 0
    async with AsyncExitStack() as stack:
        home = OperatedCluster(own_control_plane, anyone, "sluicegate", tmp_path, stack)
        await home.start_gateways(3)
        await home.start_operator(f"--watch-namespace={TEAM}")
        team = OperatedCluster(own_control_plane, anyone, TEAM, tmp_path, stack)
        await team.secret("anthropic", key="sk-of-the-team")
        credentials = {"secretRef": {"name": "anthropic", "key": "key"}}
        claude = {"anthropic": {"model": "claude-sonnet-4-5"}}
        await team.deployment("sonnet", provider=claude, credentials=credentials)
        await team.key("app", secretRef={"name": "app-key", "key": "key"})
        await team.until(MODEL_DEPLOYMENTS, "sonnet", _served_by_three)
        await team.until(API_KEYS, "app", lambda found: reason(found) == "SecretNotFound")
        await performs(made, PAGE)
        await types(made, "kubectl explain md.spec", "FIELDS:")
        await types(made, "kubectl explain ak.spec", "FIELDS:")

        await types(made, "kubectl get md,ak -A -o yaml", "kind: ApiKey")
        await types(made, "kubectl get md", "sonnet")
        await types(made, "kubectl get modeldeployments", "sonnet")
        await types(made, "kubectl get ak", "app")
        await types(made, "kubectl get apikeys", "app")
        index = (
            "kubectl get secret -n sluicegate sluicegate -o jsonpath='{.data.index}' | base64 -d"
        )
        await types(made, index, '"sequence":')

        await team.key("team-a", generate={"secretName": "team-a"}, budget=_budget())
        await _spend(anyone, "12.345")
        await performs(made, "docs/limits.md")
        await team.key_ready("team-a")
        minted = "kubectl get secret team-a -o jsonpath='{.data.key}' | base64 -d"
        await types(made, minted, "sk-sg-")
    ours = "kubectl delete secret -n sluicegate -l app.kubernetes.io/managed-by=sluicegate"
    await types(made, ours, '"sluicegate" deleted')


def _budget() -> dict[str, str]:
    return {"amountUSD": "50.00", "period": "Month"}


async def _spend(admin: ClusterClient, amount: str) -> None:
    """As an operator with a shared store writes it."""
    spend = {
        "amountUSD": amount,
        "observedAt": "2026-11-21T12:00:00Z",
        "periodStart": "2026-11-01T00:00:00Z",
    }
    status = {"status": {"spend": spend}}
    await admin.patch(API_KEYS, "team-a", status, Metadata, namespace=TEAM, subresource="status")

"""What Git says and what the cluster holds stay one, whoever applies it: no drift.

Argo CD and Flux apply on the server's side, each under its own name, and look for drift by applying
again. The operator writes statuses meanwhile.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import time
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple, cast

import pytest
import yaml
from click.testing import CliRunner

from cluster_identities import CLUSTER_WIDE, documents, make_namespace, type_of
from control_plane import ROOT, ControlPlane
from gitops_tools import GITOPS, HEALTH, Object, judged, kubectl, kustomized
from helm_chart import FOREIGN_GROUPS, VALUES, rendered
from manifest_mutations import valid_objects
from operated_cluster import OperatedCluster, is_ready
from sluicegate.cli import main
from sluicegate.cluster import (
    API_KEYS,
    MODEL_DEPLOYMENTS,
    ClusterClient,
    Conflict,
    Metadata,
    ResourceType,
)

ARGO_CD = "argocd-controller"
FLUX = "kustomize-controller"
STAGING = GITOPS / "kustomize" / "overlays" / "staging"
CONFIG_MAPS = ResourceType("", "v1", "ConfigMap", "configmaps")

pytestmark = pytest.mark.usefixtures("crds")


class Version(NamedTuple):
    """What a write changes."""

    generation: int
    resource_version: str


class Git:
    """Manifests in a repository, and a tool that applies them."""

    def __init__(self, admin: ClusterClient, namespace: str, objects: Iterable[Object]) -> None:
        self._admin = admin
        self._namespace = namespace
        self.objects = list(objects)

    async def sync(self, manager: str) -> dict[str, Version]:
        """Apply all, as the tool of this name does."""
        return {
            f"{each['kind']} {each['metadata']['name']}": await self._apply(each, manager)
            for each in self.objects
        }

    async def _apply(self, manifest: Object, manager: str) -> Version:
        resource, metadata = type_of(manifest), manifest["metadata"]
        place = metadata.get("namespace", self._namespace)
        answer = await self._admin.apply(
            resource,
            metadata["name"],
            manifest,
            Metadata,
            namespace=None if resource.kind in CLUSTER_WIDE else place,
            manager=manager,
        )
        return Version(answer.metadata.generation, answer.metadata.resource_version)

    async def settle(self) -> dict[str, Version]:
        """Both tools have synced; each knows what it owns."""
        first = await self.sync(ARGO_CD)
        second = await self.sync(FLUX)
        assert generations(first) == generations(second)
        return second

    async def live(self, manifest: Object) -> Object:
        resource, metadata = type_of(manifest), manifest["metadata"]
        place = metadata.get("namespace", self._namespace)
        return await self._admin.get(
            resource,
            metadata["name"],
            Object,
            namespace=None if resource.kind in CLUSTER_WIDE else place,
        )


def generations(versions: dict[str, Version]) -> dict[str, int]:
    return {name: version.generation for name, version in versions.items()}


def holds(live: object, wanted: object) -> bool:
    """Whether what is wanted is there, whatever is there besides (a three-way diff of it)."""
    if isinstance(live, dict) and isinstance(wanted, dict):
        there, names = cast("Object", live), cast("Object", wanted)
        return all(name in there and holds(there[name], names[name]) for name in names)
    return live == wanted


def staging(namespace: str) -> list[Object]:
    """The example's overlay, in another namespace."""
    text = yaml.safe_dump_all(kustomized(STAGING)).replace("models-staging", namespace)
    return list(yaml.safe_load_all(text))


async def test_two_tools_and_the_operator_leave_each_others_fields_alone(
    cluster: OperatedCluster, tmp_path: Path
) -> None:
    objects = await asyncio.to_thread(staging, cluster.namespace)
    git = Git(cluster.admin, cluster.namespace, objects)
    settled = await git.settle()
    ours = [each for each in git.objects if type_of(each) in {MODEL_DEPLOYMENTS, API_KEYS}]
    await asyncio.to_thread(are, [await git.live(each) for each in ours], "Progressing InProgress")
    operator = await cluster.start_operator()
    (gateway,) = await cluster.start_gateways(1)
    for each in ours:
        await cluster.until(type_of(each), each["metadata"]["name"], is_ready)
    published = list(gateway.sequences)
    assert generations(await git.sync(ARGO_CD)) == generations(settled)
    assert await operator.end() == 0  # with all that it has to write written
    assert gateway.sequences == published
    after = await git.sync(FLUX)
    assert generations(after) == generations(settled)
    assert await git.sync(ARGO_CD) == after
    assert await git.sync(FLUX) == after
    for each in git.objects:
        assert holds(await git.live(each), each)
    await asyncio.to_thread(are, [await git.live(each) for each in ours], "Healthy Current")
    rendered = tmp_path / "rendered.yaml"
    rendered.write_text(yaml.safe_dump_all(git.objects))
    as_admin = environ(cluster.plane, tmp_path)
    await asyncio.to_thread(shows_no_difference, rendered, cluster.namespace, as_admin)


def are(live: list[Object], wanted: str) -> None:
    """By Argo CD's Lua and by kstatus, of objects as the API server answers them."""
    argo_cd = judged(live, "health", HEALTH / "sluicegate.dev" / "_" / "health.lua")
    kstatus = judged(live, "kstatus")
    verdicts = zip(argo_cd, kstatus, strict=True)
    assert {f"{one['status']} {other['flux']}" for one, other in verdicts} == {wanted}


def environ(plane: ControlPlane, home: Path) -> dict[str, str]:
    """For kubectl, which keeps what it has discovered below HOME."""
    kubeconfig = str(plane.admin_kubeconfig)
    return {"KUBECONFIG": kubeconfig, "PATH": os.environ["PATH"], "HOME": str(home)}


def shows_no_difference(rendered: Path, namespace: str, as_admin: dict[str, str]) -> None:
    """By the commands of docs/gitops.md."""
    run = [str(kubectl()), "diff", "--server-side", "-f", str(rendered)]
    answer = subprocess.run(run, env=as_admin, capture_output=True, text=True, check=False)
    assert (answer.returncode, answer.stdout) == (0, ""), answer.stderr
    run = [str(kubectl()), "get", "modeldeployments,apikeys", "-n", namespace, "-o", "yaml"]
    for _ in range(10):  # a list right after a kind was made anew may be empty for a moment
        answer = subprocess.run(run, env=as_admin, capture_output=True, text=True, check=True)
        if "kind: ModelDeployment" in answer.stdout:
            break
        time.sleep(1)
    live = rendered.with_name("live.yaml")
    live.write_text(answer.stdout)
    plan = CliRunner().invoke(main, ["plan", str(live), str(rendered)])
    assert plan.exit_code == 0, plan.output
    changes = [line for line in plan.output.splitlines() if line.startswith("  ")]
    # Secrets are not asked for, and so seem to come.
    assert all(line.startswith("  + Secret ") for line in changes), plan.output


async def test_no_field_of_our_kinds_makes_drift(admin: ClusterClient, namespace: str) -> None:
    """Every field, each union's every member; the CRDs' defaults make no difference."""
    objects = valid_objects()
    for number, each in enumerate(objects):
        each["metadata"]["name"] = f"x{number}"
    git = Git(admin, namespace, objects)
    settled = await git.settle()
    assert await git.sync(ARGO_CD) == settled
    assert await git.sync(FLUX) == settled
    for each in objects:
        assert holds(await git.live(each), each)


@pytest.mark.parametrize("values", VALUES.values(), ids=VALUES)
async def test_the_chart_makes_no_drift(
    admin: ClusterClient, namespace: str, values: Path | None
) -> None:
    for team in ("team-a", "team-b"):
        with contextlib.suppress(Conflict):
            await make_namespace(admin, team)
    found = await asyncio.to_thread(rendered, values, "crds.install=false", namespace=namespace)
    objects = [
        each
        for each in found
        if type_of(each).group not in FOREIGN_GROUPS
        and "helm.sh/hook" not in each["metadata"].get("annotations", {})
    ]
    git = Git(admin, namespace, objects)
    settled = await git.settle()
    assert await git.sync(ARGO_CD) == settled
    assert await git.sync(FLUX) == settled


async def test_the_kinds_make_no_drift(admin: ClusterClient, namespace: str) -> None:
    git = Git(admin, namespace, documents(*sorted((ROOT / "crds").glob("*.yaml"))))
    settled = await git.settle()
    assert await git.sync(ARGO_CD) == settled


async def test_health_is_added_to_argocd_cm_and_takes_nothing_away(
    control_plane: ControlPlane, admin: ClusterClient, tmp_path: Path
) -> None:
    """By the command of docs/gitops.md."""
    await make_namespace(admin, "argocd")
    manifest = {"metadata": {"name": "argocd-cm"}, "data": {"url": "https://argocd.example.com"}}
    await admin.create(CONFIG_MAPS, manifest, Metadata, namespace="argocd")
    as_admin = environ(control_plane, tmp_path)
    run = [str(kubectl()), "apply", "--server-side", "--field-manager", "sluicegate-health"]
    run += ["-k", str(HEALTH)]
    for _ in range(2):
        answer = await asyncio.to_thread(
            subprocess.run, run, env=as_admin, capture_output=True, text=True, check=False
        )
        assert answer.returncode == 0, answer.stderr
    found = await admin.get(CONFIG_MAPS, "argocd-cm", Object, namespace="argocd")
    (added,) = await asyncio.to_thread(kustomized, HEALTH)
    assert found["data"] == {**manifest["data"], **added["data"]}

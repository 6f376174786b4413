"""A release on the real API server, by helm itself: installed, changed, taken back, uninstalled."""

import asyncio
from pathlib import Path

import yaml

from cluster_identities import apply_manifests
from control_plane import ROOT, ControlPlane
from helm_chart import CHART, VALUES
from helm_release import Helm, first_model, installed_objects, missing, names
from sluicegate.cluster import ClusterClient, load_access

SEVERAL = VALUES["several"]


async def test_install_upgrade_rollback_uninstall(
    own_control_plane: ControlPlane, tmp_path: Path
) -> None:
    plane = own_control_plane
    environ = {"KUBECONFIG": str(plane.admin_kubeconfig)}
    helm = Helm(plane, tmp_path)
    plain = await asyncio.to_thread(lambda: list(installed_objects(None)))
    full = await asyncio.to_thread(lambda: list(installed_objects(SEVERAL)))
    async with ClusterClient(await asyncio.to_thread(load_access, environ)) as admin:
        told = await helm("install", "sluicegate", CHART, "--create-namespace", "--wait=hookOnly")
        assert await missing(admin, plain) == set()
        await apply_manifests(admin, first_model(told))

        assert SEVERAL is not None
        await helm("upgrade", "sluicegate", CHART, "--values", SEVERAL, "--wait=hookOnly")
        assert await missing(admin, full) == set()

        await helm("rollback", "sluicegate", "1", "--wait=hookOnly")
        assert await missing(admin, plain) == set()
        assert await missing(admin, full) == names(full) - names(plain)

        await helm("uninstall", "sluicegate", "--wait=hookOnly")
        kept = [each for each in plain if each["kind"] == "CustomResourceDefinition"]
        assert await missing(admin, plain) == names(plain) - names(kept)
        objects = list(yaml.safe_load_all(first_model(told)))
        for each in objects:
            each["metadata"]["namespace"] = "default"
        assert await missing(admin, objects) == set()


async def test_crds_that_kubectl_has_applied_can_be_taken_over(
    own_control_plane: ControlPlane, tmp_path: Path
) -> None:
    plane = own_control_plane
    environ = {"KUBECONFIG": str(plane.admin_kubeconfig)}
    helm = Helm(plane, tmp_path)
    async with ClusterClient(await asyncio.to_thread(load_access, environ)) as admin:
        await apply_manifests(admin, *sorted((ROOT / "crds").glob("*.yaml")))
    options = ("--create-namespace", "--take-ownership", "--wait=hookOnly")
    told = await helm("install", "sluicegate", CHART, *options)
    assert "STATUS: deployed" in told

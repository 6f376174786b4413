"""A release on the real API server, by helm itself: installed, changed, taken back, uninstalled."""

import asyncio
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from cluster_identities import CLUSTER_WIDE, apply_manifests, type_of
from control_plane import ROOT, ControlPlane
from helm_chart import CHART, VALUES, helm_program, rendered
from sluicegate.cluster import ClusterClient, Metadata, NotFound, load_access

SEVERAL = VALUES["several"]


class Helm:
    """Helm as the administrator of one cluster."""

    def __init__(self, plane: ControlPlane, home: Path) -> None:
        self._program = helm_program()
        self._environ = {
            **os.environ,
            "KUBECONFIG": str(plane.admin_kubeconfig),
            **{f"HELM_{name}_HOME": str(home / name) for name in ("CACHE", "CONFIG", "DATA")},
        }

    async def __call__(self, *arguments: str | Path) -> str:
        """What it prints. Nothing is waited for: no kubelet runs the pods."""
        answer = await asyncio.to_thread(
            subprocess.run,
            [self._program, *arguments, "--namespace", "gateways"],
            env=self._environ,
            capture_output=True,
            text=True,
            check=False,
        )
        assert answer.returncode == 0, answer.stderr
        return answer.stdout


def installed_objects(values: Path | None) -> Iterator[Any]:
    """What a release with these values holds, but for the pod of `helm test`."""
    for each in rendered(values, namespace="gateways"):
        if "helm.sh/hook" not in (each["metadata"].get("annotations") or {}):
            yield each


async def missing(admin: ClusterClient, documents: list[Any]) -> set[str]:
    found: set[str] = set()
    for each in documents:
        resource, metadata = type_of(each), each["metadata"]
        place = None if resource.kind in CLUSTER_WIDE else metadata.get("namespace", "gateways")
        try:
            await admin.get(resource, metadata["name"], Metadata, namespace=place)
        except NotFound:
            found.add(f"{resource.kind} {metadata['name']}")
    return found


def names(documents: list[Any]) -> set[str]:
    return {f"{each['kind']} {each['metadata']['name']}" for each in documents}


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


def first_model(notes: str) -> str:
    """The manifests that the release's notes tell a person to apply."""
    (found,) = re.findall(r"<<EOF\n(.*?)\n *EOF\n", notes, flags=re.DOTALL)
    return "\n".join(line.removeprefix("  ") for line in found.splitlines())


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

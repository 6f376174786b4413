"""Helm as the administrator of one cluster, and what a release of the chart holds."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from cluster_identities import CLUSTER_WIDE, type_of
from control_plane import ControlPlane, kubectl_program
from helm_chart import helm_program, rendered
from sluicegate.cluster import ClusterClient, Metadata, NotFound

NAMESPACE = "gateways"
_DISK = """\
apiVersion: v1
kind: PersistentVolume
metadata: {{name: {name}}}
spec:
  storageClassName: fast
  accessModes: [ReadWriteOnce]
  capacity: {{storage: 1Gi}}
  hostPath: {{path: /nowhere}}
"""
_PATIENCE = "90s"


class Helm:
    """Helm for the releases of one namespace, and a shell with kubectl."""

    def __init__(self, plane: ControlPlane, home: Path, namespace: str = NAMESPACE) -> None:
        self.environ = {
            **os.environ,
            "KUBECONFIG": str(plane.admin_kubeconfig),
            **{f"HELM_{name}_HOME": str(home / name) for name in ("CACHE", "CONFIG", "DATA")},
        }
        self._program = helm_program()
        self._kubectl = kubectl_program()
        self._namespace = namespace

    async def tried(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        """What it says, whether or not it succeeds."""
        return await asyncio.to_thread(
            subprocess.run,
            [self._program, *arguments, "--namespace", self._namespace],
            env=self.environ,
            capture_output=True,
            text=True,
            check=False,
        )

    async def __call__(self, *arguments: str | Path) -> str:
        """What it prints."""
        waiting = ("--timeout", _PATIENCE) if "--wait" in arguments else ()
        answer = await self.tried(*arguments, *waiting)
        assert answer.returncode == 0, answer.stderr
        return answer.stdout

    async def shell(self, script: str) -> str:
        """What a script prints; `kubectl` is the cluster's."""
        path = f"{self._kubectl.parent}{os.pathsep}{os.environ['PATH']}"
        answer = await asyncio.to_thread(
            subprocess.run,
            ["/bin/sh", "-euc", script],
            env={**self.environ, "PATH": path},
            capture_output=True,
            text=True,
            check=False,
        )
        assert answer.returncode == 0, answer.stderr
        return answer.stdout

    async def make_disk(self, name: str) -> None:
        """A volume for a claim of the class `fast`; nobody looks what is on it."""
        await self.shell(f"kubectl create -f - <<EOF\n{_DISK.format(name=name)}EOF\n")


def installed_objects(
    values: Path | None, *settings: str, namespace: str = NAMESPACE
) -> Iterator[Any]:
    """What a release with these values holds, but for the pod of `helm test`."""
    for each in rendered(values, *settings, namespace=namespace):
        if "helm.sh/hook" not in (each["metadata"].get("annotations") or {}):
            yield each


async def missing(
    admin: ClusterClient, documents: Iterable[Any], namespace: str = NAMESPACE
) -> set[str]:
    """Which of these objects are not there."""
    found: set[str] = set()
    for each in documents:
        resource, metadata = type_of(each), each["metadata"]
        place = None if resource.kind in CLUSTER_WIDE else metadata.get("namespace", namespace)
        try:
            await admin.get(resource, metadata["name"], Metadata, namespace=place)
        except NotFound:
            found.add(f"{resource.kind} {metadata['name']}")
    return found


def names(documents: Iterable[Any]) -> set[str]:
    return {f"{each['kind']} {each['metadata']['name']}" for each in documents}


def first_model(notes: str) -> str:
    """The manifests that the release's notes tell a person to apply."""
    (found,) = re.findall(r"<<EOF\n(.*?)\n *EOF\n", notes, flags=re.DOTALL)
    return "\n".join(line.removeprefix("  ") for line in found.splitlines())


def told_commands(notes: str) -> str:
    """The commands that the release's notes tell a person to type, as a script."""
    told = re.sub(r"(?m)^NAME:.*?^NOTES:\n", "", notes, flags=re.DOTALL)
    return "\n".join(line[2:] for line in told.splitlines() if line.startswith("  "))

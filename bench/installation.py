"""The whole system in processes: a control plane, an operator, gateways under their own tokens.

Everything shares all cores: on a small machine what is measured competes with the API server.
"""

import asyncio
import os
import sys
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bench import machine, targets
from bench.options import gateway_command
from bench.processes import BenchError, Server
from bench.rig import Rig
from bench.statuses import IndexWatch, Statuses
from cluster_identities import (
    apply_manifests,
    install,
    make_namespace,
    make_pod,
    service_account_kubeconfig,
)
from control_plane import ROOT, ControlPlane
from sluicegate.cluster import ClusterClient, Metadata, ResourceType, load_access

NAMESPACE = "bench"
_READY_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Gateway:
    """One gateway process."""

    name: str
    server: Server
    port: int


@dataclass(slots=True)
class Installation:
    """What runs, and what an onlooker sees of it."""

    rig: Rig
    plane: ControlPlane
    admin: ClusterClient
    statuses: Statuses
    index: IndexWatch
    folder: Path
    gateways: list[Gateway] = field(default_factory=list[Gateway])
    loads: list[Server] = field(default_factory=list[Server])
    _operator: Server | None = None

    @property
    def operator(self) -> Server:
        """The operator's process."""
        if self._operator is None:
            raise BenchError("the operator has not been started")
        return self._operator

    async def apply(self, kind: ResourceType, name: str, spec: Mapping[str, object]) -> Metadata:
        """Server-side apply of an object, as `kubectl apply --server-side` does it."""
        manifest = {
            "apiVersion": kind.api_version,
            "kind": kind.kind,
            "metadata": {"name": name, "namespace": NAMESPACE},
            "spec": spec,
        }
        return await self.admin.apply(
            kind, name, manifest, Metadata, namespace=NAMESPACE, manager="bench"
        )

    async def delete(self, kind: ResourceType, name: str) -> None:
        """The object goes."""
        await self.admin.delete(kind, name, namespace=NAMESPACE)

    async def start_operator(self) -> None:
        """Returns when it has published something, be it nothing at all."""
        kubeconfig = await self._identity("sluicegate-operator", None)
        port = targets.free_port()
        program = str(Path(sys.executable).parent / "sluicegate-operator")
        options = [
            *(f"--config-namespace={NAMESPACE}", f"--watch-namespace={NAMESPACE}"),
            *("--pod-name=operator-0", "--host=127.0.0.1", f"--port={port}"),
            "--upstream-allow=127.0.0.0/8",  # the mock
        ]
        self._operator = self.rig.processes.start(
            "operator",
            [program, "run", *options],
            core=None,
            env=_environ({"KUBECONFIG": str(kubeconfig)}),
        )
        await self.index.until_newer(None)

    async def start_gateway(self, name: str) -> None:
        """Returns when it serves what is published."""
        account = "sluicegate-gateway"
        pod = await make_pod(self.admin, NAMESPACE, name, service_account=account)
        kubeconfig = await self._identity(account, name)
        port, admin_port = targets.free_port(), targets.free_port()
        command = gateway_command(self.rig.options.gateway)
        options = ["--host=127.0.0.1", f"--port={port}", f"--admin-port={admin_port}"]
        more = {
            "KUBECONFIG": str(kubeconfig),
            "SLUICEGATE_POD_NAME": name,
            "SLUICEGATE_POD_UID": pod.metadata.uid,
            "SLUICEGATE_STATE_DIR": str(self.folder / name),
        }
        server = self.rig.processes.start(
            name, [*command, "serve", "--cluster", *options], core=None, env=_environ(more)
        )
        end = time.monotonic() + _READY_SECONDS
        await asyncio.to_thread(targets.wait_for_200, server, admin_port, "/readyz", end)
        self.gateways.append(Gateway(name, server, port))

    async def _identity(self, account: str, pod: str | None) -> Path:
        return await service_account_kubeconfig(
            self.plane, self.admin, NAMESPACE, account, pod=pod, folder=self.folder
        )

    def cpu_seconds(self) -> dict[str, float]:
        """CPU time of each part so far and the clock, in seconds; `machine`: of everything."""
        gateways = [machine.cpu_seconds(one.server.pid) for one in self.gateways]
        plane = (self.plane.etcd, self.plane.api_server)
        return {
            "seconds": time.monotonic(),
            "operator": self.operator.cpu_seconds(),
            "gateways": sum(gateways),
            "control_plane": sum(machine.cpu_seconds(one.pid) for one in plane),
            "load": sum(load.cpu_seconds() for load in self.loads),
            "harness": time.process_time() + self.rig.direct.server.cpu_seconds(),
            "machine": machine.busy_seconds(),
        }


@asynccontextmanager
async def installation(
    rig: Rig, plane: ControlPlane, gateways: int
) -> AsyncGenerator[Installation]:
    """The shipped manifests applied, an operator and gateways; whoever leaves ends them."""
    folder = rig.folder / "installation"
    folder.mkdir()
    access = load_access({"KUBECONFIG": str(plane.admin_kubeconfig)})
    async with ClusterClient(access) as admin, asyncio.TaskGroup() as tasks:
        await apply_manifests(admin, *sorted((ROOT / "crds").glob("*.yaml")))
        await make_namespace(admin, NAMESPACE)
        await install(plane, admin, NAMESPACE)
        statuses, index = Statuses(admin, NAMESPACE), IndexWatch(admin, NAMESPACE)
        watching = [tasks.create_task(one.run()) for one in (statuses, index)]
        made = Installation(rig, plane, admin, statuses, index, folder)
        try:
            await made.start_operator()
            for number in range(gateways):
                await made.start_gateway(f"gateway-{number}")
            yield made
        finally:
            for gateway in made.gateways:
                rig.processes.end(gateway.server)
            for task in watching:
                task.cancel()


def _environ(more: Mapping[str, str]) -> dict[str, str]:
    # What the user has set for an operator or a gateway of their own is no part of this.
    own = {name: text for name, text in os.environ.items() if not name.startswith("SLUICEGATE_")}
    return {**own, **more}

"""A cluster that runs what helm installs: controllers, a scheduler, nodes with real processes."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from pathlib import Path

from control_plane import ControlPlane
from eventually import eventually
from helm_release import NAMESPACE, Helm
from operated_cluster import Object, is_ready
from pod_node import PodNodes
from service_balancer import ServiceBalancer
from sluicegate.cluster import (
    MODEL_DEPLOYMENTS,
    SECRETS,
    Access,
    ClusterClient,
    ClusterSecret,
    load_access,
)

_PATIENCE = 60.0


@dataclass
class ReleasedCluster:
    """`helm` is the administrator's; `service` is the release's Service, as a client reaches it."""

    plane: ControlPlane
    admin: ClusterClient
    helm: Helm
    nodes: PodNodes
    service: ServiceBalancer = field(repr=False)

    async def minted_key(self, name: str, namespace: str = "default") -> str:
        """A key out of the Secret that the operator wrote."""
        found = await self.admin.get(SECRETS, name, ClusterSecret, namespace=namespace)
        return found.data["key"].decode()

    async def ready(self, name: str, namespace: str = "default") -> Object:
        """The ModelDeployment, once every gateway serves it."""
        found: Object = {}

        async def is_so() -> bool:
            nonlocal found
            found = await self.admin.get(MODEL_DEPLOYMENTS, name, Object, namespace=namespace)
            return is_ready(found)

        await eventually(is_so, _PATIENCE)
        return found


@contextlib.asynccontextmanager
async def released_cluster(plane: ControlPlane, folder: Path) -> AsyncGenerator[ReleasedCluster]:
    """Two nodes, and the balancer for a Service `sluicegate`."""
    access = await asyncio.to_thread(load_access, {"KUBECONFIG": str(plane.admin_kubeconfig)})
    plane.start_controller_manager()
    plane.start_scheduler()
    try:
        async with _beside(plane, access, folder) as cluster:
            yield cluster
    finally:
        await asyncio.sleep(0.5)  # TLS says goodbye in its own time, and tells nobody when


@contextlib.asynccontextmanager
async def _beside(
    plane: ControlPlane, access: Access, folder: Path
) -> AsyncGenerator[ReleasedCluster]:
    async with (
        ClusterClient(access) as admin,
        ServiceBalancer(admin, NAMESPACE, "sluicegate").listening() as service,
    ):
        # There is no cluster DNS: what runs once reaches the Service as its proxy.
        reached = {"http_proxy": f"http://127.0.0.1:{service.port}"}
        nodes = PodNodes(plane, admin, folder / "pods", one_off_environ=reached)
        (folder / "pods").mkdir()
        async with nodes.at_work(access, "node-a", "node-b"):
            helm = Helm(plane, folder / "helm")
            yield ReleasedCluster(plane, admin, helm, nodes, service)

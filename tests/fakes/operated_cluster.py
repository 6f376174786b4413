"""A namespace with an operator and gateways: objects applied, and what becomes of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cluster_identities import service_account_kubeconfig
from control_plane import ControlPlane
from lease_gateway import LeaseGateway
from operator_process import OperatorProcess, running_operator
from sluicegate.cluster import (
    API_KEYS,
    MODEL_DEPLOYMENTS,
    SECRETS,
    ClusterClient,
    ClusterError,
    Metadata,
    ResourceType,
)

Object = dict[str, Any]

_PATIENCE = 60.0


def condition(found: Object, kind: str) -> Object:
    """One condition of an object's status; an empty one where it is not there."""
    conditions: list[Object] = found.get("status", {}).get("conditions", [])
    nothing: Object = {}
    return next((one for one in conditions if one["type"] == kind), nothing)


def is_ready(found: Object) -> bool:
    """As `kubectl wait --for=condition=Ready` sees it."""
    ready = condition(found, "Ready")
    return (
        ready.get("status") == "True"
        and ready.get("observedGeneration") == found["metadata"]["generation"]
    )


def reason(found: Object, kind: str = "Ready") -> str:
    return str(condition(found, kind).get("reason", ""))


@dataclass
class OperatedCluster:
    """One installation in one namespace. `admin` applies what users would."""

    plane: ControlPlane
    admin: ClusterClient
    namespace: str
    folder: Path
    stack: AsyncExitStack
    kubeconfig: Path | None = None
    gateways: list[LeaseGateway] = field(default_factory=list[LeaseGateway])

    async def start_operator(
        self, *options: str, name: str = "op-0", command: str | None = None
    ) -> OperatorProcess:
        """`command`: what its interpreter runs in place of the operator as it is."""
        if self.kubeconfig is None:
            self.kubeconfig = await service_account_kubeconfig(
                self.plane, self.admin, self.namespace, "sluicegate-operator", folder=self.folder
            )
        more = {} if command is None else {"command": command}
        return await self.stack.enter_async_context(
            running_operator(self.kubeconfig, self.namespace, *options, name=name, **more)
        )

    async def start_gateways(self, count: int) -> list[LeaseGateway]:
        made = [
            LeaseGateway(self.admin, self.namespace, f"gw-{len(self.gateways) + number}")
            for number in range(count)
        ]
        for gateway in made:
            await gateway.start()
            self.stack.push_async_callback(gateway.go_silent)
        self.gateways += made
        return made

    async def apply(self, kind: ResourceType, name: str, spec: Mapping[str, object]) -> Object:
        manifest = {
            "apiVersion": kind.api_version,
            "kind": kind.kind,
            "metadata": {"name": name, "namespace": self.namespace},
            "spec": spec,
        }
        return await self.admin.apply(
            kind, name, manifest, Object, namespace=self.namespace, manager="user"
        )

    async def deployment(self, name: str, **spec: object) -> Object:
        spec = {"provider": {"echo": {"text": "hello"}}, **spec}
        return await self.apply(MODEL_DEPLOYMENTS, name, spec)

    async def key(self, name: str, **client: object) -> Object:
        return await self.apply(API_KEYS, name, {"client": client})

    async def secret(self, name: str, *, labelled: bool = True, **values: str) -> None:
        labels = {"sluicegate.dev/credential": "true"} if labelled else {}
        manifest = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": name, "namespace": self.namespace, "labels": labels},
            "stringData": values,
        }
        await self.admin.apply(
            SECRETS, name, manifest, Metadata, namespace=self.namespace, manager="user"
        )

    async def get(self, kind: ResourceType, name: str) -> Object:
        return await self.admin.get(kind, name, Object, namespace=self.namespace)

    async def until(
        self,
        kind: ResourceType,
        name: str,
        holds: Callable[[Object], bool],
        seconds: float = _PATIENCE,
    ) -> Object:
        """The object, once its status is as it should be."""
        found: Object = {}
        try:
            async with asyncio.timeout(seconds):
                while True:
                    try:
                        found = await self.get(kind, name)
                    except ClusterError:
                        await asyncio.sleep(0.2)
                        continue
                    if holds(found):
                        return found
                    await asyncio.sleep(0.02)
        except TimeoutError:
            raise AssertionError(f"{kind.kind} {name}: {found.get('status')}") from None

    async def ready(self, name: str) -> Object:
        return await self.until(MODEL_DEPLOYMENTS, name, is_ready)

    async def key_ready(self, name: str) -> Object:
        return await self.until(API_KEYS, name, is_ready)

    async def gateways_hold(self, holds: Callable[[LeaseGateway], bool]) -> None:
        async with asyncio.timeout(_PATIENCE):
            while not all(holds(gateway) for gateway in self.gateways):  # noqa: ASYNC110 -- several of them
                await asyncio.sleep(0.005)

"""The chart before the real API server: strict dry runs, and the operator that its alerts watch."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from cluster_identities import (
    CLUSTER_WIDE,
    NAMESPACES,
    apply_manifests,
    make_namespace,
    make_service_account,
    type_of,
)
from control_plane import ControlPlane
from helm_chart import VALUES, metric_names, rendered
from operator_process import running_operator
from sluicegate.cluster import ClusterClient, Conflict, Metadata, load_access


class StrictServer:
    """Takes objects as `kubectl apply --server-side --dry-run=server` sends them."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session = session
        self._url = url

    async def refusal(self, document: dict[str, Any], namespace: str) -> str:
        """What the API server says against it, warnings too; empty: nothing."""
        resource, metadata = type_of(document), document["metadata"]
        place = metadata.get("namespace", namespace)
        path = resource.path(None if resource.kind in CLUSTER_WIDE else place, metadata["name"])
        async with self._session.patch(
            f"{self._url}{path}",
            params={
                "dryRun": "All",
                "fieldValidation": "Strict",
                "fieldManager": "tests",
                "force": "true",  # other tests may have applied what is of no namespace
            },
            headers={"Content-Type": "application/apply-patch+yaml"},
            data=json.dumps(document),
        ) as answer:
            said = answer.headers.getall("Warning", [])
            if answer.status not in {200, 201}:
                said.append((await answer.json())["message"])
            return "; ".join(said)


@pytest.fixture
async def server(control_plane: ControlPlane) -> AsyncIterator[StrictServer]:
    environ = {"KUBECONFIG": str(control_plane.admin_kubeconfig)}
    access = await asyncio.to_thread(load_access, environ)
    assert access.tls is not None
    connector = aiohttp.TCPConnector(ssl=access.tls)
    async with aiohttp.ClientSession(connector=connector) as session:
        yield StrictServer(session, access.server)


@pytest.fixture
async def restricted(admin: ClusterClient, namespace: str) -> str:
    """A namespace that admits restricted pods only."""
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    await admin.patch(NAMESPACES, namespace, {"metadata": {"labels": labels}}, Metadata)
    return namespace


@pytest.mark.parametrize("values", VALUES.values(), ids=VALUES)
async def test_every_object_passes_a_strict_dry_run(
    server: StrictServer,
    admin: ClusterClient,
    restricted: str,
    foreign_crds: Path,
    values: Path | None,
) -> None:
    for team in ("team-a", "team-b"):
        with contextlib.suppress(Conflict):
            await make_namespace(admin, team)
    found = await asyncio.to_thread(rendered, values, namespace=restricted)
    await apply_manifests(admin, *await asyncio.to_thread(lambda: list(foreign_crds.iterdir())))
    await make_service_account(admin, restricted, "default")
    for account in (each for each in found if each["kind"] == "ServiceAccount"):
        await make_service_account(admin, restricted, account["metadata"]["name"])
    said = {
        f"{each['kind']} {each['metadata']['name']}": await server.refusal(each, restricted)
        for each in [*found, *pods(found)]
    }
    assert {name: refusal for name, refusal in said.items() if refusal} == {}


def pods(found: list[Any]) -> Iterator[Any]:
    """What the Deployments would make: admission judges Pods, not their templates."""
    for each in found:
        if each["kind"] == "Deployment":
            template = each["spec"]["template"]
            metadata = {**template["metadata"], "name": f"{each['metadata']['name']}-0"}
            yield {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": metadata,
                "spec": template["spec"],
            }


async def test_the_dry_run_sees_a_misspelt_field_and_a_pod_that_is_not_restricted(
    server: StrictServer, admin: ClusterClient, restricted: str
) -> None:
    await make_service_account(admin, restricted, "default")
    pod: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "any"},
        "spec": {"containers": [{"name": "any", "image": "none.test/none"}]},
    }
    assert "restricted" in await server.refusal(pod, restricted)
    pod["spec"]["container"] = []
    assert "container" in await server.refusal(pod, restricted)


@pytest.mark.usefixtures("crds")
async def test_the_operator_has_every_metric_that_is_asked_for(
    control_plane: ControlPlane, installed: str
) -> None:
    asked = metric_names(await asyncio.to_thread(rendered, VALUES["monitoring"]))
    of_operators = {name for name in asked if name.startswith("sluicegate_operator_")}
    assert len(of_operators) > 5
    async with running_operator(control_plane.admin_kubeconfig, installed) as operator:
        _, text = await operator.ask("/metrics")
    samples = {line.split("{")[0].split(" ")[0] for line in text.splitlines()}
    assert of_operators - samples == set()

"""kopf, the second pair of eyes, on a real API server."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import msgspec
import pytest

from control_plane import ControlPlane
from eventually import eventually
from sluicegate.cluster import MODEL_DEPLOYMENTS, ClusterClient, Metadata, load_access
from sluicegate.resources import ResourceRef
from sluicegate_operator.trigger import Trigger

DEEP = msgspec.Raw(b"[" * 3_000 + b"]" * 3_000)
MD = MODEL_DEPLOYMENTS


class Seen:
    """What kopf has told, from its own thread."""

    def __init__(self) -> None:
        self.names: set[str] = set()
        self.gone: set[str] = set()

    def __call__(self, ref: ResourceRef, version: str | None) -> None:
        (self.names if version is not None else self.gone).add(ref.name)


@pytest.fixture
def seen() -> Seen:
    return Seen()


@pytest.fixture
def trigger(control_plane: ControlPlane, namespace: str, seen: Seen) -> Iterator[Trigger]:
    access = load_access({"KUBECONFIG": str(control_plane.admin_kubeconfig)})
    made = Trigger(access, (namespace,), seen, lambda: True, restart=0.5)
    made.start()
    yield made
    made.stop()
    assert not made.alive


async def create(admin: ClusterClient, namespace: str, name: str, default: object = 1) -> None:
    manifest: dict[str, object] = {
        "apiVersion": MD.api_version,
        "kind": MD.kind,
        "metadata": {"name": name},
        "spec": {"provider": {"echo": {}}, "parameters": {"defaults": {"x": default}}},
    }
    await admin.create(MD, manifest, Metadata, namespace=namespace)


async def until_watching(trigger: Trigger, *, wanted: bool) -> None:
    async with asyncio.timeout(60):
        while trigger.watches is not wanted:  # noqa: ASYNC110 -- of another thread
            await asyncio.sleep(0.05)


@pytest.mark.usefixtures("crds")
async def test_kopf_tells_what_it_sees_and_writes_nothing(
    admin: ClusterClient, namespace: str, trigger: Trigger, seen: Seen
) -> None:
    await until_watching(trigger, wanted=True)
    await create(admin, namespace, "a")

    async def told() -> bool:
        return "a" in seen.names

    await eventually(told)
    found = await admin.get(MD, "a", Metadata, namespace=namespace)
    assert found.metadata.generation == 1
    assert found.metadata.annotations == {}
    await admin.delete(MD, "a", namespace=namespace)

    async def told_gone() -> bool:
        return "a" in seen.gone

    await eventually(told_gone)


@pytest.mark.timeout(120)
@pytest.mark.usefixtures("crds")
async def test_a_watch_that_ended_is_noticed_and_begun_anew(
    admin: ClusterClient, namespace: str, trigger: Trigger, seen: Seen
) -> None:
    """kopf itself would go on without it, and say no more than a line in the log."""
    await until_watching(trigger, wanted=True)
    await create(admin, namespace, "deep", DEEP)
    await until_watching(trigger, wanted=False)
    assert trigger.alive
    await admin.delete(MD, "deep", namespace=namespace)
    await create(admin, namespace, "after")
    await until_watching(trigger, wanted=True)

    async def told() -> bool:
        return "after" in seen.names

    await eventually(told)

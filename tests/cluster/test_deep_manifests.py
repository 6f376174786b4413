"""A tenant's object that is nested more deeply than parsers go, on a real API server."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from eventually import eventually
from sluicegate.cluster import MODEL_DEPLOYMENTS, ClusterClient, Metadata, ObjectKey, Reflector

LISTS = msgspec.Raw(b"[" * 2_000 + b"]" * 2_000)
MAPS = msgspec.Raw(b'{"a":' * 2_000 + b"1" + b"}" * 2_000)  # managedFields are as deep


def manifest(name: str, default: object) -> dict[str, object]:
    return {
        "apiVersion": MODEL_DEPLOYMENTS.api_version,
        "kind": MODEL_DEPLOYMENTS.kind,
        "metadata": {"name": name},
        "spec": {"provider": {"echo": {}}, "parameters": {"defaults": {"x": default}}},
    }


@pytest.mark.usefixtures("crds")
async def test_a_deep_object_hides_nothing_but_itself(admin: ClusterClient, namespace: str) -> None:
    async def create(name: str, default: object) -> None:
        deep = manifest(name, default)
        await admin.create(MODEL_DEPLOYMENTS, deep, Metadata, namespace=namespace)

    reflector = Reflector(
        admin,
        MODEL_DEPLOYMENTS,
        msgspec.json.Decoder(Metadata).decode,
        on_change=lambda _: None,
        namespace=namespace,
    )

    async def held(objects: set[str], undecodable: set[str]) -> bool:
        keys = (reflector.objects, reflector.undecodable)
        return [{key.name for key in some} for some in keys] == [objects, undecodable]

    await create("a", 1)
    await create("deep", LISTS)
    running = asyncio.create_task(reflector.run())
    try:
        await eventually(lambda: held({"a"}, {"deep"}))  # by the list
        await create("deeper", MAPS)
        await create("b", 1)
        await eventually(lambda: held({"a", "b"}, {"deep", "deeper"}))  # by the watch
        await admin.delete(MODEL_DEPLOYMENTS, "deep", namespace=namespace)
        await eventually(lambda: held({"a", "b"}, {"deeper"}))
    finally:
        running.cancel()
    assert ObjectKey(namespace, "deep") not in reflector.undecodable

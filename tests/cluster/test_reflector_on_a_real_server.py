"""The reflector through what happens to real servers and networks: it ends equal to the server."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import shutil
import uuid
from collections.abc import AsyncGenerator

import msgspec
import pytest

from cluster_identities import make_namespace
from control_plane import ControlPlane
from eventually import eventually
from loopback_proxy import LoopbackProxy
from sluicegate.cluster import (
    SECRETS,
    Access,
    ClusterClient,
    ClusterError,
    ClusterSecret,
    Gone,
    Metadata,
    ObjectKey,
    Reflection,
    Reflector,
    Selection,
    Timing,
    load_access,
)

IMPATIENT = Timing(idle=1.0, most_backoff=0.5)
_secret = msgspec.json.Decoder(ClusterSecret)


class Followed:
    """A running reflector of one namespace's Secrets, and what its callbacks have told of them."""

    def __init__(self, client: ClusterClient, namespace: str, timing: Timing) -> None:
        self.namespace = namespace
        self.copy: dict[str, dict[str, bytes]] = {}
        self.batches = 0
        self.reflector = Reflector(
            client,
            SECRETS,
            _secret.decode,
            on_change=self._on_change,
            namespace=namespace,
            timing=timing,
        )

    def _on_change(self, keys: frozenset[ObjectKey]) -> None:
        self.batches += 1
        for key in keys:
            if key in self.reflector.objects:
                self.copy[key.name] = self.reflector.objects[key].data
            else:
                del self.copy[key.name]

    async def holds(self, **values: str) -> None:
        wanted = {name: {"entry": value.encode()} for name, value in values.items()}
        await eventually(lambda: self._equals(wanted))

    async def _equals(self, wanted: dict[str, dict[str, bytes]]) -> bool:
        return self.reflector.synced and self.copy == wanted


@contextlib.asynccontextmanager
async def following(
    access: Access, namespace: str, timing: Timing = IMPATIENT
) -> AsyncGenerator[Followed]:
    async with ClusterClient(access, timeout=5) as client:
        followed = Followed(client, namespace, timing)
        running = asyncio.create_task(followed.reflector.run())
        try:
            yield followed
        finally:
            running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await running


async def put(admin: ClusterClient, namespace: str, name: str, value: str) -> Metadata:
    manifest = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name},
        "stringData": {"entry": value},
    }
    return await admin.apply(
        SECRETS, name, manifest, Metadata, namespace=namespace, manager="tests"
    )


async def made(admin: ClusterClient) -> str:
    name = f"test-{uuid.uuid4().hex[:12]}"
    await make_namespace(admin, name)
    return name


async def admin_access(plane: ControlPlane) -> Access:
    return await asyncio.to_thread(load_access, {"KUBECONFIG": str(plane.admin_kubeconfig)})


@contextlib.asynccontextmanager
async def through_a_proxy(
    plane: ControlPlane, access: Access
) -> AsyncGenerator[tuple[LoopbackProxy, Access]]:
    async with LoopbackProxy(int(plane.url.rpartition(":")[2])).listening() as proxy:
        yield proxy, dataclasses.replace(access, server=f"https://127.0.0.1:{proxy.port}")


async def test_what_is_written_is_told(admin: ClusterClient, namespace: str) -> None:
    await put(admin, namespace, "a", "one")
    async with following(admin.access, namespace, Timing()) as followed:
        await followed.holds(a="one")
        await put(admin, namespace, "b", "two")
        await put(admin, namespace, "a", "three")
        await followed.holds(a="three", b="two")
        await admin.delete(SECRETS, "a", namespace=namespace)
        await followed.holds(b="two")
        await put(admin, "default", f"not-{namespace}", "elsewhere")
        batches = followed.batches
        await followed.reflector.relist()
        assert followed.batches == batches  # a list without news is none


async def test_what_loses_its_label_is_gone(admin: ClusterClient, namespace: str) -> None:
    batches: list[frozenset[ObjectKey]] = []
    reflector = Reflector(
        admin,
        SECRETS,
        msgspec.json.Decoder(Metadata).decode,
        on_change=batches.append,
        namespace=namespace,
        label_selector="wanted=yes",
        metadata_only=True,
    )

    async def held(*names: str) -> bool:
        return [key.name for key in reflector.objects] == list(names)

    async def label(value: str) -> None:
        patch = {"metadata": {"labels": {"wanted": value}}}
        await admin.patch(SECRETS, "a", patch, Metadata, namespace=namespace)

    await put(admin, namespace, "a", "one")
    running = asyncio.create_task(reflector.run())
    try:
        await reflector.wait_synced()
        await label("yes")
        await eventually(lambda: held("a"))
        await reflector.relist()
        await label("no")
        await eventually(held)
    finally:
        running.cancel()
    # Synced, come, gone; the list in between had no news.
    assert batches == [frozenset(), *[{ObjectKey(namespace, "a")}] * 2]


@pytest.mark.parametrize("how", ["cut", "freeze"])
async def test_a_delete_behind_a_partition_and_a_compaction(
    breakable_control_plane: ControlPlane, how: str
) -> None:
    plane = breakable_control_plane
    access = await admin_access(plane)
    async with (
        ClusterClient(access) as admin,
        through_a_proxy(plane, access) as (proxy, behind),
        following(behind, await made(admin)) as followed,
    ):
        namespace = followed.namespace
        await put(admin, namespace, "revoked", "one")
        await put(admin, namespace, "kept", "two")
        await followed.holds(revoked="one", kept="two")
        getattr(proxy, how)()
        await admin.delete(SECRETS, "revoked", namespace=namespace)
        await put(admin, namespace, "kept", "three")
        await plane.compact()
        await eventually(lambda: failed(followed))
        assert set(followed.copy) == {"revoked", "kept"}
        proxy.heal()
        await followed.holds(kept="three")


async def failed(followed: Followed) -> bool:
    return followed.reflector.failure is not None


async def test_a_version_that_was_compacted_away_is_told_in_the_stream(
    breakable_control_plane: ControlPlane,
) -> None:
    """A new API server knows no version that etcd has forgotten."""
    plane = breakable_control_plane
    access = await admin_access(plane)
    async with ClusterClient(access) as admin:
        namespace = await made(admin)
        old = await put(admin, namespace, "a", "one")
        await put(admin, namespace, "a", "two")
        await plane.compact()
        plane.api_server.kill()
        plane.api_server.start()
        await plane.ready()
        held = Reflection(_secret.decode)
        selection = Selection(namespace)
        version = old.metadata.resource_version
        async with admin.watch(SECRETS, selection, version, seconds=10, idle=10) as batches:
            (line,) = await anext(batches)
        with pytest.raises(Gone):
            held.told(line)


async def test_the_api_server_is_killed(breakable_control_plane: ControlPlane) -> None:
    plane = breakable_control_plane
    access = await admin_access(plane)
    async with (
        ClusterClient(access) as admin,
        following(access, await made(admin)) as followed,
    ):
        namespace = followed.namespace
        await put(admin, namespace, "a", "one")
        await followed.holds(a="one")
        for value in ("two", "three"):
            plane.api_server.kill()
            await eventually(lambda: failed(followed))
            assert list(followed.copy) == ["a"]
            plane.api_server.start()
            await plane.ready()
            await put(admin, namespace, "a", value)
            await followed.holds(a=value)


async def test_the_api_server_is_frozen(breakable_control_plane: ControlPlane) -> None:
    plane = breakable_control_plane
    access = await admin_access(plane)
    async with (
        ClusterClient(access) as admin,
        following(access, await made(admin)) as followed,
    ):
        namespace = followed.namespace
        await put(admin, namespace, "a", "one")
        await followed.holds(a="one")
        plane.api_server.pause()
        await eventually(lambda: failed(followed))
        plane.api_server.resume()
        await put(admin, namespace, "a", "two")
        await followed.holds(a="two")


async def test_etcd_is_killed(breakable_control_plane: ControlPlane) -> None:
    plane = breakable_control_plane
    access = await admin_access(plane)
    async with (
        ClusterClient(access) as admin,
        following(access, await made(admin)) as followed,
    ):
        namespace = followed.namespace
        await put(admin, namespace, "a", "one")
        await followed.holds(a="one")
        plane.etcd.kill()
        with pytest.raises(ClusterError):
            await followed.reflector.relist()
        plane.etcd.start()
        await plane.ready()
        await eventually(lambda: written(admin, namespace, "a", "two"))
        await followed.holds(a="two")


async def written(admin: ClusterClient, namespace: str, name: str, value: str) -> bool:
    try:
        await put(admin, namespace, name, value)
    except ClusterError:
        return False
    return True


async def test_etcd_is_restored_from_a_backup(own_control_plane: ControlPlane) -> None:
    """Versions go back, and are given away a second time."""
    plane = own_control_plane
    access = await admin_access(plane)
    backup = plane.folder / "backup"
    async with (
        ClusterClient(access) as admin,
        following(access, await made(admin)) as followed,
    ):
        namespace = followed.namespace
        await put(admin, namespace, "a", "one")
        for program in (plane.api_server, plane.etcd):
            program.kill()
        shutil.copytree(plane.folder / "etcd", backup)
        plane.etcd.start()
        plane.api_server.start()
        await plane.ready()
        await put(admin, namespace, "a", "lost")
        # A starting server writes as well, and not always equally much: the lost history is
        # made longer than any of its starts.
        changes = [await put(admin, namespace, "new", f"lost {change}") for change in range(200)]
        await followed.holds(a="lost", new="lost 199")
        for program in (plane.api_server, plane.etcd):
            program.kill()
        shutil.rmtree(plane.folder / "etcd")
        backup.rename(plane.folder / "etcd")
        plane.etcd.start()
        plane.api_server.start()
        await plane.ready()
        again = await put(admin, namespace, "b", "two")
        assert int(again.metadata.resource_version) < int(changes[-1].metadata.resource_version)
        await followed.holds(a="one", b="two")

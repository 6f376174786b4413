"""What goes wrong around the operator: it survives, nobody is cut off, and all converges."""

from __future__ import annotations

import asyncio
import random
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import msgspec
import pytest

from cluster_identities import CRDS, apply_manifests, install, make_namespace
from control_plane import ROOT, ControlPlane
from eventually import eventually
from lease_gateway import LeaseGateway
from operated_cluster import Object, OperatedCluster, reason
from sluicegate.cluster import (
    API_KEYS,
    MODEL_DEPLOYMENTS,
    SECRETS,
    ClusterClient,
    ClusterSecret,
    Metadata,
    Selection,
    load_access,
)
from sluicegate.config import canonical
from troubled_operator import dying_command

MD, AK = MODEL_DEPLOYMENTS, API_KEYS


@pytest.fixture
async def cluster(
    own_control_plane: ControlPlane, tmp_path: Path
) -> AsyncIterator[OperatedCluster]:
    """An installation on a control plane that may be broken."""
    plane = own_control_plane
    environ = {"KUBECONFIG": str(plane.admin_kubeconfig)}
    access = await asyncio.to_thread(load_access, environ)
    async with AsyncExitStack() as stack:
        admin = await stack.enter_async_context(ClusterClient(access))
        await apply_manifests(admin, *sorted((ROOT / "crds").glob("*.yaml")))
        await make_namespace(admin, "sluicegate")
        await install(plane, admin, "sluicegate")
        yield OperatedCluster(plane, admin, "sluicegate", tmp_path, stack)


def names(cluster: OperatedCluster) -> list[set[str]]:
    return [
        {entry_id.split("/")[2] for entry_id in gateway.config.entries if entry_id[:3] != "poo"}
        for gateway in cluster.gateways
    ]


async def objects(cluster: OperatedCluster) -> list[Object]:
    return [await cluster.get(kind, name) for kind, name in ((MD, "a"), (AK, "k"), (MD, "broken"))]


async def settled(cluster: OperatedCluster) -> list[Object]:
    """The objects, once the operator has had nothing to write of them for a while."""
    found = await objects(cluster)
    while True:
        await asyncio.sleep(1.5)  # more than it takes its time with what is not urgent
        before, found = found, await objects(cluster)
        if found == before:
            return found


async def test_an_api_server_that_is_away_costs_nothing_but_time(cluster: OperatedCluster) -> None:
    operator = await cluster.start_operator()
    await cluster.start_gateways(2)
    await cluster.deployment("a")
    await cluster.ready("a")
    cluster.plane.api_server.kill()
    await operator.until_said("modeldeployments")
    await asyncio.sleep(3)
    assert operator.running
    assert (await operator.ask("/healthz"))[0] == 200
    cluster.plane.api_server.start()
    await cluster.plane.ready()
    await cluster.deployment("b")
    await cluster.ready("b")
    assert operator.running
    assert names(cluster) == [{"a", "b"}] * 2


async def test_what_was_deleted_while_the_watch_was_down_is_gone(cluster: OperatedCluster) -> None:
    operator = await cluster.start_operator()
    await cluster.start_gateways(1)
    await cluster.secret("s", key="sk-a-key-of-the-teams")
    await cluster.key("gone", secretRef={"name": "s", "key": "key"})
    await cluster.deployment("stays")
    await cluster.key_ready("gone")
    await cluster.ready("stays")
    operator.pause()
    await cluster.admin.delete(AK, "gone", namespace=cluster.namespace)
    cluster.plane.api_server.kill()  # whatever the operator's watches had, they have lost
    cluster.plane.api_server.start()
    await cluster.plane.ready()
    await cluster.plane.compact()
    operator.resume()
    await cluster.gateways_hold(
        lambda gateway: f"ak/{cluster.namespace}/gone" not in gateway.config.entries
    )
    assert names(cluster) == [{"stays"}]


async def test_many_that_go_at_once_are_listed_anew_first(cluster: OperatedCluster) -> None:
    operator = await cluster.start_operator()
    await cluster.start_gateways(1)
    await asyncio.gather(*(cluster.deployment(f"md-{number}") for number in range(24)))
    await cluster.gateways_hold(lambda gateway: len(gateway.config.entries) == 48)
    operator.pause()
    await asyncio.gather(
        *(
            cluster.admin.delete(MD, f"md-{number}", namespace=cluster.namespace)
            for number in range(20)
        )
    )
    operator.resume()
    await operator.until_said("more than half of all entries would go")
    await cluster.gateways_hold(lambda gateway: len(gateway.config.entries) == 8)


async def test_a_lost_index_and_a_damaged_one_are_published_anew(cluster: OperatedCluster) -> None:
    await cluster.start_operator()
    [gateway] = await cluster.start_gateways(1)
    await cluster.deployment("a")
    await cluster.ready("a")
    before = gateway.sequences[-1]
    await cluster.admin.delete(SECRETS, "sluicegate", namespace=cluster.namespace)
    await cluster.gateways_hold(lambda one: one.sequences[-1] > before)
    before = gateway.sequences[-1]
    garbage = {"data": {"index": "bm9uc2Vuc2U="}}
    gateway.holds = True
    good = gateway.sees
    await cluster.admin.patch(SECRETS, "sluicegate", garbage, Metadata, namespace=cluster.namespace)
    await cluster.gateways_hold(
        lambda one: one.sees.get("index") not in {None, good["index"], b"nonsense"}
    )
    gateway.holds = False
    await cluster.gateways_hold(lambda one: one.sequences[-1] > before)
    await cluster.deployment("b")
    await cluster.ready("b")
    assert names(cluster) == [{"a", "b"}]


async def test_what_a_restored_cluster_has_lost_serves_on_until_it_is_published_anew(
    cluster: OperatedCluster,
) -> None:
    operator = await cluster.start_operator()
    [gateway] = await cluster.start_gateways(1)
    await cluster.deployment("a", weight=1)
    await cluster.ready("a")
    saved = await index_of(cluster)
    await cluster.deployment("a", weight=2)
    await cluster.ready("a")
    lost = gateway.sequences[-1]
    assert await operator.end() == 0
    gateway.holds = True  # it refuses what is older
    nothing = dict.fromkeys(await index_of(cluster))
    restored = {"data": {**nothing, **saved}}
    await cluster.admin.patch(
        SECRETS, "sluicegate", restored, Metadata, namespace=cluster.namespace
    )
    made = await cluster.deployment("a", weight=1)
    await cluster.start_operator()
    generation = made["metadata"]["generation"]
    found = await cluster.until(MD, "a", lambda o: o["status"]["observedGeneration"] == generation)
    assert reason(found) == "Waiting"
    gateway.holds = False
    await cluster.ready("a")
    assert gateway.sequences[-1] > lost
    assert b'"weight":2' not in canonical(gateway.config.entries["md/sluicegate/a"])
    late = LeaseGateway(cluster.admin, cluster.namespace, "late")
    late.sequences, late.holds = [lost + 50], True
    await late.start()
    cluster.stack.push_async_callback(late.go_silent)
    await cluster.gateways_hold(lambda one: one.sequences[-1] > lost + 50)


async def index_of(cluster: OperatedCluster) -> dict[str, bytes]:
    found = await cluster.admin.get(
        SECRETS, "sluicegate", ClusterSecret, namespace=cluster.namespace
    )
    return dict(found.data)


async def test_an_operator_that_is_killed_goes_on_above_every_sequence(
    cluster: OperatedCluster,
) -> None:
    operator = await cluster.start_operator()
    [gateway] = await cluster.start_gateways(1)
    for number in range(6):
        await cluster.deployment(f"md-{number}")
        if number % 2:
            operator.kill()
            await operator.process.wait()
            operator = await cluster.start_operator()
    for number in range(6):
        await cluster.ready(f"md-{number}")
    assert gateway.sequences == sorted(set(gateway.sequences))
    assert len(names(cluster)[0]) == 6


async def test_a_restart_changes_no_status_and_publishes_nothing(cluster: OperatedCluster) -> None:
    operator = await cluster.start_operator()
    [gateway] = await cluster.start_gateways(1)
    await cluster.deployment("a")
    await cluster.key("k", generate={"secretName": "k-key"})
    await cluster.deployment(
        "broken",
        provider={"openai": {"model": "m"}},
        credentials={"secretRef": {"name": "none", "key": "k"}},
    )
    await cluster.ready("a")
    await cluster.key_ready("k")
    await cluster.until(MD, "broken", lambda o: reason(o) == "SecretNotFound")
    before = await settled(cluster)
    sequence = gateway.sequences[-1]
    operator.kill()
    await operator.process.wait()
    operator = await cluster.start_operator()
    await operator.until_said("this operator leads")
    await asyncio.sleep(2.5)
    assert await objects(cluster) == before
    assert gateway.sequences[-1] == sequence
    assert await operator.metric("sluicegate_operator_statuses_written") == 0


async def put_all(cluster: OperatedCluster, version: int) -> None:
    """Six deployments that make a bundle too large for its index, each in its newest version."""
    for number in range(6):
        noise = random.Random(f"{version}-{number}").randbytes(12_000).hex()
        parameters = {"defaults": {"metadata": {"noise": noise, "version": str(version)}}}
        await cluster.deployment(f"md-{number}", parameters=parameters)


async def dies_at_every_write(cluster: OperatedCluster, points: list[tuple[int, bool]]) -> None:
    operator = await cluster.start_operator()
    [gateway] = await cluster.start_gateways(1)
    await put_all(cluster, 0)
    for number in range(6):
        await cluster.ready(f"md-{number}")
    assert gateway.bundle is not None
    assert not gateway.bundle.index.inline
    for version, (write, after) in enumerate(points, 1):
        operator.kill()
        await operator.process.wait()
        await put_all(cluster, version)
        dying = await cluster.start_operator(command=dying_command(write, after=after))
        async with asyncio.timeout(60):
            assert await dying.process.wait() == -signal.SIGKILL
        operator = await cluster.start_operator()
        for number in range(6):
            await cluster.ready(f"md-{number}")
            entry = gateway.config.entries[f"md/{cluster.namespace}/md-{number}"]
            assert f'"version":"{version}"'.encode() in canonical(entry)
    assert gateway.sequences == sorted(set(gateway.sequences))


async def test_an_operator_that_dies_in_the_middle_of_a_publication(
    cluster: OperatedCluster,
) -> None:
    await dies_at_every_write(cluster, [(1, False), (2, True)])


@pytest.mark.heavy
@pytest.mark.timeout(600)
async def test_an_operator_that_dies_at_every_write_of_a_publication(
    cluster: OperatedCluster,
) -> None:
    writes = range(1, 7)
    await dies_at_every_write(cluster, [(one, after) for one in writes for after in (False, True)])


@pytest.mark.heavy
@pytest.mark.timeout(120)
async def test_a_replaced_credential_leaves_the_secrets_in_quiet_times(
    cluster: OperatedCluster,
) -> None:
    await cluster.start_operator()
    [gateway] = await cluster.start_gateways(1)
    await put_all(cluster, 0)
    for number in range(6):
        await cluster.ready(f"md-{number}")
    reference = {"secretRef": {"name": "s", "key": "k"}}
    for value in ("sk-the-first", "sk-the-second"):
        await cluster.secret("s", k=value)
        await cluster.apply(AK, "u", {"upstream": reference})
        await cluster.key_ready("u")

        def holds(one: LeaseGateway, value: str = value) -> bool:
            entry = one.config.entries.get(f"ak/{cluster.namespace}/u")
            return entry is not None and value.encode() in canonical(entry)

        await cluster.gateways_hold(holds)
    assert gateway.bundle is not None
    assert gateway.bundle.changes
    await cluster.gateways_hold(lambda one: one.bundle is not None and not one.bundle.changes)

    mine = Selection(cluster.namespace, "sluicegate.dev/config=sluicegate")

    async def tidy() -> bool:
        """Whether each shard has one content."""
        found = [
            msgspec.json.decode(item, type=ClusterSecret)
            async for page in cluster.admin.pages(SECRETS, mine)
            for item in page.items
        ]
        return all(len(one.data) == 1 for one in found if one.metadata.name != "sluicegate")

    await eventually(tidy)


@pytest.mark.heavy
@pytest.mark.timeout(300)
async def test_an_api_server_and_then_etcd_that_are_away_for_a_minute(
    cluster: OperatedCluster,
) -> None:
    operator = await cluster.start_operator()
    await cluster.start_gateways(2)
    await cluster.deployment("a")
    await cluster.ready("a")
    for weight, program in enumerate((cluster.plane.api_server, cluster.plane.etcd), 2):
        program.kill()
        await asyncio.sleep(60)
        assert operator.running
        assert (await operator.ask("/healthz"))[0] == 200
        program.start()
        await cluster.plane.ready()
        await cluster.deployment("a", weight=weight)
        await cluster.ready("a")
    assert operator.running


async def test_kinds_that_are_deleted_and_made_anew(cluster: OperatedCluster) -> None:
    operator = await cluster.start_operator()
    await cluster.start_gateways(1)
    await asyncio.gather(*(cluster.deployment(f"md-{number}") for number in range(12)))
    await cluster.gateways_hold(lambda gateway: len(gateway.config.entries) == 24)
    await cluster.admin.delete(CRDS, "modeldeployments.sluicegate.dev")
    await operator.until_said("modeldeployments: 404")
    await apply_manifests(cluster.admin, *sorted((ROOT / "crds").glob("*.yaml")))
    await cluster.deployment("new")
    await cluster.ready("new")
    assert operator.running
    await cluster.key("k", generate={"secretName": "k-key"})
    await cluster.key_ready("k")


async def test_many_keys_are_minted_at_once(cluster: OperatedCluster) -> None:
    operator = await cluster.start_operator()
    await operator.until_said("this operator leads")
    await cluster.start_gateways(1)
    count = 150
    await asyncio.gather(
        *(
            cluster.key(f"k-{number}", generate={"secretName": f"k-{number}-key"})
            for number in range(count)
        )
    )
    for number in range(count):
        await cluster.key_ready(f"k-{number}")

    def minted() -> int:
        return sum("client key minted" in line for line in operator.log)

    async def all_said() -> bool:
        return minted() >= count

    await eventually(all_said)
    assert minted() == count


async def test_nothing_is_published_before_every_kind_is_known(cluster: OperatedCluster) -> None:
    await cluster.admin.delete(CRDS, "apikeys.sluicegate.dev")
    operator = await cluster.start_operator()
    [gateway] = await cluster.start_gateways(1)
    await cluster.deployment("a")
    await operator.until_said("apikeys: 404")
    assert (await operator.ask("/readyz"))[0] == 503
    assert (await operator.ask("/healthz"))[0] == 200
    await asyncio.sleep(1)
    assert gateway.sequences == []
    await apply_manifests(cluster.admin, *sorted((ROOT / "crds").glob("*.yaml")))
    await cluster.ready("a")
    assert (await operator.ask("/readyz"))[0] == 200

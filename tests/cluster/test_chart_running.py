"""A release whose pods really run: the chart's arguments, tokens, volumes and probes, by helm."""

import contextlib
import json
import sqlite3

import pytest

from cluster_identities import apply_manifests
from helm_chart import CHART
from helm_release import NAMESPACE, told_commands
from pod_process import Object, PodProcess
from released_cluster import ReleasedCluster
from stream_load import StreamLoad

# Takes 10 s, so that a stream begins before a change and ends after it.
STORY = """\
apiVersion: sluicegate.dev/v1alpha1
kind: ModelDeployment
metadata: {name: story}
spec:
  provider:
    echo: {chunkDelay: 1s, text: "a gateway took every change without any restart at all"}
"""
MORE_WORDS = ("--set", "gateway.logLevel=debug")
SEVERAL = ("--set", "gateway.replicas=3,stores.acceptLocal=true")


async def ask_as_the_notes_say(cluster: ReleasedCluster, notes: str) -> None:
    """Type what the release's notes tell a person to type, but for the way to the Service."""
    forward = f"kubectl port-forward -n {NAMESPACE} svc/sluicegate 4000:80 &\n"
    commands = told_commands(notes)
    assert forward in commands  # it asks a kubelet; here is the Service's balancer
    commands = commands.replace(forward, "").replace(":4000", f":{cluster.service.port}")
    assert '"text":"Hello, gateway"' in await cluster.helm.shell(commands)


async def test_from_install_to_the_first_answer_and_away_again(released: ReleasedCluster) -> None:
    helm = released.helm
    told = await helm("install", "sluicegate", CHART, "--create-namespace", "--wait")
    await ask_as_the_notes_say(released, told)
    assert "Succeeded" in await helm("test", "sluicegate")

    await apply_manifests(released.admin, STORY)
    await released.ready("story")
    (before,) = released.nodes.serving
    load = StreamLoad(released.service.port, await released.minted_key("my-key"))
    async with load.running(streams=20, clients=2):
        await helm("upgrade", "sluicegate", CHART, "--wait", *MORE_WORDS)
    assert load.failures == []
    assert before.name not in {one.name for one in released.nodes.serving}

    await helm("uninstall", "sluicegate", "--wait")
    await released.nodes.until_ended(released.nodes.history)
    assert {(one.exit_code, one.starts) for one in released.nodes.history} == {(0, 1)}
    await helm.shell(f"kubectl delete namespace {NAMESPACE} --timeout=60s")


@pytest.mark.heavy
@pytest.mark.timeout(300)
async def test_a_ledger_in_a_volume_outlives_the_gateways(released: ReleasedCluster) -> None:
    helm = released.helm
    claim = "stores.ledger.persistentVolumeClaim"
    ledger = ("--set", f"{claim}.enabled=true,{claim}.storageClassName=fast,{claim}.size=1Gi")
    await helm.make_disk("disk")
    told = await helm("install", "sluicegate", CHART, "--create-namespace", "--wait", *ledger)
    await ask_as_the_notes_say(released, told)
    await helm("upgrade", "sluicegate", CHART, "--wait", *ledger, *MORE_WORDS)
    await ask_as_the_notes_say(released, told)
    await helm("uninstall", "sluicegate", "--wait")
    await released.nodes.until_ended(released.nodes.history)
    gateways = released.nodes.of("gateway")
    assert len(gateways) == 2
    (url,) = {one.environ["SLUICEGATE_STORE_URL"].rpartition("/")[2] for one in gateways}
    (stored,) = (released.nodes.claims / "sluicegate-ledger").rglob(url)
    with contextlib.closing(sqlite3.connect(stored)) as database:
        assert database.execute("select count(*) from sluicegate_calls").fetchone() == (2,)
    await helm.shell(f"kubectl get pvc -n {NAMESPACE} sluicegate-ledger")


@pytest.mark.heavy
@pytest.mark.timeout(600)
async def test_rolling_restarts_upgrades_and_rollbacks_break_no_stream(
    released: ReleasedCluster,
) -> None:
    helm = released.helm
    told = await helm("install", "sluicegate", CHART, "--create-namespace", "--wait", *SEVERAL)
    await ask_as_the_notes_say(released, told)
    await apply_manifests(released.admin, STORY)
    await released.ready("story")
    load = StreamLoad(released.service.port, await released.minted_key("my-key"))

    async def restart() -> None:
        await helm.shell(
            f"kubectl rollout restart -n {NAMESPACE} deployment/sluicegate-gateway"
            f" && kubectl rollout status -n {NAMESPACE} deployment/sluicegate-gateway"
        )

    async def upgrade() -> None:
        await helm("upgrade", "sluicegate", CHART, "--wait", *SEVERAL, *MORE_WORDS)

    async def rollback() -> None:
        await helm("rollback", "sluicegate", "1", "--wait")

    for change in (restart, upgrade, rollback):
        before = {one.name for one in released.nodes.serving}
        streams = load.streams
        async with load.running(streams=100, clients=5):
            assert load.open == 100
            await change()
        assert load.failures == []
        assert load.streams - streams >= 100
        after = {one.name for one in released.nodes.serving}
        assert len(before) == len(after) == 3
        assert not before & after
    ended = [one for one in released.nodes.of("gateway") if one.name not in after]
    await released.nodes.until_ended(ended)
    assert [one.exit_code for one in ended] == [0] * 9
    drained = [said(one, "draining")["requests_in_flight"] for one in ended]
    assert sum(drained) > 50, drained
    assert [said(one, "stopped")["requests_cut_off"] for one in ended] == [0] * 9
    assert {one.starts for one in released.nodes.history} == {1}
    assert [one.name for one in released.nodes.history if one.peak_memory > limit(one)] == []


def said(process: PodProcess, message: str) -> Object:
    """The one log line with this message."""
    lines = (json.loads(line) for line in process.log if line.startswith("{"))
    (found,) = (line for line in lines if line["message"] == message)
    return found


def limit(process: PodProcess) -> int:
    """Bytes of memory that its manifest lets it have."""
    quantity: str = process.container["resources"]["limits"]["memory"]
    return int(quantity[:-2]) * {"Mi": 2**20, "Gi": 2**30}[quantity[-2:]]

"""What a status says of all gateways holds for every request from then on, whatever they do."""

from __future__ import annotations

import asyncio
import json
import re
from collections import defaultdict
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import msgspec
import pytest

from cluster_identities import service_account_kubeconfig
from eventually import eventually
from loopback_proxy import LoopbackProxy
from operated_cluster import Object, condition
from raw_client import RawClient
from served_cluster import ServedCluster
from served_folder import Served
from sluicegate.cluster import (
    API_KEYS,
    MODEL_DEPLOYMENTS,
    ObjectKey,
    Reflector,
)

pytestmark = pytest.mark.usefixtures("crds")

KEY = "sk-a-key-of-the-teams"
VERSION = re.compile(rb"version ([0-9]+)")


def asking(model: str) -> tuple[bytes, dict[str, str]]:
    return json.dumps({"model": model, "input": "hi"}).encode(), {"Authorization": f"Bearer {KEY}"}


async def status_of(gateway: Served, model: str) -> int:
    return (await gateway.post(*asking(model))).status


@dataclass
class Ledger:
    """What was answered, and the version that every gateway must have by now."""

    programmed: int = 0
    answered: int = 0
    older: int = 0
    versions: defaultdict[str, set[int]] = field(default_factory=lambda: defaultdict(set))

    async def ask(self, gateway: Served, enough: asyncio.Event) -> None:
        """One client with one connection, until there have been enough."""
        async with await RawClient.open(gateway.port) as client:
            while not enough.is_set():
                least = self.programmed
                client.post(*asking("a"))
                answer = await client.answer()
                assert answer.status == 200, answer.body
                found = VERSION.search(answer.body)
                assert found is not None, answer.body
                self.answered += 1
                self.older += int(found[1]) < least
                self.versions[answer.headers["x-sluicegate-config"]].add(int(found[1]))


class Onlooker:
    """Sees the moment in which `a` is programmed, and says the version that this is true of."""

    def __init__(self, cluster: ServedCluster, ledger: Ledger) -> None:
        self.ledger = ledger
        self.news = asyncio.Event()
        self._key = ObjectKey(cluster.namespace, "a")
        decode = msgspec.json.Decoder(Object).decode
        self.reflector = Reflector(
            cluster.admin,
            MODEL_DEPLOYMENTS,
            decode,
            on_change=self.see,
            namespace=cluster.namespace,
        )

    def see(self, changed: frozenset[ObjectKey]) -> None:
        found = self.reflector.objects.get(self._key)
        if self._key not in changed or found is None:
            return
        programmed = condition(found, "Programmed")
        now = found["metadata"]["generation"]
        if programmed.get("status") == "True" and programmed.get("observedGeneration") == now:
            text = found["spec"]["provider"]["echo"]["text"]
            self.ledger.programmed = int(text.removeprefix("version "))
            self.news.set()

    async def until(self, version: int) -> None:
        async with asyncio.timeout(60):
            while self.ledger.programmed < version:
                self.news.clear()
                await self.news.wait()


async def nothing_older(cluster: ServedCluster, requests: int) -> None:
    """Changes, one after another, and others in between, while every gateway is asked."""
    await cluster.start_operator()
    gateways = [await cluster.serve(f"gw-{number}") for number in range(3)]
    await cluster.secret("s", key=KEY)
    await cluster.key("team", secretRef={"name": "s", "key": "key"})
    await cluster.deployment("a", provider={"echo": {"text": "version 0"}})
    await cluster.ready("a")
    await cluster.key_ready("team")
    ledger, enough, version = Ledger(), asyncio.Event(), 0
    onlooker = Onlooker(cluster, ledger)

    async def others() -> None:
        number = 0
        while not enough.is_set():
            number += 1
            await cluster.deployment("other", provider={"echo": {"text": f"other {number}"}})
            await asyncio.sleep(0.07)

    async with asyncio.TaskGroup() as tasks:
        looking = tasks.create_task(onlooker.reflector.run())
        tasks.create_task(others())
        for gateway in gateways:
            tasks.create_task(ledger.ask(gateway, enough))
            tasks.create_task(ledger.ask(gateway, enough))
        while ledger.answered < requests or version < 3:
            version += 1
            await cluster.deployment("a", provider={"echo": {"text": f"version {version}"}})
            await onlooker.until(version)
        enough.set()
        looking.cancel()
    assert ledger.older == 0, (ledger.answered, version)
    several = {revision for revision, found in ledger.versions.items() if len(found) > 1}
    assert not several
    assert len(ledger.versions) > version


async def test_no_request_is_answered_by_an_older_config_than_is_programmed(
    cluster: ServedCluster,
) -> None:
    await nothing_older(cluster, 500)


@pytest.mark.heavy
@pytest.mark.timeout(400)
async def test_none_of_ten_thousand_requests_is_answered_by_an_older_config(
    cluster: ServedCluster,
) -> None:
    await nothing_older(cluster, 10_000)


async def test_a_key_that_went_while_the_operator_could_not_watch_is_refused(
    cluster: ServedCluster,
) -> None:
    port = urlsplit(cluster.plane.url).port
    assert port is not None
    async with LoopbackProxy(port).listening() as proxy:
        kubeconfig = await service_account_kubeconfig(
            cluster.plane,
            cluster.admin,
            cluster.namespace,
            "sluicegate-operator",
            folder=cluster.folder,
        )
        text = kubeconfig.read_text()
        kubeconfig.write_text(text.replace(cluster.plane.url, f"https://127.0.0.1:{proxy.port}"))
        cluster.kubeconfig = kubeconfig
        operator = await cluster.start_operator()
        gateways = [await cluster.serve(f"gw-{number}") for number in range(2)]
        await cluster.secret("s", key=KEY)
        await cluster.key("team", secretRef={"name": "s", "key": "key"})
        await cluster.deployment("a")
        await cluster.ready("a")
        await cluster.key_ready("team")
        assert [await status_of(gateway, "a") for gateway in gateways] == [200, 200]
        proxy.cut()
        await operator.until_said("modeldeployments")
        await cluster.admin.delete(API_KEYS, "team", namespace=cluster.namespace)
        assert [await status_of(gateway, "a") for gateway in gateways] == [200, 200]
        proxy.heal()

        async def refused() -> bool:
            return [await status_of(gateway, "a") for gateway in gateways] == [401, 401]

        await eventually(refused)
        assert operator.running

"""Applied to the API server, answered by gateway processes: the whole way, each under its role."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from cluster_identities import make_pod, service_account_kubeconfig
from control_plane import ControlPlane
from operated_cluster import OperatedCluster, condition
from served_folder import Served, served
from sluicegate.cluster import API_KEYS, SECRETS, ClusterClient, ClusterSecret

pytestmark = pytest.mark.usefixtures("crds")


class Site(OperatedCluster):
    """With real gateways."""

    async def serve(self, pod: str) -> Served:
        """A gateway process in a pod of this name."""
        account = "sluicegate-gateway"
        made = await make_pod(self.admin, self.namespace, pod, service_account=account)
        kubeconfig = await service_account_kubeconfig(
            self.plane, self.admin, self.namespace, account, pod=pod, folder=self.folder
        )
        environ = {
            "KUBECONFIG": str(kubeconfig),
            "SLUICEGATE_CLUSTER": "true",
            "SLUICEGATE_POD_NAME": pod,
            "SLUICEGATE_POD_UID": made.metadata.uid,
            "SLUICEGATE_STATE_DIR": str(self.folder / pod),
        }
        return await self.stack.enter_async_context(served(environ=environ))


@pytest.fixture
async def site(
    control_plane: ControlPlane, admin: ClusterClient, installed: str, tmp_path: Path
) -> AsyncIterator[Site]:
    async with AsyncExitStack() as stack:
        made = Site(control_plane, admin, installed, tmp_path, stack)
        await made.start_operator()
        yield made


async def ask(gateway: Served, key: str, model: str) -> tuple[int, str]:
    body = json.dumps({"model": model, "input": "hi"}).encode()
    answer = await gateway.post(body, {"Authorization": f"Bearer {key}"})
    return answer.status, answer.body.decode()


async def test_what_is_ready_is_served_by_every_gateway(site: Site) -> None:
    await site.key("team", generate={"secretName": "team-key"})
    gateways = [await site.serve("gw-a"), await site.serve("gw-b")]
    await site.key_ready("team")
    secret = await site.admin.get(SECRETS, "team-key", ClusterSecret, namespace=site.namespace)
    key = secret.data["key"].decode()
    for number in range(5):
        text = f"version {number}"
        await site.deployment("a", provider={"echo": {"text": text}})
        await site.ready("a")
        for gateway in gateways:
            status, body = await ask(gateway, key, "a")
            assert (status, text in body) == (200, True), body


async def test_a_revoked_key_is_refused_by_every_gateway_once_that_is_programmed(
    site: Site,
) -> None:
    gateways = [await site.serve("gw-a"), await site.serve("gw-b")]
    await site.secret("s", key="sk-a-key-of-the-teams")
    reference = {"name": "s", "key": "key"}
    await site.key("team", secretRef=reference)
    await site.deployment("a")
    await site.ready("a")
    await site.key_ready("team")
    for gateway in gateways:
        assert (await ask(gateway, "sk-a-key-of-the-teams", "a"))[0] == 200
    await site.key("team", secretRef=reference, revoked=True)
    await site.until(API_KEYS, "team", lambda o: condition(o, "Ready").get("reason") == "Revoked")
    for gateway in gateways:
        assert (await ask(gateway, "sk-a-key-of-the-teams", "a"))[0] == 401


async def ask_after_each(site: Site, *, revisions: int, requests: int) -> None:
    """Once a version is programmed, no request is answered by an older one, on any gateway."""
    gateways = [await site.serve(f"gw-{number}") for number in range(3)]
    await site.secret("s", key="sk-a-key-of-the-teams")
    await site.key("team", secretRef={"name": "s", "key": "key"})
    await site.key_ready("team")
    for number in range(revisions):
        text = f"version-{number};"
        await site.deployment("a", provider={"echo": {"text": text}})
        changes = asyncio.create_task(change_others(site))
        await site.ready("a")

        async def asked(gateway: Served, text: str = text) -> None:
            for _ in range(requests // revisions):
                status, body = await ask(gateway, "sk-a-key-of-the-teams", "a")
                assert (status, text in body) == (200, True), body

        await asyncio.gather(*(asked(gateway) for gateway in gateways))
        changes.cancel()
        await asyncio.wait([changes])


async def change_others(site: Site) -> None:
    """The configuration goes on changing meanwhile."""
    for number in range(10_000):
        await site.deployment(f"other-{number % 7}", weight=number % 50 + 1)


async def test_no_older_version_answers_once_one_is_programmed(site: Site) -> None:
    await ask_after_each(site, revisions=3, requests=90)


@pytest.mark.heavy
@pytest.mark.timeout(400)
async def test_of_ten_thousand_requests_none_is_answered_by_an_older_version(site: Site) -> None:
    await ask_after_each(site, revisions=20, requests=10_000)

"""Applied to the API server, answered by gateway processes: the whole way, each under its role."""

from __future__ import annotations

import json

import pytest

from operated_cluster import condition, reason
from served_cluster import ServedCluster
from served_folder import Served
from sluicegate.cluster import API_KEYS, MODEL_DEPLOYMENTS, SECRETS, ClusterSecret

pytestmark = pytest.mark.usefixtures("crds")


@pytest.fixture
async def site(cluster: ServedCluster) -> ServedCluster:
    await cluster.start_operator()
    return cluster


async def ask(gateway: Served, key: str, model: str) -> tuple[int, str]:
    body = json.dumps({"model": model, "input": "hi"}).encode()
    answer = await gateway.post(body, {"Authorization": f"Bearer {key}"})
    return answer.status, answer.body.decode()


async def test_what_is_ready_is_served_by_every_gateway(site: ServedCluster) -> None:
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


async def test_what_a_gateway_has_no_credential_for_is_not_said_to_be_ready(
    site: ServedCluster,
) -> None:
    await site.serve("gw-a", {"OPENAI_API_KEY": "sk-of-this-gateway"})
    provider = {"openai": {"model": "gpt-5-mini"}}
    await site.deployment("ambient", provider=provider)
    await site.ready("ambient")
    await site.serve("gw-b")
    found = await site.until(
        MODEL_DEPLOYMENTS, "ambient", lambda one: reason(one, "Programmed") == "Rejected"
    )
    message = condition(found, "Ready")["message"]
    assert message.startswith("gateway gw-b can't call it: has no credentials: ")
    assert "OPENAI_API_KEY" in message
    assert "sk-of-this-gateway" not in str(found)
    await site.deployment("ambient", provider={"echo": {"text": "hi"}})
    await site.ready("ambient")


async def test_a_revoked_key_is_refused_by_every_gateway_once_that_is_programmed(
    site: ServedCluster,
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

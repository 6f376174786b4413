"""The life of ApiKeys on a real API server: minted once, rotated, expired, revoked, lost."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from operated_cluster import OperatedCluster, condition, reason
from sluicegate.cluster import API_KEYS, SECRETS, ClusterSecret, Metadata
from sluicegate.config import ClientKey

AK = API_KEYS
pytestmark = pytest.mark.usefixtures("crds")


@pytest.fixture
async def cluster(cluster: OperatedCluster) -> OperatedCluster:
    await cluster.start_gateways(2)
    await cluster.start_operator()
    return cluster


def in_seconds(seconds: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


async def minted(cluster: OperatedCluster, name: str) -> ClusterSecret:
    return await cluster.admin.get(SECRETS, name, ClusterSecret, namespace=cluster.namespace)


def digests(cluster: OperatedCluster, name: str) -> list[int]:
    """How many digests of a key each gateway has; 0 where it does not know the key."""
    entry_id = f"ak/{cluster.namespace}/{name}"
    entries = [gateway.config.entries.get(entry_id) for gateway in cluster.gateways]
    return [len(entry.digests) if isinstance(entry, ClientKey) else 0 for entry in entries]


async def test_a_key_is_minted_once_into_a_secret_of_its_own(cluster: OperatedCluster) -> None:
    await cluster.key("team", generate={"secretName": "team-key"})
    found = await cluster.key_ready("team")
    secret = await minted(cluster, "team-key")
    key = secret.data["key"].decode()
    assert key.startswith("sk-sg-")
    assert secret.metadata.labels["app.kubernetes.io/managed-by"] == "sluicegate"
    [owner] = secret.metadata.owner_references
    assert (owner.kind, owner.name, owner.uid) == ("ApiKey", "team", found["metadata"]["uid"])
    assert not owner.block_owner_deletion
    status = found["status"]
    assert (status["type"], status["secretName"]) == ("Client", "team-key")
    assert [one["id"] for one in status["keys"]] == [key.split("-")[2]]
    assert key not in str(found)
    await cluster.key("team", generate={"secretName": "team-key"}, models=["a"])
    await cluster.key_ready("team")
    assert (await minted(cluster, "team-key")).data["key"].decode() == key


async def test_a_lost_secret_is_minted_anew_and_the_old_key_is_out(
    cluster: OperatedCluster,
) -> None:
    await cluster.key("team", generate={"secretName": "team-key"})
    before = (await cluster.key_ready("team"))["status"]["keys"][0]["id"]
    await cluster.admin.delete(SECRETS, "team-key", namespace=cluster.namespace)
    found = await cluster.until(
        AK, "team", lambda o: any(one["id"] != before for one in o["status"].get("keys", []))
    )
    assert found["status"]["keys"][0]["id"] != before
    await cluster.key_ready("team")


async def test_an_existing_secret_is_never_adopted(cluster: OperatedCluster) -> None:
    await cluster.secret("mine", key="sk-someone-elses-key")
    await cluster.secret("plain", labelled=False, key="sk-someone-elses-key")
    await cluster.key("one", generate={"secretName": "mine"})
    await cluster.key("two", generate={"secretName": "plain"})
    await cluster.until(AK, "one", lambda o: reason(o) == "SecretExists")
    await cluster.until(AK, "two", lambda o: reason(o) == "SecretExists")
    assert (await minted(cluster, "mine")).data["key"] == b"sk-someone-elses-key"


async def test_a_rotation_leaves_both_keys_until_the_overlap_ends(
    cluster: OperatedCluster,
) -> None:
    generate = {"secretName": "team-key"}
    await cluster.key("team", generate=generate)
    await cluster.key_ready("team")
    old = (await minted(cluster, "team-key")).data["key"]
    rotation = {"requestedAt": in_seconds(-1), "overlap": "12s"}
    await cluster.key("team", generate=generate, rotation=rotation)
    found = await cluster.until(AK, "team", lambda o: len(o["status"].get("keys", [])) == 2)
    assert "notAfter" in found["status"]["keys"][1]
    secret = await minted(cluster, "team-key")
    assert secret.data["previousKey"] == old
    assert secret.data["key"] != old
    await cluster.gateways_hold(lambda _: digests(cluster, "team") == [2, 2])
    await cluster.gateways_hold(lambda _: digests(cluster, "team") == [1, 1])
    await cluster.until(AK, "team", lambda o: len(o["status"].get("keys", [])) == 1)
    await cluster.key("team", generate=generate, rotation=rotation, models=["a"])
    await cluster.key_ready("team")
    assert (await minted(cluster, "team-key")).data["key"] == secret.data["key"]


async def test_a_rotation_that_is_to_come_is_told_and_comes(cluster: OperatedCluster) -> None:
    generate = {"secretName": "team-key"}
    rotation = {"requestedAt": in_seconds(3600), "overlap": "1h"}
    await cluster.key("team", generate=generate, rotation=rotation)
    found = await cluster.key_ready("team")
    old = (await minted(cluster, "team-key")).data["key"]
    assert "the key is rotated then" in condition(found, "Accepted")["message"]
    assert len(found["status"]["keys"]) == 1
    rotation = {"requestedAt": in_seconds(4), "overlap": "1h"}
    await cluster.key("team", generate=generate, rotation=rotation)
    found = await cluster.until(AK, "team", lambda o: len(o["status"].get("keys", [])) == 2)
    assert (await minted(cluster, "team-key")).data["previousKey"] == old
    assert "rotated" not in condition(found, "Accepted")["message"]


async def test_a_key_that_cannot_be_rotated_is_not_said_to_be(cluster: OperatedCluster) -> None:
    generate = {"secretName": "team-key"}
    await cluster.key("team", generate=generate)
    old = (await cluster.key_ready("team"))["status"]["keys"]
    fixed = {"immutable": True}
    await cluster.admin.patch(SECRETS, "team-key", fixed, Metadata, namespace=cluster.namespace)
    rotation = {"requestedAt": in_seconds(-1), "overlap": "1h"}
    await cluster.key("team", generate=generate, rotation=rotation)
    found = await cluster.until(AK, "team", lambda o: o["status"]["observedGeneration"] == 2)
    assert reason(found) == "Waiting"
    assert "rotated" in condition(found, "Ready")["message"]
    assert found["status"]["keys"] == old
    await cluster.admin.delete(SECRETS, "team-key", namespace=cluster.namespace)
    await cluster.key_ready("team")


async def test_one_key_has_one_holder(cluster: OperatedCluster) -> None:
    await cluster.secret("shared", key="sk-one-and-the-same-key")
    reference = {"name": "shared", "key": "key"}
    await cluster.key("z-first", secretRef=reference)
    await cluster.key_ready("z-first")
    await cluster.key("a-second", secretRef=reference)
    found = await cluster.until(AK, "a-second", lambda o: reason(o) == "DuplicateKey")
    assert condition(found, "Stalled")["status"] == "True"
    await cluster.key_ready("z-first")
    await cluster.admin.delete(AK, "z-first", namespace=cluster.namespace)
    await cluster.key_ready("a-second")


async def test_a_key_is_announced_to_expire_and_expires(cluster: OperatedCluster) -> None:
    await cluster.secret("s", key="sk-a-key-of-the-teams")
    reference = {"name": "s", "key": "key"}
    await cluster.key("team", secretRef=reference, expiresAt=in_seconds(3600))
    found = await cluster.key_ready("team")
    assert condition(found, "ExpiringSoon")["status"] == "True"
    await cluster.key("team", secretRef=reference, expiresAt=in_seconds(4))
    found = await cluster.until(AK, "team", lambda o: reason(o) == "Expired")
    assert condition(found, "Ready")["status"] == "False"
    assert condition(found, "ExpiringSoon") == {}


async def test_a_revocation_waits_for_nothing_and_is_proved(cluster: OperatedCluster) -> None:
    await cluster.secret("s", key="sk-a-key-of-the-teams")
    reference = {"name": "s", "key": "key"}
    await cluster.key("team", secretRef=reference)
    await cluster.key_ready("team")
    await cluster.key("team", secretRef=reference, revoked=True)

    def revoked(entry: object) -> bool:
        return isinstance(entry, ClientKey) and entry.revoked

    entry_id = f"ak/{cluster.namespace}/team"
    await cluster.gateways_hold(lambda gw: revoked(gw.config.entries.get(entry_id)))
    found = await cluster.until(AK, "team", lambda o: reason(o) == "Revoked")
    assert condition(found, "Ready")["status"] == "True"
    assert condition(found, "Programmed")["status"] == "True"


async def test_a_deleted_key_is_out_on_all_gateways(cluster: OperatedCluster) -> None:
    await cluster.secret("s", key="sk-a-key-of-the-teams")
    await cluster.key("team", secretRef={"name": "s", "key": "key"})
    await cluster.key_ready("team")
    await cluster.admin.delete(AK, "team", namespace=cluster.namespace)
    await cluster.gateways_hold(lambda _: digests(cluster, "team") == [0, 0])

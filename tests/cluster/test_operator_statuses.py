"""The operator on a real API server, under its own role: statuses say what the gateways serve."""

from __future__ import annotations

import asyncio
from itertools import groupby

import msgspec
import pytest

from eventually import eventually
from operated_cluster import Object, OperatedCluster, condition, is_ready, reason
from sluicegate.cluster import (
    EVENTS,
    LEASES,
    MODEL_DEPLOYMENTS,
    Metadata,
    Selection,
)
from sluicegate.config import Deployment, canonical
from troubled_operator import slow_command

MD = MODEL_DEPLOYMENTS


pytestmark = pytest.mark.usefixtures("crds")


async def test_applied_is_published_acknowledged_and_ready(cluster: OperatedCluster) -> None:
    operator = await cluster.start_operator()
    await cluster.start_gateways(3)
    await cluster.deployment("sonnet", model="claude", weight=3)
    found = await cluster.ready("sonnet")
    status = found["status"]
    assert status["observedGeneration"] == 1
    assert (status["model"], status["provider"]) == ("claude", "echo")
    assert status["controller"] == f"{cluster.namespace}/sluicegate"
    assert len(status["revision"]) == 12
    assert reason(found, "Programmed") == "Converged"
    assert condition(found, "Reconciling") == {}
    for gateway in cluster.gateways:
        if gateway.sequences:
            assert f"md/{cluster.namespace}/sonnet" in gateway.config.entries
    await cluster.until(MD, "sonnet", lambda o: o["status"]["gateways"]["summary"] == "3/3", 65)
    assert "finalizers" not in found["metadata"]
    assert "annotations" not in found["metadata"]
    assert (await operator.ask("/readyz"))[0] == 200
    assert (await operator.ask("/healthz"))[0] == 200
    assert not operator.said("mend the roles"), operator.log


async def test_ready_is_never_said_of_what_came_while_the_version_before_was_published(
    cluster: OperatedCluster,
) -> None:
    # Slow enough for a change to come in between, and done before the next publication is due.
    await cluster.start_operator(command=slow_command(0.12))
    [gateway] = await cluster.start_gateways(1)
    for weight in range(1, 13, 2):
        await cluster.deployment("turning", weight=weight)
        await asyncio.sleep(0.04)
        await cluster.deployment("turning", weight=weight + 1)
        await cluster.ready("turning")
        entry = gateway.config.entries[f"md/{cluster.namespace}/turning"]
        assert isinstance(entry, Deployment)
        assert entry.weight == weight + 1
        await asyncio.sleep(0.5)  # so that the next change is published at once


async def test_a_price_that_nobody_knows_is_told_and_holds_nothing_up(
    cluster: OperatedCluster,
) -> None:
    await cluster.start_operator()
    await cluster.start_gateways(1)
    provider = {"openai": {"model": "my-own", "baseURL": "https://models.example.com/v1"}}
    await cluster.secret("s", key="sk-0123456789abcdef")
    credentials = {"secretRef": {"name": "s", "key": "key"}}
    await cluster.deployment("mine", provider=provider, credentials=credentials)
    found = await cluster.ready("mine")
    assert condition(found, "PriceUnknown")["status"] == "True"
    assert "'my-own'" in condition(found, "PriceUnknown")["message"]
    prices = {"input": "1", "output": "2"}
    await cluster.deployment("mine", provider=provider, credentials=credentials, pricing=prices)
    found = await cluster.until(MD, "mine", lambda o: condition(o, "PriceUnknown") == {})
    assert condition(found, "Accepted")["status"] == "True"


async def test_one_that_lags_is_told_and_then_ready(cluster: OperatedCluster) -> None:
    await cluster.start_operator()
    _, slow = await cluster.start_gateways(2)
    await cluster.deployment("a")
    await cluster.ready("a")
    slow.holds = True
    await cluster.deployment("a", weight=5)
    found = await cluster.until(MD, "a", lambda o: reason(o, "Programmed") == "Waiting")
    found = await cluster.until(MD, "a", lambda o: o["status"]["gateways"]["summary"] == "1/2")
    assert slow.name in condition(found, "Ready")["message"]
    assert not is_ready(found)
    slow.holds = False
    await cluster.ready("a")


async def test_why_a_gateway_refuses_is_in_the_object(cluster: OperatedCluster) -> None:
    await cluster.start_operator()
    _, strict = await cluster.start_gateways(2)
    await cluster.deployment("a")
    await cluster.ready("a")
    strict.holds, strict.error = True, "entry md/x: unknown field `colour`"
    await cluster.deployment("a", weight=5)
    found = await cluster.until(MD, "a", lambda o: reason(o) == "Rejected")
    assert "unknown field `colour`" in condition(found, "Ready")["message"]
    strict.holds, strict.error = False, ""
    await cluster.ready("a")


async def test_a_gateway_that_is_cut_off_is_said_not_forgotten(cluster: OperatedCluster) -> None:
    await cluster.start_operator("--gateway-silence=3")
    _, lost = await cluster.start_gateways(2)
    await cluster.deployment("a")
    await cluster.ready("a")
    await lost.go_silent()

    def lost_is_told(found: Object) -> bool:
        ready = condition(found, "Ready")
        return ready["reason"] == "GatewayUnreachable" and lost.name in ready["message"]

    await cluster.until(MD, "a", lost_is_told)
    await cluster.admin.delete(LEASES, lost.name, namespace=cluster.namespace)
    await cluster.ready("a")


async def test_a_broken_object_concerns_nobody_else_and_keeps_its_last_good(
    cluster: OperatedCluster,
) -> None:
    await cluster.start_operator()
    await cluster.start_gateways(1)
    await cluster.deployment("good")
    shared = {"provider": {"openai": {"model": "m", "baseURL": "https://api.example.com/v1"}}}
    await cluster.secret("s", token="sk-1234567890123456")
    await cluster.deployment(
        "bad", **shared, credentials={"secretRef": {"name": "s", "key": "token"}}
    )
    await cluster.ready("bad")
    await cluster.deployment(
        "bad",
        provider={"openai": {"model": "m", "baseURL": "http://10.0.0.1/v1"}},
        credentials={"secretRef": {"name": "s", "key": "token"}},
    )
    found = await cluster.until(MD, "bad", lambda o: reason(o) == "AddressNotAllowed")
    assert condition(found, "Stalled")["status"] == "True"
    assert "last good" in condition(found, "Accepted")["message"]
    await cluster.ready("good")
    entry = cluster.gateways[0].config.entries[f"md/{cluster.namespace}/bad"]
    assert b"https://api.example.com/v1" in canonical(entry)


async def test_what_is_missing_resolves_by_itself_when_it_comes(cluster: OperatedCluster) -> None:
    await cluster.start_operator()
    await cluster.start_gateways(1)
    await cluster.deployment(
        "a",
        provider={"openai": {"model": "m"}},
        credentials={"secretRef": {"name": "late", "key": "token"}},
    )
    found = await cluster.until(MD, "a", lambda o: reason(o) == "SecretNotFound")
    assert condition(found, "Reconciling")["status"] == "True"
    await cluster.secret("late", token="sk-1234567890123456")
    before = (await cluster.ready("a"))["status"]["revision"]
    await cluster.secret("late", token="sk-another-one-1234")
    after = await cluster.until(MD, "a", lambda o: o["status"]["revision"] != before)
    assert "sk-" not in str(after["status"])
    await cluster.ready("a")
    entry_id = f"md/{cluster.namespace}/a"
    await cluster.gateways_hold(
        lambda gateway: b"sk-another-one-1234" in canonical(gateway.config.entries[entry_id])
    )


async def test_a_secret_without_the_label_is_told_apart(cluster: OperatedCluster) -> None:
    await cluster.start_operator()
    await cluster.start_gateways(1)
    await cluster.secret("plain", labelled=False, token="sk-1234567890123456")
    credentials = {"secretRef": {"name": "plain", "key": "token"}}
    await cluster.deployment("a", provider={"openai": {"model": "m"}}, credentials=credentials)
    await cluster.until(MD, "a", lambda o: reason(o) == "SecretNotLabelled")
    await cluster.secret("plain", token="sk-1234567890123456")
    await cluster.ready("a")


async def test_events_tell_turns_and_nothing_else(cluster: OperatedCluster) -> None:
    await cluster.start_operator()
    await cluster.start_gateways(1)
    made = await cluster.deployment("a")
    found = await cluster.ready("a")
    for weight in range(2, 6):
        await cluster.deployment("a", weight=weight)
        found = await cluster.ready("a")
    # One, unless the gateway took so long that the object was not ready in between.
    turns = (await verdicts(cluster, made, found)).count("Ready")

    async def told() -> int:
        selection = Selection(cluster.namespace, field_selector="regarding.name=a")
        pages = [page async for page in cluster.admin.pages(EVENTS, selection)]
        return sum(b'"reason":"Ready"' in item for page in pages for item in page.items)

    async def all_told() -> bool:
        return await told() >= turns

    await eventually(all_told)
    await asyncio.sleep(0.5)
    assert await told() == turns


async def verdicts(cluster: OperatedCluster, first: Object, last: Object) -> list[str]:
    """The reasons of `Ready` that an object had between two versions, one after another."""
    name, version = (first["metadata"][one] for one in ("name", "resourceVersion"))
    selection = Selection(cluster.namespace, field_selector=f"metadata.name={name}")
    found: list[str] = []
    async with cluster.admin.watch(MD, selection, version, seconds=60, idle=60) as batches:
        async for lines in batches:
            for line in lines:
                seen: Object = msgspec.json.decode(line)["object"]
                found.append(reason(seen))
                if seen["metadata"]["resourceVersion"] == last["metadata"]["resourceVersion"]:
                    return [each for each, _ in groupby(found)]
    raise AssertionError(found)


async def test_two_operators_one_leads_and_the_other_takes_over(cluster: OperatedCluster) -> None:
    first = await cluster.start_operator(name="op-a")
    await first.until_said("this operator leads")
    second = await cluster.start_operator(name="op-b")
    await cluster.start_gateways(2)
    await second.until_said("op-a leads: waiting")
    await cluster.deployment("a")
    await cluster.ready("a")
    assert (await second.ask("/readyz"))[0] == 200
    assert await first.end() == 0
    await second.until_said("this operator leads")
    await cluster.deployment("a", weight=2)
    await cluster.ready("a")
    for gateway in cluster.gateways:
        assert gateway.sequences == sorted(set(gateway.sequences))


async def test_a_frozen_leader_that_wakes_up_ends(cluster: OperatedCluster) -> None:
    first = await cluster.start_operator(name="op-a")
    await first.until_said("this operator leads")
    second = await cluster.start_operator(name="op-b")
    await cluster.start_gateways(1)
    await second.until_said("op-a leads: waiting")
    first.pause()
    await second.until_said("this operator leads")
    await cluster.deployment("a")
    await cluster.ready("a")
    first.resume()
    await cluster.deployment("a", weight=2)
    async with asyncio.timeout(60):
        assert await first.process.wait() == 1
    await first.until_said("op-b has taken the lead")
    await cluster.ready("a")


async def test_another_release_on_the_same_objects_is_complained_about(
    cluster: OperatedCluster,
) -> None:
    operator = await cluster.start_operator()
    await cluster.start_gateways(1)
    await cluster.deployment("a")
    await cluster.ready("a")
    patch = {"status": {"controller": "elsewhere/sluicegate"}}
    await cluster.admin.patch(
        MD, "a", patch, Metadata, namespace=cluster.namespace, subresource="status"
    )
    await operator.until_said("is also looked after by the operator of elsewhere/sluicegate")

"""Many objects at once. `make test-heavy` runs the large ones."""

from __future__ import annotations

import asyncio
import time

import pytest

from operated_cluster import OperatedCluster, is_ready, reason
from sluicegate.cluster import API_KEYS, MODEL_DEPLOYMENTS, Selection
from sluicegate.config import Deployment
from sluicegate_operator.objects import decoder
from sluicegate_operator.rhythm import IN_A_ROW, QUIET, URGENT

pytestmark = pytest.mark.usefixtures("crds")


async def apply_many(cluster: OperatedCluster, count: int) -> None:
    """Half of them deployments, half keys, as fast as the API server takes them."""
    slots = asyncio.Semaphore(16)

    async def apply(number: int) -> None:
        async with slots:
            if number % 2:
                await cluster.deployment(f"md-{number}", model=f"model-{number // 20}")
            else:
                await cluster.key(f"ak-{number}", keyHash=f"sha256:{number:064x}")

    await asyncio.gather(*(apply(number) for number in range(count)))


async def count_ready(cluster: OperatedCluster) -> int:
    ready = 0
    for kind in (MODEL_DEPLOYMENTS, API_KEYS):
        decode = decoder(kind)
        async for page in cluster.admin.pages(kind, Selection(cluster.namespace)):
            for item in page.items:
                found = decode(item)
                condition = found.status.condition("Ready") if found is not None else None
                ready += condition is not None and condition.status == "True"
    return ready


async def until_ready(cluster: OperatedCluster, count: int, seconds: float) -> None:
    async with asyncio.timeout(seconds):
        while await count_ready(cluster) < count:  # noqa: ASYNC110 -- thousands of them
            await asyncio.sleep(0.5)


async def storm(cluster: OperatedCluster, count: int, seconds: float) -> None:
    operator = await cluster.start_operator()
    await operator.until_said("this operator leads")
    [gateway, *_] = await cluster.start_gateways(3)
    started = time.monotonic()
    await apply_many(cluster, count)
    await until_ready(cluster, count, seconds)
    took = time.monotonic() - started
    assert len(gateway.sequences) <= took / 0.2 + 3
    assert await operator.metric("process_resident_memory_bytes") < 250 * 1024 * 1024


async def test_a_hundred_at_once(cluster: OperatedCluster) -> None:
    await storm(cluster, 100, 60)


@pytest.mark.heavy
async def test_two_thousand_at_once_are_ready_within_half_a_minute(
    cluster: OperatedCluster,
) -> None:
    await storm(cluster, 2000, 30)


async def one_broken_among(cluster: OperatedCluster, count: int) -> None:
    await cluster.start_operator()
    await cluster.start_gateways(1)
    private = {"openai": {"model": "m", "baseURL": "http://10.0.0.1/v1"}}
    await cluster.deployment("broken", provider=private)
    await apply_many(cluster, count - 1)
    await until_ready(cluster, count - 1, 60)
    broken = await cluster.until(
        MODEL_DEPLOYMENTS, "broken", lambda one: reason(one) == "AddressNotAllowed"
    )
    assert not is_ready(broken)


async def test_one_broken_among_fifty(cluster: OperatedCluster) -> None:
    await one_broken_among(cluster, 50)


@pytest.mark.heavy
async def test_one_broken_among_five_hundred(cluster: OperatedCluster) -> None:
    await one_broken_among(cluster, 500)


async def test_what_flaps_is_published_five_times_a_second_and_ends_right(
    cluster: OperatedCluster,
) -> None:
    await cluster.start_operator()
    [gateway] = await cluster.start_gateways(1)
    await cluster.deployment("flapping")
    await cluster.ready("flapping")
    before, started = len(gateway.sequences), time.monotonic()
    for weight in range(1, 101):
        await cluster.deployment("flapping", weight=weight)
    await cluster.ready("flapping")
    took = time.monotonic() - started
    assert len(gateway.sequences) - before <= took / 0.2 + 3
    entry = gateway.config.entries[f"md/{cluster.namespace}/flapping"]
    assert isinstance(entry, Deployment)
    assert entry.weight == 100


async def test_keys_that_are_deleted_one_after_another_are_not_published_one_by_one(
    cluster: OperatedCluster,
) -> None:
    await cluster.start_operator()
    [gateway] = await cluster.start_gateways(1)
    names = [f"ak-{number}" for number in range(80)]
    for number, name in enumerate(names):
        await cluster.key(name, keyHash=f"sha256:{number:064x}")
    await until_ready(cluster, len(names), 60)
    before, started = len(gateway.sequences), time.monotonic()
    for name in names:
        await cluster.admin.delete(API_KEYS, name, namespace=cluster.namespace)
    await cluster.gateways_hold(lambda one: not one.config.entries)
    took = time.monotonic() - started
    assert len(gateway.sequences) - before <= took * (URGENT + 1 / QUIET) + IN_A_ROW + 3

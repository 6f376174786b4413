"""Which of several operators writes."""

from __future__ import annotations

import asyncio

import pytest

from sluicegate.cluster import LEASES, ClusterClient, Lease
from sluicegate_operator.leader import Leader, LeadershipLost


async def leading(admin: ClusterClient, namespace: str, identity: str) -> Leader:
    """One that has just taken the lead."""
    leader = Leader(admin, namespace, "sluicegate-operator", identity)
    task = asyncio.create_task(leader.run())
    async with asyncio.timeout(60):
        await leader.wait()
    task.cancel()
    await asyncio.wait([task])
    return leader


async def test_a_container_that_was_restarted_leads_at_once_and_the_one_before_ends(
    admin: ClusterClient, namespace: str
) -> None:
    """Two processes of one name can't be told from a restart; both of them never go on writing."""
    first = await leading(admin, namespace, "op-0")
    await first.renew()
    second = await leading(admin, namespace, "op-0")
    with pytest.raises(LeadershipLost, match="called op-0 too"):
        await first.renew()
    await second.renew()


async def test_who_leaves_lets_another_one_lead_at_once(
    admin: ClusterClient, namespace: str
) -> None:
    first = await leading(admin, namespace, "op-0")
    await first.release()
    assert not first.leads
    second = await leading(admin, namespace, "op-1")
    with pytest.raises(LeadershipLost, match="op-1 has taken the lead"):
        await first.renew()
    await second.renew()
    found = await admin.get(LEASES, "sluicegate-operator", Lease, namespace=namespace)
    assert found.spec.holder_identity == "op-1"

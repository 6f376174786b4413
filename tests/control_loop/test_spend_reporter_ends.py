"""The task that reports spend ends when it is to end."""

import asyncio
from collections.abc import Mapping
from typing import cast

from sluicegate.cluster import ClusterClient
from sluicegate.config import Config
from sluicegate.limits import StoreUnavailable
from sluicegate.limits.periods import Period
from sluicegate.limits.spent import Spent
from sluicegate_operator.spend import SpendReporter


async def test_also_where_the_store_s_client_has_swallowed_its_cancellation() -> None:
    begun = asyncio.Event()

    async def read(_: Mapping[str, Period]) -> Mapping[str, Spent]:
        begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:  # as redis-py does while it looks for an answer
            raise StoreUnavailable("TimeoutError") from None
        return {}

    reporter = SpendReporter(
        cast("ClusterClient", None),  # nothing is there to be written
        read,
        keys=list,
        config=lambda: Config({}, {}),
        may_write=lambda: True,
        clock=lambda: 0.0,
    )
    task = asyncio.create_task(reporter.run())
    await begun.wait()
    task.cancel()
    async with asyncio.timeout(10):
        await asyncio.wait((task,))
    assert task.done()

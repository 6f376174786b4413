"""One sink's queue: bounds, batches, what is given up."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from log_records import log_records
from sluicegate.sinks.outlet import Outlet, Pace
from sluicegate.sinks.sink import Item, SinkRefused, SinkUnavailable

QUICK = Pace(interval=0.01, first_pause=0.01, longest_pause=0.01, patience=0)


class Taker:
    """A sink that raises what a test wants, then takes."""

    name = "taker"
    of_traces = False

    def __init__(self, *raises: Exception) -> None:
        self.raises = list(raises)
        self.batches: list[list[Item]] = []
        self.closed = False

    async def send(self, batch: Sequence[Item]) -> None:
        if self.raises:
            raise self.raises.pop(0)
        self.batches.append(list(batch))

    async def close(self) -> None:
        self.closed = True


async def run(taker: Taker, pace: Pace, sizes: Sequence[int]) -> Outlet:
    outlet = Outlet(taker, "taker", pace)
    for record, size in zip(log_records(len(sizes)), sizes, strict=True):
        outlet.put(record, size)
    outlet.end()
    await asyncio.wait_for(outlet.run(), 5)
    await outlet.close()
    return outlet


async def test_batches_are_bounded_by_count_and_by_bytes() -> None:
    taker = Taker()
    pace = Pace(batch=3, batch_bytes=100)
    outlet = await run(taker, pace, [10, 10, 10, 10, 90, 10, 500, 10])
    assert [len(batch) for batch in taker.batches] == [3, 2, 1, 1, 1]
    assert (outlet.counts.sent, outlet.counts.backlog) == (8, 0)


async def test_the_queue_is_bounded_by_count_and_by_bytes() -> None:
    few = await run(Taker(), Pace(queue=2), [1, 1, 1])
    assert (few.counts.sent, few.counts.dropped) == (2, 1)
    light = await run(Taker(), Pace(queue_bytes=100), [60, 60, 40])
    assert (light.counts.sent, light.counts.dropped) == (2, 1)


@pytest.mark.parametrize(
    ("raised", "sent", "dropped", "refused"),
    [
        (SinkRefused("no"), 0, 0, 3),
        (SinkRefused("one of them", 1), 2, 0, 1),
        (SinkUnavailable("later"), 0, 3, 0),
        (UnicodeEncodeError("utf-8", "\ud800", 0, 1, "surrogates"), 0, 0, 3),
        (RuntimeError("of somebody else"), 0, 3, 0),
    ],
)
async def test_what_is_given_up_is_counted(
    raised: Exception, sent: int, dropped: int, refused: int
) -> None:
    outlet = await run(Taker(raised), QUICK, [1, 1, 1])
    counts = outlet.counts
    assert (counts.sent, counts.dropped, counts.refused, counts.failures) == (
        *(sent, dropped, refused),
        1,
    )


async def test_what_is_left_at_the_end_is_counted_as_dropped() -> None:
    taker = Taker(*[SinkUnavailable("away")] * 1000)
    outlet = Outlet(taker, "taker", Pace(interval=0.01, first_pause=0.01, patience=60))
    for record in log_records(5):
        outlet.put(record, 1)
    outlet.end()
    task = asyncio.create_task(outlet.run())
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    await outlet.close()
    assert (outlet.counts.dropped, outlet.counts.backlog) == (5, 0)
    assert taker.closed


async def test_a_sink_that_is_away_is_told_once_and_its_return_too(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO")
    away = [SinkUnavailable("no connection")] * 3
    patient = Pace(interval=0.01, first_pause=0.001, longest_pause=0.001)
    await run(Taker(*away), patient, [1])
    told = [record.getMessage() for record in caplog.records]
    assert told == ["a log sink does not take records", "a log sink takes records again"]

"""Long work gives way to the event loop."""

import asyncio
from collections.abc import Generator

from sluicegate.source.slices import Pace, drive


class FakeTime:
    """Each step takes a unit of time; pauses are counted."""

    def __init__(self) -> None:
        self.now = 0.0
        self.pauses: list[float] = []
        self.steps_in_slice = 0
        self.longest_slice = 0

    def clock(self) -> float:
        return self.now

    async def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.longest_slice = max(self.longest_slice, self.steps_in_slice)
        self.steps_in_slice = 0

    def work(self, units: int, cost: float) -> Generator[None, None, str]:
        for _ in range(units):
            self.now += cost
            self.steps_in_slice += 1
            yield
        return "done"


async def test_a_slice_ends_with_the_first_step_beyond_the_budget() -> None:
    fake = FakeTime()
    pace = Pace(budget=10, rest=0.5)
    result = await drive(fake.work(100, 3), pace, clock=fake.clock, pause=fake.pause)
    assert result == "done"
    assert fake.longest_slice == 4  # 3, 6, 9, 12
    assert fake.pauses == [0.5] * 25


async def test_the_length_of_every_slice_is_told() -> None:
    fake = FakeTime()
    held: list[float] = []
    pace = Pace(budget=10, rest=0.5)
    await drive(fake.work(10, 3), pace, held=held.append, clock=fake.clock, pause=fake.pause)
    assert held == [12, 12, 6]


async def test_steps_as_long_as_the_budget_run_one_at_a_time() -> None:
    fake = FakeTime()
    await drive(fake.work(7, 10), Pace(budget=1, rest=0), clock=fake.clock, pause=fake.pause)
    assert fake.longest_slice == 1
    assert len(fake.pauses) == 7


async def test_short_work_is_not_interrupted() -> None:
    fake = FakeTime()
    await drive(fake.work(5, 1), Pace(budget=10, rest=1), clock=fake.clock, pause=fake.pause)
    assert fake.pauses == []


async def test_others_run_while_long_work_is_under_way() -> None:
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(other())
    fake = FakeTime()
    await drive(fake.work(50, 1), Pace(budget=0, rest=0), clock=fake.clock)
    task.cancel()
    assert turns >= 50

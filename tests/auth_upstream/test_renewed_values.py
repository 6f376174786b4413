"""One look-up at a time, shared by all, ahead of the end, and outliving who asked."""

import asyncio
import threading
from dataclasses import dataclass, field

import pytest

from sluicegate.auth.upstream import CredentialFailed
from sluicegate.auth.upstream.renewed import Found, Renewed


@dataclass
class Source:
    """A look-up under the test's control. `script` holds lifetimes, or failures."""

    script: list[float | str | None]
    now: float = 1000.0
    calls: int = 0
    gate: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.gate.set()

    def look_up(self) -> Found[int]:
        self.calls += 1
        number = self.calls
        self.gate.wait(10)
        step = self.script[min(number, len(self.script)) - 1]
        if isinstance(step, str):
            raise CredentialFailed(step)
        return Found(number, None if step is None else self.now + step)

    def clock(self) -> float:
        return self.now

    def renewed(self) -> Renewed[int]:
        return Renewed(self.look_up, self.clock)


async def settled(renewed: Renewed[int], calls: int, source: Source) -> None:
    """Wait until a look-up behind the scenes is over."""
    async with asyncio.timeout(10):
        while source.calls < calls or renewed.renewing:  # noqa: ASYNC110 - a task of its own
            await asyncio.sleep(0)


async def test_many_ask_and_one_look_up_answers() -> None:
    source = Source([3600.0])
    source.gate.clear()
    renewed = source.renewed()
    waiting = [asyncio.create_task(renewed.get()) for _ in range(50)]
    await asyncio.sleep(0)
    source.gate.set()
    assert await asyncio.gather(*waiting) == [1] * 50
    assert [await renewed.get() for _ in range(3)] == [1] * 3
    assert source.calls == 1


async def test_a_look_up_survives_the_one_who_asked() -> None:
    source = Source([3600.0])
    source.gate.clear()
    renewed = source.renewed()
    first, second = (asyncio.create_task(renewed.get()) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.sleep(0)
    source.gate.set()
    assert await second == 1
    assert first.cancelled()
    assert source.calls == 1


async def test_it_renews_ahead_of_the_end_without_anyone_waiting() -> None:
    source = Source([3600.0, 3600.0])
    renewed = source.renewed()
    assert await renewed.get() == 1
    source.now += 3600 - 840 - 1
    assert await renewed.get() == 1
    assert source.calls == 1
    source.now += 2
    assert await renewed.get() == 1  # the old one, while the new one is on its way
    await settled(renewed, 2, source)
    assert await renewed.get() == 2


async def test_a_short_life_is_used_for_half_of_it() -> None:
    source = Source([60.0, 60.0])
    renewed = source.renewed()
    assert await renewed.get() == 1
    source.now += 29
    assert await renewed.get() == 1
    assert source.calls == 1
    source.now += 2
    await renewed.get()
    await settled(renewed, 2, source)
    assert await renewed.get() == 2


async def test_an_expired_value_is_never_used() -> None:
    source = Source([3600.0, "gone", 3600.0])
    renewed = source.renewed()
    assert await renewed.get() == 1
    source.now += 4000
    with pytest.raises(CredentialFailed, match="gone"):
        await renewed.get()
    source.now += 2
    assert await renewed.get() == 3


async def test_while_the_old_value_is_good_a_failure_is_nobodys_concern() -> None:
    source = Source([3600.0, "gone", 3600.0])
    renewed = source.renewed()
    await renewed.get()
    source.now += 3000
    assert await renewed.get() == 1
    await settled(renewed, 2, source)
    source.now += 10
    assert await renewed.get() == 1
    assert source.calls == 2  # and it is not tried again at once
    source.now += 30
    assert await renewed.get() == 1
    await settled(renewed, 3, source)
    assert await renewed.get() == 3


async def test_a_failure_is_told_to_all_and_held_for_a_moment() -> None:
    source = Source(["no identity", 3600.0])
    renewed = source.renewed()
    results = await asyncio.gather(*(renewed.get() for _ in range(5)), return_exceptions=True)
    assert {str(result) for result in results} == {"no identity"}
    with pytest.raises(CredentialFailed, match="no identity"):
        await renewed.get()
    assert source.calls == 1
    source.now += 1.5
    assert await renewed.get() == 2


async def test_a_value_without_an_end_is_looked_up_again_now_and_then() -> None:
    source = Source([None])
    renewed = source.renewed()
    await renewed.get()
    source.now += 299
    assert await renewed.get() == 1
    source.now += 2
    assert await renewed.get() == 1
    await settled(renewed, 2, source)
    assert await renewed.get() == 2


async def test_what_is_found_expired_is_no_value() -> None:
    with pytest.raises(CredentialFailed, match="expired"):
        await Source([-1.0]).renewed().get()

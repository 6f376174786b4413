"""Several gateways on one real server: exact together, and never slowed by a server that fails."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, suppress
from time import monotonic, time

import pytest

from eventually import eventually
from limit_stores import Ask, all_of, ask, sharing
from sluicegate.limits import (
    Amount,
    Ceiling,
    Limiter,
    MemoryStore,
    OnFailure,
    Refusal,
    Reservation,
    StoreUnavailable,
)
from sluicegate.limits.shared import SharedStore
from undisturbed import DisturbedError, undisturbed
from valkey_process import ValkeyProcess

USD = 1_000_000_000
TEN = ask(Ceiling(requests=10))


def limiter(shared: SharedStore, on_failure: OnFailure = OnFailure.LOCAL) -> Limiter:
    return Limiter(MemoryStore(time), shared, on_failure)


async def available(store: SharedStore, *, yes: bool) -> None:
    async def as_wanted() -> bool:
        return store.available is yes

    await eventually(as_wanted)


async def nothing_pending(store: SharedStore) -> None:
    async def none() -> bool:
        return not store.pending

    await eventually(none)


async def test_three_gateways_admit_exactly_ten_together(valkey: ValkeyProcess) -> None:
    async with AsyncExitStack() as stack:
        stores = [await stack.enter_async_context(sharing(valkey.url)) for _ in range(3)]
        found = await asyncio.gather(*(stores[n % 3].reserve(*TEN) for n in range(150)))
        assert all_of(found) == (10, 140)


async def test_the_servers_time_counts(valkey: ValkeyProcess) -> None:
    """Whatever the gateways' own clocks say, they see one window."""
    async with sharing(valkey.url) as one, sharing(valkey.url) as other:
        first, second = await one.reserve(*TEN), await other.reserve(*TEN)
        assert first.standings[0].window == second.standings[0].window == first.now


async def test_keys_expire_by_themselves(valkey: ValkeyProcess) -> None:
    ceiling = Ceiling(requests=10, parallel=10, money=USD, period="1d")
    async with sharing(valkey.url) as store:
        await store.reserve(*ask(ceiling, money=1))
        for kind, most in (("counts", 86_402_000), ("slots", 61_000)):
            reply = await valkey.command("PTTL", f"{{sluicegate}}:limits:{kind}:key:a/b")
            assert 0 < int(reply[1:]) <= most


@undisturbed(0.1)
async def test_slots_of_a_gateway_that_was_killed_are_free_again(valkey: ValkeyProcess) -> None:
    one = ask(Ceiling(parallel=1))
    await valkey.command("FLUSHALL")
    async with sharing(valkey.url, lease=0.4) as other:
        async with sharing(valkey.url, lease=0.4) as killed:
            assert isinstance(await killed.reserve(*one), Reservation)
            began = monotonic()
            # It lives and says so: the slot is held for longer than one lease.
            while monotonic() < began + 1.0:
                asked = monotonic()
                found = await other.reserve(*one)
                if monotonic() > asked + 0.1:  # the server stood still: it heard nobody
                    raise DisturbedError
                assert all_of([found]) == (0, 1)
                await asyncio.sleep(0.05)

        async def free() -> bool:
            return isinstance(await other.reserve(*one), Reservation)

        await eventually(free)


async def test_a_request_that_is_given_up_while_it_waits_holds_nothing(
    valkey: ValkeyProcess,
) -> None:
    slot = ask(Ceiling(parallel=1, money=USD), money=100)
    async with sharing(valkey.url) as store:
        waiting = asyncio.create_task(store.reserve(*slot))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait([waiting])

        async def free() -> bool:
            return isinstance(await store.reserve(*slot), Reservation)

        await eventually(free)
        found = await store.reserve(slot.subjects, Amount(0))
        assert found.standings[0].money == 100


async def test_a_request_that_is_given_up_as_its_grant_arrives_holds_nothing(
    valkey: ValkeyProcess,
) -> None:
    slot = ask(Ceiling(parallel=1))
    async with sharing(valkey.url) as store:
        waiting = store.reserve(*slot)
        answer = waiting.send(None)
        assert isinstance(answer, asyncio.Future)

        async def granted_now() -> bool:
            return answer.done()

        await eventually(granted_now)
        with pytest.raises(asyncio.CancelledError):
            waiting.throw(asyncio.CancelledError())

        async def free() -> bool:
            return isinstance(await store.reserve(*slot), Reservation)

        await eventually(free)


async def test_a_settlement_that_fails_keeps_nothing_from_the_others(
    valkey: ValkeyProcess,
) -> None:
    """Somebody has written to a key of ours."""
    spoiled, other = (ask(Ceiling(tokens=100), f"key:{name}", tokens=50) for name in "ab")
    async with sharing(valkey.url) as store:
        both = limiter(store)
        held = [await granted(both, asked) for asked in (spoiled, other)]
        await valkey.command("SET", "{sluicegate}:limits:counts:key:a", "spoiled")
        for each in held:
            both.settle(each, 10, None)
        assert (await granted(both, other)).standings[0].tokens == 60
        assert store.lost == 1
        assert store.available


async def test_a_killed_server_is_replaced_by_local_counts_and_found_again(
    valkey: ValkeyProcess,
) -> None:
    ceiling = Ceiling(requests=10, money=USD)
    spend = ask(ceiling, money=USD // 100)
    async with sharing(valkey.url) as store:
        both = limiter(store)
        for _ in range(6):
            both.settle(await granted(both, spend), None, USD // 50)
        await nothing_pending(store)
        await valkey.kill()
        await available(store, yes=False)
        assert both.degraded
        # Local counts go on from what the server said last.
        found = [await both.reserve(*spend) for _ in range(10)]
        assert all_of(found) == (4, 6)
        for each in found:
            if isinstance(each, Reservation):
                both.settle(each, None, USD // 50)
        await valkey.start()
        await available(store, yes=True)
        await nothing_pending(store)
        # The server came back empty. It has been told what was spent while it was away.
        standing = (await granted(both, spend)).standings[0]
        assert (standing.requests, standing.money) == (1, 4 * USD // 50 + USD // 100)
        assert not both.degraded


async def granted(both: Limiter, asked: Ask) -> Reservation:
    found = await both.reserve(*asked)
    assert isinstance(found, Reservation)
    return found


async def test_a_hung_server_slows_nobody_for_long(valkey: ValkeyProcess) -> None:
    """Those that wait for it wait as long as its patience, and those that come later not at all."""
    async with sharing(valkey.url) as store:
        both = limiter(store)
        await both.reserve(*TEN)
        valkey.hang()
        waited = asyncio.gather(*(both.reserve(*TEN) for _ in range(20)))
        assert all_of(await asyncio.wait_for(waited, 30))[0] == 9
        assert not store.available
        for _ in range(1000):  # none of them waits: a step of the coroutine is all there is
            with pytest.raises(StopIteration) as answer:
                both.reserve(*TEN).send(None)
            assert isinstance(answer.value.value, Refusal)
        valkey.wake()
        await available(store, yes=True)
        assert not both.degraded


async def test_where_the_policy_says_so_nothing_is_served_without_the_server(
    valkey: ValkeyProcess,
) -> None:
    async with sharing(valkey.url) as store:
        both = limiter(store, OnFailure.REJECT)
        await both.reserve(*TEN)
        await valkey.kill()
        await available(store, yes=False)
        with pytest.raises(StoreUnavailable):
            await both.reserve(*TEN)
        await valkey.start()
        await available(store, yes=True)
        await both.reserve(*TEN)


async def test_settlements_wait_for_a_server_that_is_away(valkey: ValkeyProcess) -> None:
    """It hung while they were sent: each is counted once."""
    spend = ask(Ceiling(money=100 * USD), money=USD)
    async with sharing(valkey.url) as store:
        held = [await store.reserve(*spend) for _ in range(20)]
        valkey.hang()
        for each in held:
            assert isinstance(each, Reservation)
            store.settle(each, None, USD // 2)
        await available(store, yes=False)
        assert store.pending == 20
        valkey.wake()
        await nothing_pending(store)
        found = await store.reserve(spend.subjects, Amount(0))
        assert found.standings[0].money == 20 * USD // 2
        assert store.lost == 0


async def test_scripts_that_the_server_has_forgotten_are_loaded_again(
    valkey: ValkeyProcess,
) -> None:
    async with sharing(valkey.url) as store:
        both = limiter(store)
        await both.reserve(*TEN)
        await valkey.command("SCRIPT", "FLUSH")
        await both.reserve(*TEN)
        await available(store, yes=False)
        await available(store, yes=True)
        assert (await both.reserve(*TEN)).standings[0].requests == 2


async def test_it_ends_when_it_is_told_to_whatever_it_does(valkey: ValkeyProcess) -> None:
    for length in range(40):
        store = SharedStore(valkey.url)
        task = asyncio.create_task(store.run())
        await store.found(30)
        end = monotonic() + length / 500

        async def work(store: SharedStore = store, end: float = end) -> None:
            with suppress(StoreUnavailable):  # a busy machine may be slower than its patience
                while monotonic() < end:
                    found = await store.reserve(*TEN)
                    if isinstance(found, Reservation):
                        store.settle(found, None, None)

        await asyncio.gather(*(work() for _ in range(32)))
        task.cancel()
        done, _ = await asyncio.wait([task], timeout=10)
        assert done


async def test_a_server_that_is_not_there_is_found_when_it_comes(valkey: ValkeyProcess) -> None:
    await valkey.kill()
    told: list[str | None] = []
    store = SharedStore(valkey.url, told=told.append)
    task = asyncio.create_task(store.run())

    async def tried() -> bool:
        return store.failures >= 2

    await eventually(tried)
    assert not store.available
    await valkey.start()
    await available(store, yes=True)
    assert told == ["ConnectionError", None]
    task.cancel()
    await asyncio.wait([task])


async def test_a_password_is_never_told(valkey: ValkeyProcess) -> None:
    await valkey.kill()
    told: list[str | None] = []
    secret = "hunter2-password"
    store = SharedStore(valkey.url.replace("//", f"//:{secret}@"), told=told.append)
    task = asyncio.create_task(store.run())

    async def tried() -> bool:
        return store.failures >= 1

    await eventually(tried)
    task.cancel()
    await asyncio.wait([task])
    assert told
    assert secret not in repr(told) + repr(store)


@pytest.mark.parametrize("url", ["localhost:6379", "http://localhost", "redis://h:pass/word@x"])
def test_what_is_no_url_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        SharedStore(url)

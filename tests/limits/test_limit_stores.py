"""What both stores do alike: windows, budgets, slots, whole reservations, settlements."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest

from limit_stores import NOON, Ask, Counting, all_of, ask
from sluicegate.limits import Amount, Ceiling, Kind, Reservation, Subject
from sluicegate.limits.periods import Period

USD = 1_000_000_000


async def test_fifty_at_once_against_ten_a_minute(counting: Counting) -> None:
    ten = ask(Ceiling(requests=10))
    for _ in range(3):
        assert all_of(await asyncio.gather(*(counting.reserve(ten) for _ in range(50)))) == (10, 40)
        counting.clock.now += 60


async def test_a_window_begins_with_its_first_use_and_lasts_a_minute(counting: Counting) -> None:
    counting.clock.now += 17.5
    two = ask(Ceiling(requests=2))
    first = await counting.granted(two)
    assert first.standings[0].window == int(counting.clock.now * 1000)
    counting.clock.now += 59.998
    await counting.granted(two)
    refused = await counting.refused(two)
    assert (refused.kind, refused.standing.requests) == (Kind.REQUESTS, 2)
    counting.clock.now += 0.003
    again = await counting.granted(two)
    assert again.standings[0].requests == 1


async def test_tokens_are_reserved_by_estimate_and_settled_by_use(counting: Counting) -> None:
    thousand = Ceiling(tokens=1000)
    held = await counting.granted(ask(thousand, tokens=900))
    assert (await counting.refused(ask(thousand, tokens=101))).kind is Kind.TOKENS
    await counting.settle(held, 100)
    assert (await counting.granted(ask(thousand, tokens=900))).standings[0].tokens == 1000
    assert (await counting.refused(ask(thousand, tokens=1))).standing.tokens == 1000


async def test_more_tokens_than_reserved_count_against_the_next(counting: Counting) -> None:
    thousand = Ceiling(tokens=1000)
    await counting.settle(await counting.granted(ask(thousand, tokens=10)), 5000)
    assert (await counting.refused(ask(thousand, tokens=1))).standing.tokens == 5000


async def test_what_is_settled_late_is_not_given_back_to_the_next_window(
    counting: Counting,
) -> None:
    thousand = Ceiling(tokens=1000)
    held = await counting.granted(ask(thousand, tokens=800))
    counting.clock.now += 61
    await counting.granted(ask(thousand, tokens=300))
    await counting.settle(held, 0)
    assert (await counting.granted(ask(thousand, tokens=1))).standings[0].tokens == 301


async def test_what_is_used_beyond_a_reservation_counts_even_if_its_window_is_over(
    counting: Counting,
) -> None:
    thousand = Ceiling(tokens=1000)
    held = await counting.granted(ask(thousand, tokens=100))
    counting.clock.now += 61
    await counting.settle(held, 700)
    found = await counting.granted(ask(thousand, tokens=1))
    assert (found.standings[0].tokens, found.standings[0].requests) == (601, 1)


async def test_slots_are_free_when_requests_end(counting: Counting) -> None:
    three = ask(Ceiling(parallel=3))
    held = [await counting.granted(three) for _ in range(3)]
    assert (await counting.refused(three)).kind is Kind.PARALLEL
    await counting.settle(held[1])
    again = await counting.granted(three)
    assert again.standings[0].parallel == 3
    for each in (held[0], held[2], again):
        await counting.settle(each)
    assert (await counting.granted(three)).standings[0].parallel == 1


async def test_a_budget_is_reserved_and_settled(counting: Counting) -> None:
    fifty_cents = Ceiling(money=USD // 2, period="1d")
    spend = ask(fifty_cents, money=USD // 20)
    found = await asyncio.gather(*(counting.reserve(spend) for _ in range(50)))
    assert all_of(found) == (10, 40)
    for each in found:
        if isinstance(each, Reservation):
            await counting.settle(each, None, USD // 25)
    for _ in range(2):
        await counting.granted(spend)
    refused = await counting.refused(spend)
    assert (refused.kind, refused.standing.money) == (Kind.BUDGET, USD // 2)


async def test_nothing_is_served_on_a_budget_that_is_spent(counting: Counting) -> None:
    """Though it may be free, or its price unknown."""
    cent = Ceiling(money=USD // 100)
    await counting.settle(await counting.granted(ask(cent, money=1)), None, USD)
    assert (await counting.refused(ask(cent, money=0))).kind is Kind.BUDGET


async def test_a_budget_that_only_warns_counts_and_refuses_nothing(counting: Counting) -> None:
    cent = Ceiling(money=USD // 100, warns=True)
    for spent in (1, 2, 3):
        found = await counting.granted(ask(cent, money=USD))
        assert found.standings[0].money == spent * USD


@pytest.mark.parametrize(
    ("period", "last", "first"),
    [
        ("1d", datetime(2026, 3, 1, 23, 59, 59, tzinfo=UTC), datetime(2026, 3, 2, tzinfo=UTC)),
        (
            "7d",
            datetime(2026, 3, 1, 23, 59, 59, tzinfo=UTC),
            datetime(2026, 3, 2, tzinfo=UTC),
        ),  # a Sunday, a Monday
        ("Month", datetime(2028, 2, 29, 23, 59, 59, tzinfo=UTC), datetime(2028, 3, 1, tzinfo=UTC)),
        ("Month", datetime(2026, 12, 31, 23, 59, 59, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)),
        (
            "30d",
            datetime(2026, 11, 2, 23, 59, 59, tzinfo=UTC),
            datetime(2026, 11, 3, tzinfo=UTC),
        ),  # 692 times 30 days
    ],
)
async def test_a_period_ends_and_spending_starts_at_zero(
    counting: Counting, period: Period, last: datetime, first: datetime
) -> None:
    dollar = Ceiling(money=USD, period=period)
    counting.clock.now = last.timestamp()
    late = await counting.granted(ask(dollar, money=USD))
    await counting.refused(ask(dollar, money=1))
    counting.clock.now = first.timestamp()
    found = await counting.granted(ask(dollar, money=1))
    assert found.standings[0].money == 1
    await counting.settle(late, None, 0)  # of a period that is over: nothing is given back
    assert (await counting.granted(ask(dollar, money=1))).standings[0].money == 2


async def test_a_period_that_begins_after_a_clock_was_set_back_ends_as_it_should(
    counting: Counting,
) -> None:
    day = Ceiling(parallel=9, money=USD, period="1d")
    await counting.granted(ask(day))
    counting.clock.now -= 3 * 86_400
    await counting.granted(ask(day, money=USD))
    await counting.refused(ask(day))
    counting.clock.now += 86_400
    assert (await counting.granted(ask(day, money=1))).standings[0].money == 1


async def test_large_amounts_are_exact(counting: Counting) -> None:
    most = Ceiling(money=999_999_999 * USD + 999_999_000)
    held = await counting.granted(ask(most, money=900_000_000 * USD + 1))
    await counting.settle(held, None, 900_000_000 * USD)
    await counting.settle(await counting.granted(ask(most, money=7)), None, 5)
    spent = (await counting.granted(ask(most, money=0))).standings[0].money
    assert spent == pytest.approx(900_000_000 * USD + 5, rel=1e-15)


async def test_a_reservation_is_whole_or_nothing(counting: Counting) -> None:
    key, user = Ceiling(requests=100, tokens=1000, parallel=5, money=USD), Ceiling(requests=1)
    subjects = (Subject("key:a/b", key), Subject("user:a/b:c", user))
    both = Ask(subjects, Amount(1, 10, 10))
    first = await counting.granted(both)
    refused = await counting.refused(both)
    assert (refused.subject, refused.kind) == (subjects[1], Kind.REQUESTS)
    assert refused.standings == first.standings
    assert refused.standing == first.standings[1]
    others = (subjects[0], Subject("user:a/b:other", user))
    other = await counting.granted(Ask(others, both.amount))
    assert other.standings[0].requests == 2
    assert (other.standings[0].tokens, other.standings[0].parallel) == (20, 2)


async def test_all_of_a_limit_is_checked_before_anything_is_taken(counting: Counting) -> None:
    both = Ceiling(requests=5, tokens=100, parallel=1, money=USD)
    await counting.refused(ask(both, tokens=101))
    await counting.refused(ask(both, money=USD + 1))
    found = await counting.granted(ask(both, tokens=100, money=USD))
    standing = found.standings[0]
    assert (standing.requests, standing.tokens, standing.parallel) == (1, 100, 1)
    assert standing.money == USD


async def test_who_asks_for_nothing_only_looks(counting: Counting) -> None:
    ceiling = Ceiling(requests=1, tokens=100, parallel=1, money=USD)
    look = ask(ceiling, requests=0)
    assert (await counting.granted(look)).standings[0].window == 0
    await counting.granted(ask(ceiling, tokens=7, money=9))
    for _ in range(3):
        standing = (await counting.granted(look)).standings[0]
        assert (standing.requests, standing.tokens, standing.parallel) == (1, 7, 1)
        assert standing.money == 9


async def test_more_money_of_a_request_that_goes_elsewhere(counting: Counting) -> None:
    """No second request and no second slot, and both end by themselves."""
    ceiling = Ceiling(requests=9, parallel=1, money=USD)
    held = await counting.granted(ask(ceiling, money=100))
    more = await counting.granted(ask(ceiling, requests=0, money=50))
    standing = more.standings[0]
    assert (standing.requests, standing.parallel, standing.money) == (1, 1, 150)
    await counting.settle(more, None, 0)
    assert (await counting.refused(ask(ceiling))).kind is Kind.PARALLEL
    await counting.settle(held, None, 120)
    assert (await counting.granted(ask(ceiling))).standings[0].money == 120


async def test_new_limits_hold_for_what_is_counted_already(counting: Counting) -> None:
    for _ in range(5):
        await counting.granted(ask(Ceiling(requests=100)))
    assert (await counting.refused(ask(Ceiling(requests=5)))).standing.requests == 5
    await counting.granted(ask(Ceiling(requests=6)))


@pytest.mark.parametrize("jump", [-3600.0, -1.0, 1.0, 3600.0])
async def test_clocks_that_jump_never_lock_out(counting: Counting, jump: float) -> None:
    """At most one window more: it is longer by the jump, or begins anew."""
    ceiling = Ceiling(requests=3, parallel=1000, money=10 * USD, period="1d")
    spend = ask(ceiling, money=USD)
    for _ in range(3):
        await counting.granted(spend)
    counting.clock.now = NOON + jump
    admitted, _ = all_of([await counting.reserve(spend) for _ in range(5)])
    assert admitted == (0 if abs(jump) < 60 else 3)
    counting.clock.now += 60 + max(0.0, -jump if jump > -60 else 0.0)
    admitted, _ = all_of([await counting.reserve(spend) for _ in range(5)])
    assert admitted == 3

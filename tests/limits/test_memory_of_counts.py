"""Counts in memory stay few: what is over is forgotten, and of end users the oldest."""

from __future__ import annotations

import pytest

from limit_stores import Ask, SetClock, ask
from sluicegate.limits import Ceiling, MemoryStore, Refusal, Reservation, Subject, SubjectKind

USD = 1_000_000_000
DAILY = Ceiling(requests=5, money=USD, period="1d")


def user(number: int, ceiling: Ceiling = DAILY, *, money: int = 1) -> Ask:
    return ask(ceiling, f"user:a/b:{number}", money=money, kind=SubjectKind.END_USER)


def key(number: int, ceiling: Ceiling = DAILY) -> Ask:
    return ask(ceiling, f"key:a/{number}", money=1)


def granted(found: Reservation | Refusal) -> Reservation:
    assert isinstance(found, Reservation)
    return found


@pytest.mark.parametrize("made", [user, key])
def test_what_is_over_is_forgotten_as_others_come(made: object) -> None:
    clock = SetClock()
    store = MemoryStore(clock, most=1_000_000)
    who = user if made is user else key
    for number in range(2000):
        store.reserve(*who(number))
    assert len(store) == 2000
    clock.now += 2 * 86_400
    for number in range(10_000, 12_000):
        store.reserve(*who(number))
    assert len(store) <= 2001


def test_of_more_end_users_than_it_may_remember_the_oldest_are_forgotten() -> None:
    store = MemoryStore(SetClock(), most=100)
    spent = Ceiling(money=USD, period="Month")
    store.reserve(*key(1, spent))
    held = granted(store.reserve(*user(0, Ceiling(parallel=1))))
    for number in range(1, 5000):
        store.reserve(*user(number, spent, money=USD))
    assert len(store) <= 102
    assert isinstance(store.reserve(*user(4999, spent)), Refusal)
    assert isinstance(store.reserve(*user(1, spent)), Reservation)
    # A key is never forgotten for them, nor who has a request under way.
    assert granted(store.reserve(*key(1, spent))).standings[0].money == 2
    assert isinstance(store.reserve(*user(0, Ceiling(parallel=1))), Refusal)
    store.settle(held, None, None)
    assert isinstance(store.reserve(*user(0, Ceiling(parallel=1))), Reservation)


def test_each_period_of_a_budget_has_its_own_count_until_it_is_over() -> None:
    clock = SetClock()
    store = MemoryStore(clock)
    monthly = Ceiling(money=10 * USD, period="Month")
    daily = Ceiling(money=10 * USD, period="1d")
    late = granted(store.reserve(*ask(monthly, "key:a/b", money=3 * USD)))
    assert granted(store.reserve(*ask(daily, "key:a/b", money=USD))).standings[0].money == USD
    store.settle(late, None, 5 * USD)  # where it was reserved
    assert granted(store.reserve(*ask(daily, "key:a/b", money=USD))).standings[0].money == 2 * USD
    assert granted(store.reserve(*ask(monthly, "key:a/b", money=0))).standings[0].money == 5 * USD
    clock.now += 86_400
    assert granted(store.reserve(*ask(daily, "key:a/b", money=0))).standings[0].money == 0
    assert granted(store.reserve(*ask(monthly, "key:a/b", money=0))).standings[0].money == 5 * USD
    clock.now += 40 * 86_400
    for number in range(10):
        store.reserve(*key(number))
    assert len(store) == 10


def test_refused_strangers_take_no_memory() -> None:
    store = MemoryStore(SetClock())
    for number in range(1000):
        stranger, amount = user(number, Ceiling(tokens=1))
        store.reserve((*stranger, Subject("key:a/b", Ceiling(requests=0))), amount)
    assert len(store) == 0

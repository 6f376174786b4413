"""Strategies, weights, affinity, priorities: who is asked, and who after that."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.config import (
    AmbientCredential,
    Config,
    Cooldown,
    Deployment,
    EchoUpstream,
    Pool,
    Sharing,
    entry_revision,
)
from sluicegate.routing.attempts import Outcome, Skip
from sluicegate.routing.health import States
from sluicegate.routing.select import PassedOver, Selection, least_bad, order
from sluicegate.routing.snapshot import Route, Snapshot, Target, build_steps
from sluicegate.routing.strategies import STALE, Asked, Shape, affinity_of

ONE_FAILURE = Cooldown(failures=1, duration=5.0)


def member(
    name: str, weight: int = 1, priority: int = 0, sharing: Sharing | None = None
) -> Deployment:
    return Deployment(
        namespace="a",
        name=name,
        model="m",
        upstream=EchoUpstream(),
        credential=AmbientCredential(),
        weight=weight,
        priority=priority,
        sharing=sharing or Sharing(),
    )


def route(
    *members: Deployment,
    strategy: str = "Weighted",
    states: States | None = None,
    previous: Snapshot[str] | None = None,
) -> Route[str]:
    return snapshot(*members, strategy=strategy, states=states, previous=previous).routes[
        "pool/a/m"
    ]


def snapshot(
    *members: Deployment,
    strategy: str = "Weighted",
    states: States | None = None,
    previous: Snapshot[str] | None = None,
) -> Snapshot[str]:
    pool = Pool(
        namespace="a",
        model="m",
        members=tuple(each.name for each in members),
        strategy=strategy,  # pyright: ignore[reportArgumentType] -- a parametrised keyword
        shared=True,
    )
    entries = {entry.id: entry for entry in (*members, pool)}
    config = Config(entries, {id_: entry_revision(entry) for id_, entry in entries.items()})
    steps = build_steps(config, "0" * 12, 1, lambda each, _: each.name, previous, states)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


def names(targets: Iterable[Target[str]]) -> list[str]:
    return [target.deployment.name for target in targets]


def by_name(made: Route[str]) -> dict[str, Target[str]]:
    return {target.deployment.name: target for tier in made.tiers for target in tier}


def picked(made: Route[str], asked: Asked, now: float = 0.0) -> Target[str]:
    target = Selection(made, asked).next(now, [])
    assert target is not None
    return target


def asked(namespace: str = "a", seed: int = 1, affinity: str | None = None) -> Asked:
    return Asked(
        namespace=namespace,
        die=random.Random(seed).random,
        affinity=None if affinity is None else affinity_of(affinity),
    )


def eject(target: Target[str], now: float = 0.0, outcome: Outcome = Outcome.LOST) -> None:
    target.state.failed(now, now, ONE_FAILURE, outcome)


# Weighted.


@pytest.mark.parametrize("weights", [(1, 1), (3, 1), (5, 1, 1), (1_000_000, 1), (7, 3, 2, 1)])
def test_shares_are_as_the_weights(weights: Sequence[int]) -> None:
    made = route(*(member(str(index), weight) for index, weight in enumerate(weights)))
    counted = Counter(picked(made, asked()).deployment.name for _ in range(10_000))
    for index, weight in enumerate(weights):
        assert abs(counted[str(index)] - 10_000 * weight / sum(weights)) <= 2


def test_weights_are_interleaved_smoothly() -> None:
    made = route(member("a", 5), member("b"), member("c"))
    turns = "".join(picked(made, asked()).deployment.name for _ in range(7))
    assert turns.count("a") == 5
    assert "aaaa" not in turns


@given(st.lists(st.integers(1, 20), min_size=2, max_size=8))
def test_a_whole_round_gives_everyone_its_weight(weights: list[int]) -> None:
    made = route(*(member(str(index), weight) for index, weight in enumerate(weights)))
    counted = Counter(picked(made, asked()).deployment.name for _ in range(sum(weights)))
    for index, weight in enumerate(weights):
        assert abs(counted[str(index)] - weight) <= 1


def test_a_changed_weight_leaves_no_debt() -> None:
    states = States()
    first = snapshot(member("a", 1_000_000), member("b", 1), states=states)
    for _ in range(7):
        picked(first.routes["pool/a/m"], asked())
    made = route(member("a", 1), member("b", 1), states=states, previous=first)
    counted = Counter(picked(made, asked()).deployment.name for _ in range(100))
    assert abs(counted["a"] - 50) <= 2


def test_a_weight_of_zero_is_for_when_the_others_fail() -> None:
    made = route(member("a"), member("spare", 0), member("b"), member("later", 1, 1))
    told = order(made, asked(), 0.0)
    assert set(names(told.targets[:2])) == {"a", "b"}
    assert names(told.targets[2:]) == ["spare", "later"]


# Least busy.


def test_of_two_the_less_busy_one() -> None:
    made = route(member("a"), member("b"), strategy="LeastBusy")
    by_name(made)["a"].state.in_flight = 5
    counted = Counter(picked(made, asked(seed=seed)).deployment.name for seed in range(200))
    assert counted["b"] > 130


def test_busy_is_in_proportion_to_the_weight() -> None:
    made = route(member("big", 10), member("small", 1), strategy="LeastBusy")
    by_name(made)["big"].state.in_flight = 9
    by_name(made)["small"].state.in_flight = 2
    counted = Counter(picked(made, asked(seed=seed)).deployment.name for seed in range(200))
    assert counted["big"] > 190


def test_in_flight_evens_out() -> None:
    die = random.Random(3).random
    made = route(*(member(str(index)) for index in range(10)), strategy="LeastBusy")
    for _ in range(1000):
        picked(made, Asked("a", die=die)).state.in_flight += 1
    loads = [target.state.in_flight for target in by_name(made).values()]
    assert max(loads) - min(loads) <= 5


# Lowest latency.


def measured(made: Route[str], now: float, **seconds: float) -> None:
    targets = by_name(made)
    for name, value in seconds.items():
        targets[name].state.streamed.measure(now, value)


def test_the_quickest_is_asked() -> None:
    made = route(member("a"), member("b"), member("c"), strategy="LowestLatency")
    measured(made, 0.0, a=0.9, b=0.2, c=0.21)
    counted = Counter(picked(made, asked(seed=seed)).deployment.name for seed in range(200))
    assert counted["a"] == 0
    assert min(counted["b"], counted["c"]) > 60


def test_who_has_not_been_measured_is_asked_once_at_a_time() -> None:
    made = route(member("a"), member("new"), strategy="LowestLatency")
    measured(made, 0.0, a=0.1)
    first = picked(made, asked())
    assert first.deployment.name == "new"
    first.state.begin(0.0, streamed=True)
    assert picked(made, asked()).deployment.name == "a"


def test_one_that_has_recovered_is_found_again() -> None:
    made = route(member("a"), member("b"), strategy="LowestLatency")
    measured(made, 0.0, a=0.5, b=5.0)
    die = random.Random(5).random
    now = STALE
    counted = Counter[str]()
    for _ in range(5000):
        now += 0.1
        target = picked(made, Asked("a", die=die), now)
        counted[target.deployment.name] += 1
        target.state.streamed.measure(now, 0.5 if target.deployment.name == "a" else 0.05)
    assert counted["b"] > 4000


def test_one_that_stays_slow_is_asked_seldom() -> None:
    made = route(member("a"), member("b"), strategy="LowestLatency")
    measured(made, 0.0, a=0.5, b=5.0)
    die = random.Random(5).random
    now, slow = 0.0, 0
    for _ in range(10_000):
        now += 0.1
        target = picked(made, Asked("a", die=die), now)
        slow += target.deployment.name == "b"
        target.state.streamed.measure(now, 0.5 if target.deployment.name == "a" else 5.0)
    assert 20 <= slow <= 100  # one in a hundred at most


def test_one_that_falls_silent_is_left_before_it_has_answered() -> None:
    made = route(member("a"), member("b"), strategy="LowestLatency")
    measured(made, 0.0, a=0.001, b=0.001)
    die = random.Random(5).random
    silent = 0
    for count in range(500):
        now = count * 0.002
        target = picked(made, Asked("a", die=die), now)
        target.state.begin(now, streamed=True)
        if target.deployment.name == "a":
            target.state.answered(now + 0.001, now, streamed=True)
        else:
            silent += 1
    assert silent <= 3


def test_streams_and_whole_answers_are_measured_apart() -> None:
    made = route(member("a"), member("b"), strategy="LowestLatency")
    measured(made, 0.0, a=0.1, b=0.2)
    for target, seconds in zip(by_name(made).values(), (9.0, 3.0), strict=True):
        target.state.whole.measure(0.0, seconds)
    assert picked(made, asked()).deployment.name == "a"
    assert picked(made, Asked("a", streamed=False)).deployment.name == "b"


# Lowest cost.


def test_the_cheapest_is_asked_and_an_unknown_price_comes_last() -> None:
    made = route(member("a"), member("b"), member("c"), strategy="LowestCost")
    prices = {"a": 0.02, "b": float("inf"), "c": 0.01}
    calls: list[str] = []

    def cost(target: Target[str], shape: Shape) -> float:
        assert shape == Shape(10, 9)
        calls.append(target.deployment.name)
        return prices[target.deployment.name]

    wanted = Asked("a", shape=Shape(10, 9), cost=cost)
    for _ in range(3):
        assert names(order(made, wanted, 0.0).targets) == ["c", "a", "b"]
    assert sorted(calls) == ["a", "b", "c"]  # asked for once each


# Affinity.


def owners(made: Route[str], users: int = 2000) -> dict[str, str]:
    return {
        user: picked(made, asked(affinity=user)).deployment.name
        for user in (f"user-{index}" for index in range(users))
    }


def test_a_user_stays_with_one_deployment() -> None:
    made = route(member("a"), member("b"), member("c"))
    first = owners(made, 50)
    for target in by_name(made).values():
        target.state.in_flight = 7
    assert owners(made, 50) == first


def test_users_are_spread_by_weight() -> None:
    counted = Counter(owners(route(member("a", 3), member("b", 1))).values())
    assert 0.72 < counted["a"] / 2000 < 0.78


@pytest.mark.parametrize("count", [2, 3, 10])
def test_a_deployment_that_is_gone_moves_its_own_users_only(count: int) -> None:
    members = [member(f"md-{index}") for index in range(count)]
    before = owners(route(*members))
    after = owners(route(*members[:-1]))
    moved = [user for user in before if before[user] != after[user]]
    assert {before[user] for user in moved} == {f"md-{count - 1}"}
    assert len(moved) <= 2000 / count * 1.15
    if count > 2:
        assert len({after[user] for user in moved}) == count - 1


def test_where_users_belong_does_not_depend_on_order_or_process() -> None:
    one = owners(route(member("a"), member("b")), 8)
    assert owners(route(member("b"), member("a")), 8) == one
    assert "".join(one.values()) == "abbbbbaa"


def test_a_user_whose_deployment_is_out_goes_to_its_second_and_comes_back_to_probe() -> None:
    made = route(member("a"), member("b"), member("c"))
    user = asked(affinity="somebody")
    first, second, third = names(order(made, user, 0.0).targets)
    eject(by_name(made)[first])
    assert names(order(made, user, 1.0).targets) == [second, third]
    assert names(order(made, user, 5.0).targets) == [first, second, third]


# Priorities, rotation, namespaces.


def test_lower_priorities_come_first_whatever_the_strategy() -> None:
    members = [member("c", 9, 2), member("a", 1, 0), member("b", 1, 1)]
    for strategy in ("Weighted", "LeastBusy", "LowestLatency"):
        assert names(order(route(*members, strategy=strategy), asked(), 0.0).targets) == [
            "a",
            "b",
            "c",
        ]


def test_who_is_out_is_passed_over_and_told() -> None:
    made = route(member("a"), member("b"))
    eject(by_name(made)["a"], outcome=Outcome.TIMEOUT)
    told = order(made, asked(), 1.0)
    assert names(told.targets) == ["b"]
    ((target, reason),) = told.passed_over
    assert (target.deployment.name, reason) == ("a", Skip.COOLDOWN)
    assert told.passed_over[0].cause == "Timeout"


def test_one_request_probes_and_the_others_go_elsewhere() -> None:
    made = route(member("a"), member("b"))
    eject(by_name(made)["a"])
    probe = picked(made, asked(), 5.0)
    assert probe.deployment.name == "a"
    probe.state.begin(5.0, streamed=True)
    assert {picked(made, asked(), 5.1).deployment.name for _ in range(5)} == {"b"}
    probe.state.end(5.0, streamed=True, answered=False)


def test_a_request_probes_one_deployment_at_most() -> None:
    made = route(member("a"), member("b"), member("c"))
    eject(by_name(made)["a"])
    eject(by_name(made)["b"])
    told = order(made, asked(), 9.0)
    assert len(told.targets) == 2
    assert told.targets[1].deployment.name == "c"


def test_a_spare_is_not_probed_while_it_is_not_needed() -> None:
    made = route(member("a"), member("spare", 1, 1))
    eject(by_name(made)["spare"])
    assert picked(made, asked(), 9.0).deployment.name == "a"


def test_the_least_bad_is_the_one_whose_time_is_over_first() -> None:
    made = route(member("a"), member("b"))
    targets = by_name(made)
    targets["a"].state.failed(0.0, 0.0, Cooldown(1, 30.0), Outcome.LOST)
    targets["b"].state.failed(0.0, 0.0, Cooldown(1, 9.0), Outcome.LOST)
    passed_over: list[PassedOver[str]] = []
    assert Selection(made, asked()).next(1.0, passed_over) is None
    worst = least_bad(passed_over)
    assert worst is not None
    assert worst.target.deployment.name == "b"


def test_only_what_is_shared_serves_another_namespace() -> None:
    made = route(member("a"), member("b", sharing=Sharing(source="Names", names=("z",))))
    assert names(order(made, asked("z"), 0.0).targets) == ["b"]
    assert names(order(made, asked("y"), 0.0).targets) == []


def test_what_has_no_room_for_the_request_is_passed_over() -> None:
    made = route(member("a"), member("b"))
    roomy = Asked("a", fits=lambda target: target.deployment.name == "b")
    told = order(made, roomy, 0.0)
    assert names(told.targets) == ["b"]
    assert [each.cause for each in told.passed_over] == ["ContextWindow"]


def test_to_ask_for_the_order_changes_nothing() -> None:
    made = route(member("a", 3), member("b"))
    first = order(made, asked(), 0.0)
    assert all(order(made, asked(), 0.0) == first for _ in range(5))


# What outlives a configuration.


def test_health_outlives_a_change_and_ends_with_another_upstream() -> None:
    states = States()
    first = snapshot(member("a"), member("b"), states=states)
    eject(by_name(first.routes["pool/a/m"])["a"])
    second = snapshot(member("a", 7), member("b"), states=states, previous=first)
    state = by_name(second.routes["pool/a/m"])["a"].state
    assert state.out
    moved = Deployment(
        namespace="a",
        name="a",
        model="m",
        upstream=EchoUpstream(text="elsewhere"),
        credential=AmbientCredential(),
    )
    third = snapshot(moved, member("b"), states=states, previous=second)
    # What is still under way at the old place is booked there.
    assert by_name(third.routes["pool/a/m"])["a"].state is not state
    assert not by_name(third.routes["pool/a/m"])["a"].state.out

"""The simulator of bench/routing, and what must hold for the routing in it."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path
from typing import get_args
from xml.etree import ElementTree as ET

import pytest
from bench.routing import report
from bench.routing.clock import Clock
from bench.routing.gateways import Policy, Record, Strategy, simulate
from bench.routing.lines import Lines, svg
from bench.routing.measures import constants
from bench.routing.upstreams import Phase, Profile, Trouble
from hypothesis import given, settings
from hypothesis import strategies as st

from sluicegate.config import Cooldown, Retry
from sluicegate.routing import health
from sluicegate.routing.attempts import MOST_ATTEMPTS

STRATEGIES: tuple[Strategy, ...] = get_args(Strategy)


def served(
    profiles: list[Profile],
    policy: Policy | None = None,
    *,
    seconds: float = 60.0,
    rate: float = 20.0,
    gateways: int = 2,
    seed: int = 1,
) -> list[Record]:
    return simulate(
        profiles,
        policy or Policy(),
        seconds=seconds,
        per_second=lambda _: rate,
        gateways=gateways,
        seed=seed,
    )


def test_what_is_due_is_done_in_order() -> None:
    clock, done = Clock(), list[tuple[str, float]]()
    for name, seconds in (("late", 2.0), ("soon", 1.0), ("next", 1.0)):
        clock.after(seconds, lambda name=name: done.append((name, clock.now)))
    clock.run()
    assert done == [("soon", 1.0), ("next", 1.0), ("late", 2.0)]


def test_a_seed_is_a_run() -> None:
    profiles = [Profile("a"), Profile("b", phases=(Phase(Trouble.ERRORS, 10, 30, 0.5),))]
    assert served(profiles, seed=3) == served(profiles, seed=3)
    assert served(profiles, seed=3) != served(profiles, seed=4)


def test_the_load_is_as_asked_for() -> None:
    profiles = [Profile(f"weight{weight}", weight=weight) for weight in (1, 3)]
    records = served(profiles, seconds=200.0)
    assert len(records) == pytest.approx(4000, rel=0.1)
    asked = Counter(name for record in records for name in record.asked)
    assert asked["weight3"] / len(records) == pytest.approx(0.75, abs=0.01)


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("trouble", [Trouble.ERRORS, Trouble.REFUSED, Trouble.HANGS, Trouble.SLOW])
def test_trouble_of_one_of_two_costs_no_request(strategy: Strategy, trouble: Trouble) -> None:
    amount = 20.0 if trouble is Trouble.SLOW else 1.0
    profiles = [Profile("well"), Profile("ill", phases=(Phase(trouble, 10, 50, amount),))]
    records = served(profiles, Policy(strategy=strategy, first_byte=2.0))
    assert all(record.first is not None for record in records)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_who_is_down_is_only_probed(strategy: Strategy) -> None:
    profiles = [Profile("well"), Profile("ill", phases=(Phase(Trouble.REFUSED, 0, 60),))]
    records = served(profiles, Policy(strategy=strategy), gateways=1)
    asked = sum(record.asked.count("ill") for record in records)
    # Three failures, then a probe after 5, 10, 20 … seconds; some were under way together.
    assert 3 <= asked <= 12


def test_lowest_latency_finds_a_recovered_one_again() -> None:
    profiles = [
        Profile("well"),
        Profile("ill", median=0.2, phases=(Phase(Trouble.SLOW, 20, 60, 20),)),
    ]
    records = served(profiles, Policy(strategy="LowestLatency"), seconds=180.0)

    def share(start: float, end: float) -> float:
        during = [record for record in records if start <= record.came < end]
        return sum("ill" in record.asked for record in during) / len(during)

    assert share(5, 20) > 0.9
    assert share(30, 60) < 0.1
    assert share(120, 180) > 0.9


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("trouble", [Trouble.ERRORS, Trouble.REFUSED])
def test_the_budget_bounds_attempts_where_all_are_down(
    strategy: Strategy, trouble: Trouble
) -> None:
    """Repetitions and last resorts: 20 % of the requests, and ten in a window."""
    down = (Phase(trouble, 0, 300),)
    profiles = [Profile(name, phases=down) for name in ("a", "b", "c")]
    policy = Policy(strategy=strategy, retry=Retry(attempts=5, backoff=0.05))
    records = served(profiles, policy, seconds=200.0, gateways=1)
    assert all(record.first is None for record in records)
    later = [record for record in records if record.came > 20]
    extra = sum(len(record.asked) - 1 for record in later)
    windows = 180 / health.WINDOW
    assert 0 < extra <= health.RETRY_SHARE * len(later) * 1.1 + windows * health.LEAST_RETRIES


def test_limited_upstreams_are_left_alone_for_as_long_as_they_say() -> None:
    profiles = [Profile("large"), Profile("small", per_second=2.0)]
    records = served(profiles, seconds=100.0, gateways=1)
    assert all(record.first is not None for record in records)
    refused = sum(len(record.asked) - 1 for record in records)
    assert refused <= 2 * 100 / 10  # what was under way, and a probe, in each window


def test_constants_are_put_back() -> None:
    before = health.RETRY_SHARE
    with constants([("health.RETRY_SHARE", 0.7)]):
        assert health.RETRY_SHARE == 0.7
    assert before == health.RETRY_SHARE


@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_every_request_has_one_end_and_a_bounded_way(data: st.DataObject) -> None:
    """Whatever is wrong with whom: an answer or a failure, and never more than twelve attempts."""
    draw = random.Random(data.draw(st.integers(0, 2**32)))
    troubles = list(Trouble)
    profiles = [
        Profile(
            f"upstream{number}",
            weight=draw.randrange(3),
            per_second=draw.choice([1.0, 5.0, 1e9]),
            says_when=draw.random() < 0.5,
            capacity=draw.choice([2.0, 1e9]),
            phases=tuple(
                Phase(draw.choice(troubles), start, start + draw.uniform(0, 20), draw.random())
                for start in (0.0, 10.0)
            ),
        )
        for number in range(draw.randrange(1, 5))
    ]
    policy = Policy(
        strategy=draw.choice(STRATEGIES),
        retry=Retry(attempts=draw.randrange(1, 11), backoff=draw.uniform(0.01, 10.0)),
        cooldown=Cooldown(failures=draw.randrange(1, 5), duration=draw.uniform(0.1, 60.0)),
        first_byte=1.0,
    )
    records = served(profiles, policy, seconds=20.0, rate=10.0, seed=draw.randrange(100))
    for record in records:
        assert 1 <= len(record.asked) <= MOST_ATTEMPTS
        if record.first is not None:
            assert record.first >= 0
            assert record.usd > 0


def test_lines_are_drawn() -> None:
    picture = Lines("a < b", {"one": [(0.0, 1.0), (10.0, 2.0)]}, (2.0, 4.0))
    root = ET.fromstring(svg([picture]))  # noqa: S314 -- of our own making
    assert root.tag.endswith("svg")


def test_the_committed_results_are_of_these_scenarios() -> None:
    """A scenario or a setting that is changed wants a new run."""
    folder = Path(report.__file__).parents[1] / "results" / "routing"
    text = (folder / "summary.md").read_text(encoding="utf-8")
    for scenario in report.SCENARIOS:
        assert f"| {scenario.name} | {scenario.about} |" in text
    for sweep in report.SWEEPS:
        assert f"| {sweep.chosen} (default) |" in text
        for variant in sweep.variants:
            assert f"| {variant.label} " in text

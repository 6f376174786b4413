"""Any history of reservations and settlements: both stores say the same, and no limit is passed."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test
from msgspec import structs

from limit_stores import Ask, Counting, SetClock, of_memory, sharing
from sluicegate.limits import Amount, Ceiling, Refusal, Reservation, Standing, Subject
from sluicegate.limits.periods import WINDOW, Period, period_end, period_start
from valkey_process import SERVER, ValkeyProcess, valkey_process

SUBJECTS = ("key:a/b", "user:a/b:c", "deployment:d/e")
PERIODS = st.sampled_from(("1d", "7d", "30d", "Month"))
PERIOD: Mapping[str, Period] = {"key:a/b": "Month", "user:a/b:c": "1d", "deployment:d/e": "7d"}

limits = st.none() | st.integers(1, 20)
ceilings = st.builds(
    Ceiling, limits, limits, st.none() | st.integers(1, 4), limits, warns=st.booleans()
)
amounts = st.integers(0, 12)


class Histories(RuleBasedStateMachine):
    """Memory alone, or memory and a server side by side."""

    server: ValkeyProcess | None = None
    runner: asyncio.Runner
    example = 0

    def __init__(self) -> None:
        super().__init__()
        Histories.example += 1
        self.clock = SetClock()
        self.stores = [of_memory(self.clock)]
        self.held: list[tuple[list[Reservation], Ask]] = []
        self.ceilings: dict[str, Ceiling] = {}
        self.stack = AsyncExitStack()
        if self.server is not None:
            store = self.runner.run(
                self.stack.enter_async_context(sharing(self.server.url, self.clock, lease=1e9))
            )
            self.stores.append(Counting(store, self.clock))

    def teardown(self) -> None:
        self.runner.run(self.stack.aclose())

    @rule(seconds=st.sampled_from([0.001, 1.0, 30.0, 59.999, 60.0, 3600.0, 86_400.0, 40 * 86_400]))
    def time_passes(self, seconds: float) -> None:
        self.clock.now += seconds

    @precondition(lambda self: self.server is None)
    @rule(seconds=st.sampled_from([0.001, 30.0, 60.0, 86_400.0]))
    def clock_is_set_back(self, seconds: float) -> None:
        """What was over may be again: a server forgets that only with the next use."""
        self.clock.now -= seconds

    @rule(subject=st.sampled_from(SUBJECTS), ceiling=ceilings)
    def configure(self, subject: str, ceiling: Ceiling) -> None:
        """Anew, where nothing of it is under way: slots are counted only where they are limited."""
        under_way = {each.id for _, asked in self.held for each in asked.subjects}
        if f"{self.example}:{subject}" not in under_way:
            self.ceilings[subject] = structs.replace(ceiling, period=PERIOD[subject])

    @rule(
        subjects=st.sets(st.sampled_from(SUBJECTS), min_size=1),
        requests=st.sampled_from([1, 1, 1, 0]),
        tokens=amounts,
        money=amounts,
    )
    def reserve(self, subjects: set[str], requests: int, tokens: int, money: int) -> None:
        limited = tuple(
            Subject(f"{self.example}:{subject}", self.ceilings[subject])
            for subject in sorted(subjects)
            if subject in self.ceilings
        )
        if not limited:
            return
        before = self.look(limited)
        asked = Ask(limited, Amount(requests, tokens, money))
        answers = [self.runner.run(store.reserve(asked)) for store in self.stores]
        first = answers[0]
        if isinstance(first, Refusal):
            assert first.standings == before
            for other in answers:
                assert isinstance(other, Refusal)
                assert (other.kind, other.subject) == (first.kind, first.subject)
                assert other.standings == first.standings
            return
        for other in answers:
            assert isinstance(other, Reservation)
            assert other.standings == first.standings
        granted = [answer for answer in answers if isinstance(answer, Reservation)]
        for subject, standing in zip(limited, first.standings, strict=True):
            self.within(subject.ceiling, standing)
        self.held.append((granted, asked))

    def within(self, ceiling: Ceiling, standing: Standing) -> None:
        """What has been granted is within every limit."""
        for limit, used in (
            (ceiling.requests, standing.requests),
            (ceiling.tokens, standing.tokens),
            (ceiling.parallel, standing.parallel),
            (None if ceiling.warns else ceiling.money, standing.money),
        ):
            assert limit is None or used <= limit

    @precondition(lambda self: bool(self.held))
    @rule(number=st.integers(0, 1000), tokens=st.none() | amounts, money=st.none() | amounts)
    def settle(self, number: int, tokens: int | None, money: int | None) -> None:
        reservations, asked = self.held.pop(number % len(self.held))
        for store, reservation in zip(self.stores, reservations, strict=True):
            self.runner.run(store.settle(reservation, tokens, money))
        self.look(asked.subjects)

    def look(self, subjects: tuple[Subject, ...]) -> tuple[Standing, ...]:
        """How the subjects stand, as all stores say: never below zero, as many slots as held."""
        look = Ask(subjects, Amount(0))
        found = [self.runner.run(store.reserve(look)).standings for store in self.stores]
        assert all(each == found[0] for each in found)
        for subject, standing in zip(subjects, found[0], strict=True):
            assert min(standing.requests, standing.tokens, standing.money) >= 0
            held = sum(
                asked.amount.requests
                for _, asked in self.held
                if subject.id in {each.id for each in asked.subjects}
            )
            assert standing.parallel == (held if subject.ceiling.parallel is not None else 0)
        return found[0]


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


def test_memory_alone(runner: asyncio.Runner) -> None:
    Histories.runner = runner
    Histories.server = None
    run_state_machine_as_test(Histories, settings=settings(max_examples=200, deadline=None))


def test_memory_and_a_server_side_by_side(runner: asyncio.Runner) -> None:
    if SERVER is None:
        pytest.skip("neither valkey-server nor redis-server is on PATH (Debian: redis-server)")
    with tempfile.TemporaryDirectory() as folder:
        stack = AsyncExitStack()
        Histories.runner = runner
        Histories.server = runner.run(stack.enter_async_context(valkey_process(Path(folder))))
        try:
            run_state_machine_as_test(
                Histories,
                settings=settings(
                    max_examples=40,
                    stateful_step_count=30,
                    deadline=None,
                    suppress_health_check=[HealthCheck.too_slow],
                ),
            )
        finally:
            Histories.server = None
            runner.run(stack.aclose())


moments = st.datetimes(
    datetime(1990, 1, 1),  # noqa: DTZ001 -- Hypothesis wants it without, and adds it
    datetime(2199, 12, 31),  # noqa: DTZ001 -- as above
    timezones=st.just(UTC),
)


@given(now=moments, period=PERIODS)
def test_a_period_holds_its_moments_and_touches_the_next(now: datetime, period: Period) -> None:
    at = int(now.timestamp() * 1000)
    start, end = period_start(period, at), period_end(period, at)
    assert start <= at < end
    assert period_start(period, start) == start
    assert period_start(period, end - 1) == start
    assert period_start(period, end) == end
    assert end - start >= WINDOW
    begins = datetime.fromtimestamp(start / 1000, UTC)
    assert (begins.hour, begins.minute, begins.second) == (0, 0, 0)
    if period == "Month":
        assert begins == now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    if period == "7d":
        assert begins.weekday() == 0

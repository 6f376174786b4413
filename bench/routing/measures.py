"""What a run has shown, as numbers."""

import contextlib
import math
from collections import Counter
from collections.abc import Generator, Sequence
from statistics import mean
from typing import NamedTuple

from bench.routing.gateways import Record, simulate
from bench.routing.scenarios import BAD, END, START, Scenario, Variant
from bench.stats import quantile
from sluicegate.routing import health, strategies

_MODULES = {"health": health, "strategies": strategies}
_BIN = 5.0  # seconds


class Measures(NamedTuple):
    """Of the requests of a run's middle third. Times are in seconds.

    `failed` is a share of them; `p50` and `p99` are of the time to the first event of those that
    were answered; `attempts` and `usd` are means; `at_bad` is the share of the attempts that went
    to an upstream in trouble; `back` the seconds after the trouble until upstream `bad` had half of
    its usual share again. Not a number: nothing to measure.
    """

    failed: float
    p50: float
    p99: float
    usd: float
    attempts: float
    at_bad: float
    back: float


@contextlib.contextmanager
def constants(changes: Sequence[tuple[str, float]]) -> Generator[None]:
    """Routing with other constants, for as long as the block runs."""
    before = [(name, _constant(name)) for name, _ in changes]
    try:
        for name, value in changes:
            _set(name, value)
        yield
    finally:
        for name, value in before:
            _set(name, value)


def _constant(name: str) -> float:
    module, _, attribute = name.partition(".")
    return vars(_MODULES[module])[attribute]


def _set(name: str, value: float) -> None:
    module, _, attribute = name.partition(".")
    setattr(_MODULES[module], attribute, value)


def run(scenario: Scenario, variant: Variant, seed: int, gateways: int = 3) -> list[Record]:
    """One simulation."""
    with constants(variant.constants):
        return simulate(
            scenario.profiles,
            variant.policy,
            seconds=scenario.seconds,
            per_second=scenario.per_second,
            gateways=gateways,
            seed=seed,
        )


def measures(scenario: Scenario, records: Sequence[Record]) -> Measures:
    """Numbers of one run."""
    during = [record for record in records if START <= record.came < END]
    answered = [record for record in during if record.first is not None]
    firsts = [record.first for record in answered if record.first is not None]
    asked = Counter(name for record in during for name in record.asked)
    troubled = [profile.name for profile in scenario.profiles if profile.phases]
    return Measures(
        failed=1.0 - len(answered) / len(during),
        p50=quantile(firsts, 0.5) if firsts else math.nan,
        p99=quantile(firsts, 0.99) if firsts else math.nan,
        usd=mean(record.usd for record in answered) if answered else math.nan,
        attempts=asked.total() / len(during),
        at_bad=sum(asked[name] for name in troubled) / asked.total() if troubled else math.nan,
        back=_back(records, len(scenario.profiles)) if BAD in troubled else math.nan,
    )


def shares(records: Sequence[Record], upstream: str) -> list[tuple[float, float]]:
    """(time, share of first attempts at an upstream) over a run."""
    bins: dict[int, list[bool]] = {}
    for record in records:
        bins.setdefault(int(record.came / _BIN), []).append(record.asked[0] == upstream)
    return [(number * _BIN, mean(bins[number])) for number in sorted(bins)]


def slowest(records: Sequence[Record]) -> list[tuple[float, float]]:
    """(time, p95 of the time to the first event) over a run."""
    bins: dict[int, list[float]] = {}
    for record in records:
        if record.first is not None:
            bins.setdefault(int(record.came / _BIN), []).append(record.first)
    return [(number * _BIN, quantile(bins[number], 0.95)) for number in sorted(bins)]


def _back(records: Sequence[Record], upstreams: int) -> float:
    for time, share in shares(records, BAD):
        if time >= END and share >= 0.5 / upstreams:
            return time - END
    return math.nan

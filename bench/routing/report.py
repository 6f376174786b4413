"""Runs everything and writes tables and pictures."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median

from bench import chart
from bench.routing import lines
from bench.routing.gateways import Policy
from bench.routing.measures import Measures, measures, run, shares, slowest
from bench.routing.scenarios import (
    BAD,
    END,
    SCENARIOS,
    START,
    STRATEGIES,
    SWEEPS,
    Scenario,
    Sweep,
    Variant,
    by_name,
)
from bench.stats import Spread
from bench.tables import Table, markdown, number, terminal

_WORDS: Mapping[str, str] = {
    "failed": "requests that failed",
    "p50": "time to the first event, p50 in s",
    "p99": "time to the first event, p99 in s",
    "usd": "USD for 1,000 answers",
    "attempts": "attempts for each request",
    "at_bad": "attempts that went to an upstream in trouble",
    "back": "seconds after the trouble until it had half of its usual share again",
}
_SHARES = frozenset({"failed", "at_bad"})
_PLAIN = {strategy: Variant(strategy, Policy(strategy=strategy)) for strategy in STRATEGIES}
_HEADING = """\
# Routing, simulated

The real selection, health, next step and retry budget on a virtual clock; three gateways that do
not know each other, 30 requests/s unless the scenario says otherwise, 180 s of which the middle
third is measured. Medians of {seeds} seeds. Made by `python -m bench.routing`; what follows from it
is in [decision 0008](../../../docs/decisions/0008-routing-defaults.md).

![p99 by strategy](strategies.svg)

![over time](over-time.svg)

"""


def write(folder: Path, seeds: Sequence[int]) -> None:
    """All of it; the tables are printed too."""
    folder.mkdir(parents=True, exist_ok=True)
    by_strategy = {
        (scenario.name, strategy): _all(scenario, variant, seeds)
        for scenario in SCENARIOS
        for strategy, variant in _PLAIN.items()
    }
    tables = [_scenarios(), *_strategies(by_strategy)]
    for sweep in SWEEPS:
        tables += _sweep(sweep, seeds)
    summary = _HEADING.format(seeds=len(seeds)) + "\n".join(map(markdown, tables))
    (folder / "summary.md").write_text(summary, encoding="utf-8")
    (folder / "strategies.svg").write_text(chart.svg(_bars(by_strategy)), encoding="utf-8")
    (folder / "over-time.svg").write_text(lines.svg(_over_time(seeds[0])), encoding="utf-8")
    for table in tables:
        print(terminal(table))


def _all(scenario: Scenario, variant: Variant, seeds: Sequence[int]) -> list[Measures]:
    return [measures(scenario, run(scenario, variant, seed)) for seed in seeds]


def _scenarios() -> Table:
    rows = tuple((scenario.name, scenario.about) for scenario in SCENARIOS)
    return Table("The scenarios", ("scenario", "upstreams"), rows)


def _strategies(found: Mapping[tuple[str, str], list[Measures]]) -> list[Table]:
    return [
        Table(
            f"Strategies: {words}",
            ("scenario", *STRATEGIES),
            tuple(
                (
                    scenario.name,
                    *(_cell(found[scenario.name, each], measure) for each in STRATEGIES),
                )
                for scenario in SCENARIOS
            ),
        )
        for measure, words in _WORDS.items()
    ]


def _sweep(sweep: Sweep, seeds: Sequence[int]) -> list[Table]:
    found = {
        (variant.label, scenario.name): _all(scenario, variant, seeds)
        for variant in sweep.variants
        for scenario in sweep.scenarios
    }
    return [
        Table(
            f"{sweep.title}: {_WORDS[measure]}",
            ("setting", *(scenario.name for scenario in sweep.scenarios)),
            tuple(
                (
                    f"{variant.label} (default)"
                    if variant.label == sweep.chosen
                    else variant.label,
                    *(
                        _cell(found[variant.label, scenario.name], measure)
                        for scenario in sweep.scenarios
                    ),
                )
                for variant in sweep.variants
            ),
        )
        for measure in sweep.measures
    ]


def _cell(rounds: Sequence[Measures], measure: str) -> str:
    values = [value for each in rounds if not math.isnan(value := getattr(each, measure))]
    if len(values) * 2 <= len(rounds):
        return "-"
    value = median(values)
    if measure in _SHARES:
        return f"{value:.2%}"
    return number(value * 1000 if measure == "usd" else value)


def _bars(found: Mapping[tuple[str, str], list[Measures]]) -> list[chart.Panel]:
    return [
        chart.Panel(
            f"{scenario.name}: {_WORDS['p99']} (less is better)",
            tuple(
                chart.Bar(
                    strategy,
                    Spread.of([each.p99 for each in found[scenario.name, strategy]]),
                    emphasis=strategy == STRATEGIES[0],
                )
                for strategy in STRATEGIES
            ),
        )
        for scenario in map(by_name, ("unlike", "outage", "hang", "slow", "capacity"))
    ]


def _over_time(seed: int) -> list[lines.Lines]:
    pictures: list[lines.Lines] = []
    for name in ("outage", "slow"):
        scenario = by_name(name)
        runs = {
            strategy: run(scenario, _PLAIN[strategy], seed)
            for strategy in ("Weighted", "LeastBusy", "LowestLatency")
        }
        pictures += [
            lines.Lines(
                f"{name}: share of the requests that go to the bad one first",
                {strategy: shares(records, BAD) for strategy, records in runs.items()},
                (START, END),
            ),
            lines.Lines(
                f"{name}: time to the first event, p95 in s",
                {strategy: slowest(records) for strategy, records in runs.items()},
                (START, END),
            ),
        ]
    return pictures

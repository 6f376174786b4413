"""The goals of the project's design as figures of a run, each with its verdict. Pure."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from bench.calls import Workload
from bench.peers.sluicegate import NAME
from bench.samples import Run
from bench.scenarios import accounting, cluster
from bench.scenarios.faults import COOLDOWN_SECONDS, FAULTS, SLOW
from bench.scenarios.faults import scenario_of as fault_scenario
from bench.scenarios.memory import LARGE, SMALL
from bench.scenarios.startup import MANY, QUICK_START
from bench.scenarios.translated import PASSED_ON, scenario_of
from bench.stats import paired_ratios, quantile, slope
from bench.tables import Table, number

_FLAT_MB_PER_100K = 2.0
_ENOUGH_REQUESTS = 50_000


@dataclass(frozen=True, slots=True)
class Goal:
    """A figure and its bound. `figure` answers None where the run didn't measure it."""

    what: str
    unit: str
    bound: float
    at_least: bool
    figure: Callable[[Run], float | None]

    def row(self, run: Run) -> tuple[str, str, str, str] | None:
        """The row of the table, None without a figure."""
        value = self.figure(run)
        if value is None:
            return None
        met = value >= self.bound if self.at_least else value <= self.bound
        sign = "≥" if self.at_least else "≤"
        bound = f"{sign} {number(self.bound)} {self.unit}"
        return self.what, bound, f"{number(value)} {self.unit}", "met" if met else "not met"


def added(run: Run, scenario: str, target: str, value: str) -> list[float]:
    """Round by round what a target adds to the direct way, in the value's unit."""
    through = run.values(scenario, target, value)
    return [
        with_ - without
        for with_, without in zip(through, run.values(scenario, "direct", value), strict=False)
    ]


def growth(run: Run, scenario: str) -> float | None:
    """MB per 100,000 requests over the second half of the slices, when caches are filled.

    None for a run of few requests, where a page or two would look like a leak.
    """
    requests = run.values(scenario, NAME, "requests")
    if max(requests, default=0) < _ENOUGH_REQUESTS:
        return None
    points = list(zip(requests, run.values(scenario, NAME, "rss_mb"), strict=True))
    half = points[len(points) // 2 :]
    return slope(half) * 100_000 if len(half) > 1 else None


def _ratio(workload: Workload, peer: str) -> Callable[[Run], float | None]:
    def figure(run: Run) -> float | None:
        ours = run.values(workload.value, NAME, "per_second")
        theirs = run.values(workload.value, peer, "per_second")
        return _median(paired_ratios(ours, theirs))

    return figure


def _cpu_ratio(workload: Workload, peer: str) -> Callable[[Run], float | None]:
    """How many of ours the CPU time of one of theirs would pay for."""

    def figure(run: Run) -> float | None:
        ours = run.values(workload.value, NAME, "cpu_us")
        theirs = run.values(workload.value, peer, "cpu_us")
        return _median(paired_ratios(theirs, ours))

    return figure


def _translated_ratio(shape: str, *, by_cpu: bool = False) -> Callable[[Run], float | None]:
    """Anthropic's answers beside those that the gateway passes on."""
    value = "cpu_us" if by_cpu else "per_second"

    def figure(run: Run) -> float | None:
        ours = run.values(scenario_of(shape), "anthropic", value)
        theirs = run.values(scenario_of(shape), PASSED_ON, value)
        return _median(paired_ratios(theirs, ours) if by_cpu else paired_ratios(ours, theirs))

    return figure


def _accounting_ratio(workload: Workload, *, by_cpu: bool = False) -> Callable[[Run], float | None]:
    """With everything beside without."""
    scenario, value = accounting.scenario_of(workload), "cpu_us" if by_cpu else "per_second"

    def figure(run: Run) -> float | None:
        ours = run.values(scenario, accounting.ON, value)
        without = run.values(scenario, accounting.OFF, value)
        return _median(paired_ratios(without, ours) if by_cpu else paired_ratios(ours, without))

    return figure


def _last(scenario: str) -> Callable[[Run], float | None]:
    def figure(run: Run) -> float | None:
        values = run.values(scenario, NAME, "rss_mb")
        return values[-1] if values else None

    return figure


def _reload_ratio(run: Run) -> float | None:
    changing = run.values("reload", "changing", "p99_ms")
    return _median(paired_ratios(changing, run.values("reload", "quiet", "p99_ms")))


def over_faults(run: Run, figure: Callable[[Mapping[str, float]], float]) -> float | None:
    """The greatest figure of the samples of all faults."""
    scenarios = {fault_scenario(fault) for fault in FAULTS}
    found = [figure(sample.values) for sample in run.samples if sample.scenario in scenarios]
    return max(found, default=None)


def _probes(run: Run) -> float | None:
    """Attempts at an upstream that fails beyond one for each cooldown and one at the edge."""
    failing = {fault_scenario(fault) for fault in FAULTS if fault.name != SLOW}
    found = [
        sample.values["asked"] - sample.values["seconds"] / COOLDOWN_SECONDS - 1
        for sample in run.samples
        if sample.scenario in failing
    ]
    return max(0.0, *found) if found else None


def cluster_quantile(value: str, share: float) -> Callable[[Run], float | None]:
    """Over all changes in a cluster."""

    def figure(run: Run) -> float | None:
        values = run.values(cluster.CHANGE, NAME, value)
        return quantile(values, share) if values else None

    return figure


def _refused(run: Run) -> float | None:
    ways = (cluster.REVOKED, cluster.DELETED)
    values = [value for way in ways for value in run.values(way, NAME, "refused_s")]
    return quantile(values, 0.99) if values else None


def _storm(figure: Callable[[Mapping[str, float]], float]) -> Callable[[Run], float | None]:
    """A figure of the many objects that were applied at once."""

    def found(run: Run) -> float | None:
        return max(
            (figure(one.values) for one in run.samples if one.scenario == cluster.STORM),
            default=None,
        )

    return found


def _needless_publications(values: Mapping[str, float]) -> float:
    """Beyond one in 200 ms, and those at the edges."""
    return max(0.0, values["publishes"] - values["applied_s"] / 0.2 - 3)


def _median(values: Sequence[float]) -> float | None:
    return median(values) if values else None


GOALS: tuple[Goal, ...] = (
    Goal("passthrough", "x Envoy", 0.5, at_least=True, figure=_ratio(Workload.JSON, "envoy")),
    Goal(
        "passthrough, by CPU time",
        "x Envoy",
        0.5,
        at_least=True,
        figure=_cpu_ratio(Workload.JSON, "envoy"),
    ),
    Goal("passthrough", "x LiteLLM", 80, at_least=True, figure=_ratio(Workload.JSON, "litellm")),
    Goal("streams", "x Envoy", 0.6, at_least=True, figure=_ratio(Workload.STREAM, "envoy")),
    # With an upstream that writes each event by itself the mock may be full before the targets are;
    # then the CPU time tells more than the streams per second.
    Goal(
        "streams, by CPU time",
        "x Envoy",
        0.6,
        at_least=True,
        figure=_cpu_ratio(Workload.STREAM, "envoy"),
    ),
    Goal("streams", "x LiteLLM", 60, at_least=True, figure=_ratio(Workload.STREAM, "litellm")),
    Goal(
        "translated",
        "x passed on",
        0.5,
        at_least=True,
        figure=_translated_ratio("json"),
    ),
    Goal(
        "translated, by CPU time",
        "x passed on",
        0.5,
        at_least=True,
        figure=_translated_ratio("json", by_cpu=True),
    ),
    Goal(
        "translated streams",
        "x passed on",
        0.4,
        at_least=True,
        figure=_translated_ratio("stream"),
    ),
    Goal(
        "translated streams, by CPU time",
        "x passed on",
        0.4,
        at_least=True,
        figure=_translated_ratio("stream", by_cpu=True),
    ),
    *(
        Goal(
            f"accounting, {what}{', by CPU time' if by_cpu else ''}",
            "x without",
            0.75,
            at_least=True,
            figure=_accounting_ratio(workload, by_cpu=by_cpu),
        )
        for workload, what in accounting.WORKLOADS.items()
        for by_cpu in (False, True)
    ),
    Goal(
        "added latency, p99",
        "ms",
        3,
        at_least=False,
        figure=lambda run: _median(added(run, "latency-json", NAME, "p99_ms")),
    ),
    Goal("p99 during 10 config changes/s", "x quiet", 2, at_least=False, figure=_reload_ratio),
    Goal(
        "event loop held by a load, at most",
        "ms",
        5,
        at_least=False,
        figure=lambda run: max(run.values("reload", "changing", "held_ms"), default=None),
    ),
    Goal(
        "failed requests while one of two upstreams fails",
        "",
        0,
        at_least=False,
        figure=lambda run: over_faults(run, lambda values: values["errors"]),
    ),
    Goal(
        "p99 from a second after the failure",
        "x before",
        3,
        at_least=False,
        figure=lambda run: over_faults(
            run, lambda values: values["p99_ms"] / values["quiet_p99_ms"]
        ),
    ),
    Goal(
        "attempts at the failing one beyond its probes",
        "",
        0,
        at_least=False,
        figure=_probes,
    ),
    Goal("memory, quick start", "MB", 90, at_least=False, figure=_last(SMALL)),
    Goal(
        "its growth per 100,000 requests",
        "MB",
        _FLAT_MB_PER_100K,
        at_least=False,
        figure=lambda run: growth(run, SMALL),
    ),
    Goal("memory, many deployments and keys", "MB", 130, at_least=False, figure=_last(LARGE)),
    Goal(
        "its growth per 100,000 requests",
        "MB",
        _FLAT_MB_PER_100K,
        at_least=False,
        figure=lambda run: growth(run, LARGE),
    ),
    Goal(
        "start to ready, quick start",
        "s",
        1,
        at_least=False,
        figure=lambda run: _median(run.values(QUICK_START, NAME, "ready_s")),
    ),
    Goal(
        "start to ready, many deployments and keys",
        "s",
        2,
        at_least=False,
        figure=lambda run: _median(run.values(MANY, NAME, "ready_s")),
    ),
    Goal(
        "apply to the first answer by it on every gateway, p50",
        "ms",
        75,
        at_least=False,
        figure=cluster_quantile("every_gateway_ms", 0.5),
    ),
    Goal(
        "apply to the first answer by it on every gateway, p99",
        "ms",
        250,
        at_least=False,
        figure=cluster_quantile("every_gateway_ms", 0.99),
    ),
    Goal(
        "failed requests during changes in a cluster",
        "",
        0,
        at_least=False,
        figure=lambda run: max(run.values(cluster.CHANGES, NAME, "errors"), default=None),
    ),
    Goal(
        "key taken away until every gateway refuses it, p99",
        "s",
        2,
        at_least=False,
        figure=_refused,
    ),
    Goal(
        "many objects applied at once, until all are Ready",
        "s",
        30,
        at_least=False,
        figure=_storm(lambda values: values["ready_s"]),
    ),
    Goal(
        "publications of them beyond one in 200 ms",
        "",
        0,
        at_least=False,
        figure=_storm(_needless_publications),
    ),
    Goal(
        "most memory of the operator",
        "MB",
        250,
        at_least=False,
        figure=lambda run: max(run.values(cluster.CHANGES, NAME, "operator_peak_mb"), default=None),
    ),
)


def table(run: Run) -> Table:
    """What the run says about the goals it measured."""
    rows = [row for goal in GOALS if (row := goal.row(run)) is not None]
    return Table("Goals", ("what", "goal", "measured", ""), tuple(rows))

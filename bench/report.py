"""What a run says, as tables. Pure."""

from collections import Counter

from bench import goals
from bench.calls import Workload
from bench.goals import added
from bench.measure import DISTURBED, bottleneck
from bench.peers.direct import NAME as DIRECT
from bench.peers.sluicegate import NAME
from bench.samples import Run
from bench.scenarios import accounting, cluster, faults, translated
from bench.scenarios.memory import LARGE, SMALL
from bench.scenarios.startup import MANY, QUICK_START
from bench.scenarios.translated import PASSED_ON
from bench.stats import Spread, paired_ratios, quantile
from bench.tables import Table, number, times, with_spread

_TITLES = {
    Workload.JSON: "Passthrough, JSON answers",
    Workload.STREAM: "Passthrough, streams of 28 events, each its own write upstream",
    Workload.STREAM_PACED: "Passthrough, streams of 28 events, 10 ms apart",
    Workload.STREAM_JOINED: "Passthrough, streams of 28 events, one write upstream",
    Workload.ECHO_JSON: "Echo provider, JSON answers",
    Workload.ECHO_STREAM: "Echo provider, streams of 28 events",
}
_TRANSLATED = {
    "json": "Translated, JSON answers",
    "stream": "Translated, streams of 28 events, each its own write upstream",
    "stream-joined": "Translated, streams of 28 events, one write upstream",
}
_COMPARED = ("envoy", "litellm")


def heading(run: Run) -> str:
    """What was measured on what, as a Markdown table."""
    versions = ", ".join(f"{name} {version}" for name, version in run.versions.items())
    settings = ", ".join(f"{name} {value}" for name, value in run.settings.items())
    lines = {"run": f"{run.label}, {run.started}", **run.facts}
    lines |= {"measured": versions, "settings": settings}
    rows = [f"| {name} | {value} |" for name, value in lines.items()]
    return "\n".join(["| | |", "| --- | --- |", *rows, "", ""])


def tables(run: Run) -> list[Table]:
    """Every table that the run has numbers for, the goals first."""
    found = [
        goals.table(run),
        *(_throughput(run, workload) for workload in _TITLES),
        *(_translated(run, shape) for shape in _TRANSLATED),
        *(_accounting(run, workload) for workload in accounting.WORKLOADS),
        _latency(run, Workload.JSON),
        _latency(run, Workload.STREAM),
        _latency(run, Workload.STREAM_PACED),
        _reload(run),
        _faults(run),
        _memory(run),
        _startup(run),
        _cluster(run),
        _cluster_costs(run),
    ]
    return [table for table in found if table.rows]


def _throughput(run: Run, workload: Workload) -> Table:
    scenario = workload.value
    rows: list[tuple[str, ...]] = []
    for target in run.targets(scenario):
        rate = run.values(scenario, target, "per_second")
        ratios = [
            times(paired_ratios(rate, run.values(scenario, peer, "per_second")))
            for peer in _COMPARED
        ]
        rows.append(
            (
                target,
                with_spread(rate),
                *ratios,
                number(_middle(run, scenario, target, "p50_ms")),
                number(_middle(run, scenario, target, "p99_ms")),
                with_spread(cpu := run.values(scenario, target, "cpu_us")),
                times(paired_ratios(cpu, run.values(scenario, "envoy", "cpu_us"))),
                _limited_by(run, scenario, target),
            )
        )
    unit = "streams/s" if workload.streams else "requests/s"
    head = (
        "",
        unit,
        "÷ Envoy",
        "÷ LiteLLM",
        "p50 ms",
        "p99 ms",
        "CPU µs each",
        "÷ Envoy",
        "limited by",
    )
    return Table(_TITLES[workload], head, tuple(rows), _remarks(run, scenario))


def _translated(run: Run, shape: str) -> Table:
    scenario = translated.scenario_of(shape)
    passed_on = {
        value: run.values(scenario, PASSED_ON, value) for value in ("per_second", "cpu_us")
    }
    rows: list[tuple[str, ...]] = []
    for provider in run.targets(scenario):
        rate = run.values(scenario, provider, "per_second")
        cpu = run.values(scenario, provider, "cpu_us")
        rows.append(
            (
                provider if provider != PASSED_ON else f"{provider}, passed on",
                with_spread(rate),
                times(paired_ratios(rate, passed_on["per_second"])),
                number(_middle(run, scenario, provider, "p50_ms")),
                number(_middle(run, scenario, provider, "p99_ms")),
                with_spread(cpu),
                times(paired_ratios(cpu, passed_on["cpu_us"])),
                _limited_by(run, scenario, provider),
            )
        )
    unit = "requests/s" if shape == "json" else "streams/s"
    head = ("", unit, "÷ passed on", "p50 ms", "p99 ms", "CPU µs each", "÷ passed on", "limited by")
    return Table(_TRANSLATED[shape], head, tuple(rows), _remarks(run, scenario))


def _accounting(run: Run, workload: Workload) -> Table:
    scenario = accounting.scenario_of(workload)
    rate, cpu = (
        {target: run.values(scenario, target, value) for target in run.targets(scenario)}
        for value in ("per_second", "cpu_us")
    )
    rows = [
        (
            target,
            with_spread(rate[target]),
            times(paired_ratios(rate[target], rate[accounting.OFF])),
            with_spread(cpu[target]),
            times(paired_ratios(cpu[target], cpu[accounting.OFF])),
            _limited_by(run, scenario, target),
        )
        for target in rate
    ]
    unit = "streams/s" if workload.streams else "requests/s"
    return Table(
        f"Limits, a budget and the ledger: {accounting.WORKLOADS[workload]}",
        ("", unit, "÷ without", "CPU µs each", "÷ without", "limited by"),
        tuple(rows),
        _remarks(run, scenario),
    )


def _limited_by(run: Run, scenario: str, target: str) -> str:
    """Whose CPU was full: the target's, or that of the load generator and the mock."""
    seen = {
        bottleneck(sample.values)
        for sample in run.samples
        if sample.scenario == scenario and sample.target == target
    }
    words = {"target": "its CPU", "load": "the load", "neither": "neither"}
    return ", ".join(word for side, word in words.items() if side in seen)


def _remarks(run: Run, *scenarios: str) -> tuple[str, ...]:
    remarks: list[str] = []
    samples = [sample for sample in run.samples if sample.scenario in scenarios]
    failed: Counter[str] = Counter()
    for sample in samples:
        failed[sample.target] += int(sample.values.get("errors", 0))
    remarks.extend(
        f"{count} requests of {target} failed: its numbers don't count."
        for target, count in failed.items()
        if count
    )
    foreign = max((sample.values.get("foreign_share", 0) for sample in samples), default=0)
    if foreign > DISTURBED:
        remarks.append(f"Other processes took up to {foreign:.2f} cores meanwhile.")
    return tuple(remarks)


def _latency(run: Run, workload: Workload) -> Table:
    scenario = f"latency-{workload.value}"
    parts = {"": ""}
    if workload.streams:
        parts = {"first event ": "first_event_", "first output ": "first_output_", "end ": ""}
    head = [word for name in parts for word in (f"{name}p50 ms", "added", "p99 ms", "added")]
    rows: list[tuple[str, ...]] = []
    for target in run.targets(scenario):
        row = [target]
        for value in (f"{part}{q}_ms" for part in parts.values() for q in ("p50", "p99")):
            more = [] if target == DIRECT else added(run, scenario, target, value)
            row.append(number(_middle(run, scenario, target, value)))
            row.append(number(Spread.of(more).median) if more else "-")
        cpu, late = (_middle(run, scenario, target, v) for v in ("cpu_us", "late_p99_ms"))
        rows.append((*row, number(cpu), number(late)))
    what = "streams/s" if workload.streams else "requests/s"
    if workload is Workload.STREAM_PACED:
        what += " with 10 ms between events"
    return Table(
        f"Latency at a fixed rate ({run.settings[scenario]} {what}, open loop)",
        ("", *head, "CPU µs each", "generator late p99 ms"),
        tuple(rows),
        _remarks(run, scenario),
    )


def _reload(run: Run) -> Table:
    rows: list[tuple[str, ...]] = []
    quiet = run.values("reload", "quiet", "p99_ms")
    for mode in run.targets("reload"):
        p99 = run.values("reload", mode, "p99_ms")
        p50 = with_spread(run.values("reload", mode, "p50_ms"))
        rows.append((mode, p50, with_spread(p99), times(paired_ratios(p99, quiet))))
    remarks = list(_remarks(run, "reload"))
    served = run.values("change-served", "reload", "served_ms")
    if served:
        remarks.append(
            f"{len(served)} single changes, from the file's rename to the first answer by it: "
            f"{with_spread(served)} ms."
        )
    title = f"Latency while the configuration of {run.settings['deployments']} deployments changes"
    return Table(title, ("", "p50 ms", "p99 ms", "÷ quiet"), tuple(rows), tuple(remarks))


def _faults(run: Run) -> Table:
    rows: list[tuple[str, ...]] = []
    for fault in faults.FAULTS:
        scenario = faults.scenario_of(fault)
        if run.targets(scenario):
            values = [
                _middle(run, scenario, NAME, name)
                for name in ("errors", "quiet_p99_ms", "p99_ms", "asked", "seconds")
            ]
            rows.append((fault.name, fault.strategy, *map(number, values)))
    head = ("it is", "strategy", "failed", "p99 ms before", "p99 ms after", "asked", "in seconds")
    return Table(
        f"One of two upstreams fails at {run.settings['latency-json']} requests/s",
        head,
        tuple(rows),
    )


def _memory(run: Run) -> Table:
    rows: list[tuple[str, ...]] = []
    sizes = {
        SMALL: "one key",
        LARGE: f"{run.settings['keys']} keys, {run.settings['deployments']} deployments of "
        "five providers",
    }
    for scenario, size in sizes.items():
        rss = run.values(scenario, NAME, "rss_mb")
        grown = goals.growth(run, scenario)
        if rss:
            requests = max(run.values(scenario, NAME, "requests"))
            cells = (
                number(rss[0]),
                number(rss[1]),
                number(rss[-1]),
                "-" if grown is None else number(grown),
            )
            rows.append((size, *cells, f"{requests:,.0f}"))
    head = ("resident MB", "ready", "a tenth", "the end", "growth per 100,000", "requests")
    return Table("Memory over many requests", head, tuple(rows), _remarks(run, SMALL, LARGE))


def _startup(run: Run) -> Table:
    sizes = {
        QUICK_START: "quick start",
        MANY: f"{run.settings['deployments']} deployments and keys",
    }
    rows: list[tuple[str, ...]] = []
    for scenario, size in sizes.items():
        ready = run.values(scenario, NAME, "ready_s")
        if ready:
            memory = with_spread(run.values(scenario, NAME, "rss_mb"))
            rows.append((size, with_spread(ready), memory))
    for target in run.targets("start"):
        ready = run.values("start", target, "ready_s")
        rows.append(
            (target, with_spread(ready), with_spread(run.values("start", target, "rss_mb")))
        )
    return Table("Start to ready", ("", "seconds", "resident MB when ready"), tuple(rows))


_CLUSTER_TIMES = {
    "until the operator's publication is seen": (cluster.CHANGE, "published_ms", 1),
    "until the first gateway answers by it": (cluster.CHANGE, "first_gateway_ms", 1),
    "until every gateway answers by it": (cluster.CHANGE, "every_gateway_ms", 1),
    "until Programmed=True": (cluster.CHANGE, "programmed_ms", 1),
    "until Ready=True": (cluster.CHANGE, "ready_ms", 1),
    "key revoked, until every gateway refuses it": (cluster.REVOKED, "refused_s", 1000),
    "key deleted, until every gateway refuses it": (cluster.DELETED, "refused_s", 1000),
    "the apply itself": (cluster.CHANGE, "apply_ms", 1),
}


def _cluster(run: Run) -> Table:
    rows: list[tuple[str, ...]] = []
    for what, (scenario, value, factor) in _CLUSTER_TIMES.items():
        times_ = [one * factor for one in run.values(scenario, NAME, value)]
        if times_:
            spread = (quantile(times_, 0.5), quantile(times_, 0.99), max(times_))
            rows.append((what, *map(number, spread), str(len(times_))))
    return Table(
        f"In a cluster: from the API server's answer, with {run.settings['deployments']} "
        "deployments, as many keys, and three gateways under load",
        ("milliseconds", "p50", "p99", "most", "of"),
        tuple(rows),
        _remarks(run, cluster.CHANGES),
    )


_CLUSTER_COSTS = {
    "objects applied at once": (cluster.STORM, "objects"),
    "seconds until they were applied": (cluster.STORM, "applied_s"),
    "seconds until all were Ready": (cluster.STORM, "ready_s"),
    "publications of them": (cluster.STORM, "publishes"),
    "operator, resident MB": (cluster.CHANGES, "operator_mb"),
    "operator, most resident MB": (cluster.CHANGES, "operator_peak_mb"),
    "gateway, resident MB": (cluster.CHANGES, "gateway_mb"),
    "a change: operator, CPU ms": (cluster.CHANGES, "operator_cpu_ms"),
    "a change: three gateways, CPU ms": (cluster.CHANGES, "gateways_cpu_ms"),
    "a change: etcd and API server, CPU ms": (cluster.CHANGES, "control_plane_cpu_ms"),
    "cores busy during the changes": (cluster.CHANGES, "busy_cores"),
    "failed requests": (cluster.CHANGES, "errors"),
}


def _cluster_costs(run: Run) -> Table:
    rows = [
        (what, number(values[0]))
        for what, (scenario, value) in _CLUSTER_COSTS.items()
        if (values := run.values(scenario, NAME, value))
    ]
    return Table("In a cluster: what it takes", ("", ""), tuple(rows))


def _middle(run: Run, scenario: str, target: str, value: str) -> float:
    values = run.values(scenario, target, value)
    return Spread.of(values).median if values else 0.0

"""`python -m bench`: runs the scenarios and writes the report; see docs/performance.md."""

import gzip
import signal
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType

import msgspec

from bench import chart, machine, options, profile, report, samples, tables, tools
from bench.options import Options
from bench.processes import BenchError, Placement, Processes
from bench.rig import Rig
from bench.samples import Run
from bench.scenarios import ALONE, GATEWAY_ONLY, SCENARIOS, latency

_BUSY_LOAD = 0.5


def main(argv: list[str]) -> int:
    """Answers the exit status."""
    given = options.parse(argv)
    # So that `with` blocks end what was started, as they do on Ctrl-C.
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        if isinstance(given, options.ProfileOptions):
            profile.run(given)
        else:
            _run(given)
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("bench: interrupted", file=sys.stderr)
        return 130
    return 0


def _interrupt(number: int, frame: FrameType | None) -> None:
    del number, frame
    raise KeyboardInterrupt


def _run(given: Options) -> None:
    started = datetime.now(UTC).isoformat(timespec="seconds")
    facts = machine.facts()
    for name, value in facts.items():
        tools.say(f"{name}: {value}")
    if float(facts["load average at the start"]) > _BUSY_LOAD:
        tools.say("the machine is busy with something else, which the numbers will show")
    placement = Placement.split(given.niceness)
    if not given.pinned:
        placement = Placement(None, None, given.niceness)
    settings = {
        "duration": f"{given.duration:g} s",
        "rounds": str(given.rounds),
        "connections": str(given.connections),
        "cores": f"{placement.target} measured, {placement.load} load",
        "niceness": str(given.niceness),
        "deployments": f"{given.deployments:,}",
        "keys": f"{given.keys:,}",
        **latency.rates(given.rate),
    }
    with (
        tempfile.TemporaryDirectory(prefix="sluicegate-bench-") as folder,
        Processes(placement, logs=Path(folder)) as processes,
    ):
        rig = Rig(given, processes, Path(folder))
        try:
            if not ALONE.issuperset(given.only):
                rig.start_all(with_peers=not GATEWAY_ONLY.issuperset(given.only))
            for name in given.only:
                SCENARIOS[name](rig)
        finally:
            # Also what was measured before an error or Ctrl-C.
            if rig.samples:
                run = Run(given.label, started, facts, rig.versions, settings, rig.samples)
                _write(given, run, rig.latencies)


def _write(given: Options, run: Run, latencies: dict[str, list[list[int]]]) -> None:
    given.results.mkdir(parents=True, exist_ok=True)
    samples.write(run, given.results / "samples.json")
    with gzip.open(given.results / "latencies.json.gz", "wb") as file:
        file.write(msgspec.json.encode(latencies))
    found = report.tables(run)
    summary = report.heading(run) + "\n".join(tables.markdown(table) for table in found)
    (given.results / "summary.md").write_text(summary, encoding="utf-8")
    drawn = chart.panels(run)
    if drawn:
        (given.results / "chart.svg").write_text(chart.svg(drawn), encoding="utf-8")
    print()
    for table in found:
        print(tables.terminal(table))
    where = given.results.relative_to(options.ROOT)
    tools.say(f"written to {where}: samples.json, latencies.json.gz, summary.md, chart.svg")


sys.exit(main(sys.argv[1:]))

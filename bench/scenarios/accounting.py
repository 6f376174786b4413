"""What accounting costs: the same gateway with all of it and without what can be left out."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from types import MappingProxyType

from bench import measure
from bench.calls import Workload
from bench.rig import Rig
from bench.targets import Target, qualify

ON, OFF = "everything", "without"
# What is measured, and what the report calls it.
WORKLOADS: Mapping[Workload, str] = MappingProxyType(
    {
        Workload.JSON: "JSON",
        Workload.STREAM_JOINED: "streams",
        Workload.ANTHROPIC_JSON: "translated JSON",
        Workload.ANTHROPIC_STREAM_JOINED: "translated streams",
    }
)


def scenario_of(workload: Workload) -> str:
    """The name of its samples."""
    return f"accounting-{workload.value}"


def run(rig: Rig) -> None:
    """In turns: limits, a budget and the ledger for each request, and none of them.

    Prices and metrics can't be left out; both have them.
    """
    rig.rest()
    off = replace(rig.gateway, limited=False, options=("--store-url", "none"))
    targets = [rig.launch(rig.gateway, name=ON), rig.launch(off, name=OFF)]
    try:
        for target in targets:
            for workload in WORKLOADS:
                qualify(target, workload)
            target.server.pause()
        for workload in WORKLOADS:
            for round_ in range(rig.options.rounds):
                for target in targets[:: 1 if round_ % 2 == 0 else -1]:
                    values = _measure(rig, target, workload)
                    rig.record(scenario_of(workload), target.name, round_, values)
    finally:
        for target in targets:
            target.server.resume()
            rig.stop(target)


def _measure(rig: Rig, target: Target, workload: Workload) -> dict[str, float]:
    target.server.resume()
    if rig.options.warm_up:
        measure.throughput(rig, target, workload, rig.options.warm_up)
    values = measure.undisturbed(
        rig.options.tries,
        partial(measure.throughput, rig, target, workload, rig.options.duration),
    )
    target.server.pause()
    return values

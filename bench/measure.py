"""One measurement: a load, and the CPU time that each side of it took meanwhile."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from bench import loads, machine
from bench.calls import FIRST_OUTPUT, Workload
from bench.rig import Rig
from bench.stats import quantile
from bench.targets import Target

# From this share of its cores on, a side is what holds the throughput down.
SATURATED = 0.95
# Cores' worth of CPU time that other processes may take before a measurement counts as disturbed.
DISTURBED = 0.1


@dataclass(frozen=True, slots=True)
class Meter:
    """CPU time used up to a moment, in seconds."""

    wall: float
    target: float
    mock: float
    harness: float
    machine: float

    @classmethod
    def read(cls, rig: Rig, target: Target) -> "Meter":
        """The counters now."""
        return cls(
            wall=time.monotonic(),
            target=target.server.cpu_seconds(),
            mock=rig.direct.server.cpu_seconds(),
            harness=time.process_time(),
            machine=machine.busy_seconds(),
        )


def cpu_values(
    before: Meter,
    after: Meter,
    *,
    generator: float,
    requests: int,
    load_cores: int,
    target_is_mock: bool = False,
) -> Mapping[str, float]:
    """What the CPU was used for between two readings. Pure.

    `cpu_us` is the target's CPU time per request, `target_share` its part of one core, `load_share`
    the part of their cores that generator and mock took, `foreign_share` what processes that
    don't belong to the run took, in cores.
    """
    wall = after.wall - before.wall
    target = after.target - before.target
    mock = after.mock - before.mock
    ours = generator + mock + (after.harness - before.harness)
    if not target_is_mock:
        ours += target
    return {
        "cpu_us": target / max(1, requests) * 1e6,
        "target_share": target / wall,
        "load_share": (generator + mock) / (wall * load_cores),
        "foreign_share": max(0.0, after.machine - before.machine - ours) / wall,
    }


def undisturbed(tries: int, measured: Callable[[], dict[str, float]]) -> dict[str, float]:
    """Measures again, up to `tries` times in all, while other processes took part of the machine.

    Answers the first that was left alone, else the least disturbed, with the number of the `try`.
    What was measured has no say in it.
    """
    best = measured() | {"try": 1.0}
    for number in range(2, tries + 1):
        if best["foreign_share"] <= DISTURBED:
            break
        another = measured() | {"try": float(number)}
        best = min(best, another, key=lambda values: values["foreign_share"])
    return best


def throughput(rig: Rig, target: Target, workload: Workload, seconds: float) -> dict[str, float]:
    """How many requests per second a target serves over a fixed number of connections."""
    before = Meter.read(rig, target)
    result, generator = loads.run_wrk(
        rig.processes,
        rig.wrk,
        target.port,
        target.calls[workload],
        script=rig.folder / "wrk.lua",
        seconds=seconds,
        connections=rig.options.connections,
    )
    return {
        "per_second": result.requests / result.seconds,
        "p50_ms": result.p50_us / 1000,
        "p99_ms": result.p99_us / 1000,
        "errors": result.errors,
        **_cpu(rig, target, before, generator, result.requests),
    }


def open_loop(
    rig: Rig, target: Target, workload: Workload, *, rate: float, seconds: float, raw: str | None
) -> dict[str, float]:
    """How long requests take that arrive at a fixed rate.

    The latencies themselves are kept under the name `raw`, one list for each try.
    """
    before = Meter.read(rig, target)
    result, generator = loads.run_load(
        rig.processes,
        rig.load,
        target.port,
        [target.calls[workload]],
        listing=rig.folder / "calls.jsonl",
        requests=max(1, round(rate * seconds)),
        connections=rig.options.connections,
        rate=rate,
        mark=FIRST_OUTPUT if workload.streams else "",
    )
    values = {"errors": float(result.errors)}
    values |= _cpu(rig, target, before, generator, result.requests)
    if result.latency_us:
        values |= _quantiles("", result.latency_us)
        values["late_p99_ms"] = quantile(result.late_us, 0.99) / 1000
        if workload.streams:
            values |= _quantiles("first_event_", result.first_byte_us)
            values |= _quantiles("first_output_", result.first_mark_us)
        if raw is not None:
            rig.latencies.setdefault(raw, []).append(result.latency_us)
    return values


def _cpu(
    rig: Rig, target: Target, before: Meter, generator: float, requests: int
) -> Mapping[str, float]:
    return cpu_values(
        before,
        Meter.read(rig, target),
        generator=generator,
        requests=requests,
        load_cores=_load_cores(rig),
        target_is_mock=target.server is rig.direct.server,
    )


def _quantiles(prefix: str, micros: list[int]) -> dict[str, float]:
    return {
        f"{prefix}p50_ms": quantile(micros, 0.5) / 1000,
        f"{prefix}p99_ms": quantile(micros, 0.99) / 1000,
    }


def _load_cores(rig: Rig) -> int:
    cores = rig.processes.placement.load
    return len(cores.split(",")) if cores else 1


def bottleneck(values: Mapping[str, float]) -> str:
    """Which side held the throughput down in a sample: `target`, `load` or `neither`. Pure."""
    if values.get("load_share", 0.0) >= SATURATED:
        return "load"
    return "target" if values.get("target_share", 0.0) >= SATURATED else "neither"

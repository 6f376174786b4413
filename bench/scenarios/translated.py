"""What translating costs: each provider beside what the gateway only passes on, in turns."""

from functools import partial

from bench import measure
from bench.calls import Workload
from bench.rig import Rig

# Which the answers of the other providers are compared with.
PASSED_ON = Workload.JSON.provider
SHAPES = ("json", "stream", "stream-joined")


def scenario_of(shape: str) -> str:
    """The name of the samples; the target of each is the provider."""
    return f"translated-{shape}"


def run(rig: Rig) -> None:
    """JSON answers, streams as an upstream writes them, and streams in one write.

    All of one gateway, whose own passthrough is the measure.
    """
    gateway = next(target for target in rig.targets if target.name == rig.gateway.name)
    rig.turn(gateway)
    for shape in SHAPES:
        workloads = [
            workload
            for workload in Workload
            if workload.shape == shape and not workload.is_echo and gateway.can(workload)
        ]
        for round_ in range(rig.options.rounds):
            shift = round_ % max(1, len(workloads))
            for workload in workloads[shift:] + workloads[:shift]:
                if rig.options.warm_up:
                    measure.throughput(rig, gateway, workload, rig.options.warm_up)
                values = measure.undisturbed(
                    rig.options.tries,
                    partial(measure.throughput, rig, gateway, workload, rig.options.duration),
                )
                rig.record(scenario_of(shape), workload.provider, round_, values)

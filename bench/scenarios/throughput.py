"""How much a target serves over a fixed number of busy connections."""

from functools import partial

from bench import measure
from bench.calls import Workload
from bench.rig import Rig


def passthrough(rig: Rig) -> None:
    """JSON answers."""
    _rounds(rig, Workload.JSON)


def streams(rig: Rig) -> None:
    """Streams of 28 events, which the upstream writes one by one, then all in one write.

    The first is what a real upstream does, but costs the mock some 28 system calls for each stream;
    the second shows the gateway where the mock is no limit.
    """
    _rounds(rig, Workload.STREAM)
    _rounds(rig, Workload.STREAM_JOINED)


def echo(rig: Rig) -> None:
    """The gateway's own echo provider: no upstream at all."""
    _rounds(rig, Workload.ECHO_JSON)
    _rounds(rig, Workload.ECHO_STREAM)


def _rounds(rig: Rig, workload: Workload) -> None:
    able = [target for target in rig.targets if target.can(workload)]
    for round_ in range(rig.options.rounds):
        # Another one begins each time, so that none is always the one after a heavy neighbour.
        shift = round_ % max(1, len(able))
        for target in able[shift:] + able[:shift]:
            rig.turn(target)
            if rig.options.warm_up:
                measure.throughput(rig, target, workload, rig.options.warm_up)
            values = measure.undisturbed(
                rig.options.tries,
                partial(measure.throughput, rig, target, workload, rig.options.duration),
            )
            rig.record(workload.value, target.name, round_, values)

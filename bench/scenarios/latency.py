"""How long requests take that arrive at a fixed rate, and how much of that the target adds."""

import http.client
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

from bench import manifests, measure, tools
from bench.calls import Workload
from bench.peers.sluicegate import manifests_of
from bench.processes import BenchError
from bench.rig import Rig
from bench.targets import Target, qualify

# A target that can't serve twice the rate would be measured in its own queue.
_HEADROOM = 2.0
# Of the rate of the option: a stream is some ten times the work, and with 10 ms between its events
# there are a quarter as many open as started in a second.
_SHARES = {Workload.JSON: 1.0, Workload.STREAM: 0.1, Workload.STREAM_PACED: 0.1}
_PROBE_SECONDS = 1.0
_CHANGE_SECONDS = 0.1
_CHANGES_TIMED = 5  # in each round
_SERVED_WITHIN_SECONDS = 10.0
_LONGEST_SLICE = "sluicegate_config_longest_slice_seconds "
_PROBE = "probe"  # the echo deployment that is changed


def scenario_of(workload: Workload) -> str:
    """The name of the open loop's samples."""
    return f"latency-{workload.value}"


def rates(rate: float) -> dict[str, str]:
    """Requests per second of each open loop, for the settings of a run."""
    return {scenario_of(workload): f"{rate * share:g}" for workload, share in _SHARES.items()}


def added(rig: Rig) -> None:
    """The open loop through each target that can bear it, and straight to the mock.

    Of streams whose events come 10 ms apart, as a model's do, the CPU time is of interest too: no
    two events can share a read or a write there, as they do when everything is busy.
    """
    for workload, share in _SHARES.items():
        rate = rig.options.rate * share
        able = [target for target in rig.targets if _bears(rig, target, workload, rate)]
        scenario = scenario_of(workload)
        for round_ in range(rig.options.rounds):
            shift = round_ % max(1, len(able))
            for target in able[shift:] + able[:shift]:
                rig.turn(target)
                values = _open_loop(
                    rig, target, workload, rate, raw=f"{scenario}/{target.name}/{round_}"
                )
                rig.record(scenario, target.name, round_, values)


def during_reloads(rig: Rig) -> None:
    """A gateway with many deployments, in turn left alone and given ten changes per second.

    Afterwards single changes, each timed from the rename of its file to the first answer by it.
    """
    rig.rest()
    many = replace(rig.gateway, deployments=rig.options.deployments, keys=1)
    target = rig.launch(many, name="reload")
    folder = manifests_of(target.site)
    try:
        qualify(target, Workload.JSON)
        for round_ in range(rig.options.rounds):
            for mode in ("quiet", "changing") if round_ % 2 == 0 else ("changing", "quiet"):
                raw = f"reload/{mode}/{round_}"
                if mode == "quiet":
                    values = _open_loop(rig, target, Workload.JSON, rig.options.rate, raw=raw)
                else:
                    with _changes(folder) as count:
                        values = _open_loop(rig, target, Workload.JSON, rig.options.rate, raw=raw)
                    values["changes"] = count[0]
                    values["held_ms"] = _longest_slice(target) * 1000
                rig.record("reload", mode, round_, values)
        for number in range(_CHANGES_TIMED * rig.options.rounds):
            values = {"served_ms": _one_change(target, folder, number) * 1000}
            rig.record("change-served", target.name, number, values)
    finally:
        rig.stop(target)


def _bears(rig: Rig, target: Target, workload: Workload, rate: float) -> bool:
    if not target.can(workload):
        return False
    rig.turn(target)
    capacity = measure.throughput(rig, target, workload, _PROBE_SECONDS)["per_second"]
    if capacity < rate * _HEADROOM:
        tools.say(
            f"{target.name} serves {capacity:.0f}/s of {workload.value}: "
            f"left out of the open loop at {rate:.0f}/s"
        )
        return False
    return True


def _open_loop(
    rig: Rig, target: Target, workload: Workload, rate: float, *, raw: str
) -> dict[str, float]:
    measured = partial(measure.open_loop, rig, target, workload, rate=rate)
    if rig.options.warm_up:
        measured(seconds=rig.options.warm_up, raw=None)
    return measure.undisturbed(
        rig.options.tries, partial(measured, seconds=rig.options.duration, raw=raw)
    )


@contextmanager
def _changes(folder: Path) -> Generator[list[int]]:
    """Replaces one manifest ten times per second for the length of the block.

    Yields a list whose one item counts the changes.
    """
    count = [0]
    done = threading.Event()

    def write() -> None:
        due = time.monotonic()
        while not done.is_set():
            count[0] += 1
            manifests.write_echo(folder, _PROBE, f"change {count[0]}")
            due += _CHANGE_SECONDS
            done.wait(max(0.0, due - time.monotonic()))

    writer = threading.Thread(target=write, name="changes")
    writer.start()
    try:
        yield count
    finally:
        done.set()
        writer.join()


def _longest_slice(target: Target) -> float:
    """The longest time in seconds that a load has held the gateway's event loop, as it says."""
    return target.metrics(_LONGEST_SLICE)[0]


def _one_change(target: Target, folder: Path, number: int) -> float:
    """The seconds from a change of the probe's text to the first answer that has it."""
    text = f"single change number {number}"
    call = target.calls[Workload.ECHO_JSON]
    body = call.body.replace('"model":"echo"', f'"model":"{_PROBE}"').encode()
    connection = http.client.HTTPConnection("127.0.0.1", target.port, timeout=10)
    try:
        connection.connect()
        manifests.write_echo(folder, _PROBE, text)
        begin = time.monotonic()
        while time.monotonic() < begin + _SERVED_WITHIN_SECONDS:
            connection.request("POST", call.path, body, dict(call.headers))
            if text.encode() in connection.getresponse().read():
                return time.monotonic() - begin
            time.sleep(0.001)
    finally:
        connection.close()
    raise BenchError(f"a changed manifest wasn't served within {_SERVED_WITHIN_SECONDS:.0f} s")

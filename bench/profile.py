"""`python -m bench profile`: which functions of the gateway take its time under load."""

import pstats
import sys
import tempfile
import threading
from collections import Counter
from pathlib import Path

from bench import loads, targets, tools
from bench.options import ProfileOptions, gateway_command
from bench.peers.sluicegate import Sluicegate
from bench.processes import Placement, Processes
from bench.tables import Table, number, terminal
from bench.targets import Target

_PY_SPY = "py-spy==0.4.3"
# Each sample stops the gateway for about a millisecond.
_SAMPLES_PER_SECOND = 100
# The outermost Python frame of a thread that isn't the main one.
_THREAD = "_bootstrap (threading.py:"


def run(given: ProfileOptions) -> None:
    """Starts mock and gateway, loads the gateway, prints the table, keeps the raw profile."""
    given.output.mkdir(parents=True, exist_ok=True)
    cache = tools.Cache(given.cache)
    command = gateway_command(given.gateway)
    statistics = given.output / f"{given.workload.value}.cprofile"
    if given.tool == "cprofile":
        command = (sys.executable, "-m", "cProfile", "-o", str(statistics), *command)
    wrk = tools.debian("wrk", "wrk")
    with tempfile.TemporaryDirectory(prefix="sluicegate-bench-") as name:
        folder = Path(name)
        with Processes(Placement.split(), logs=folder) as processes:
            mock = targets.start_mock(processes, cache, folder)
            gateway = Sluicegate(command, version="profiled")
            target = targets.start(processes, gateway, mock.port, folder)
            targets.qualify(target, given.workload)
            load = _Load(given, processes, wrk, target, folder / "wrk.lua")
            if given.tool == "py-spy":
                table = _py_spy(given, cache, processes, target, load)
            else:
                load.start()
                load.join()
                # cProfile writes its file when the gateway has drained and ended.
                processes.end(target.server)
                table = _read_cprofile(given, statistics)
    print(terminal(table))


class _Load(threading.Thread):
    """wrk beside the profiler; a little longer than it."""

    def __init__(
        self, given: ProfileOptions, processes: Processes, wrk: str, target: Target, script: Path
    ) -> None:
        super().__init__(name="load")
        self._given = given
        self._processes = processes
        self._wrk = wrk
        self._target = target
        self._script = script

    def run(self) -> None:
        result, _ = loads.run_wrk(
            self._processes,
            self._wrk,
            self._target.port,
            self._target.calls[self._given.workload],
            script=self._script,
            seconds=self._given.seconds + 2,
            connections=self._given.connections,
        )
        tools.say(f"{result.requests / result.seconds:,.0f} per second while profiled")


def _py_spy(
    given: ProfileOptions, cache: tools.Cache, processes: Processes, target: Target, load: _Load
) -> Table:
    py_spy = cache.python("py-spy", [_PY_SPY]) / "py-spy"
    stacks = given.output / f"{given.workload.value}.stacks"
    load.start()
    options = ["--format", "raw", "--rate", str(_SAMPLES_PER_SECOND), "--output", str(stacks)]
    options += ["--duration", str(round(given.seconds)), "--pid", str(target.server.pid)]
    if given.native:
        options.append("--native")
    try:
        # Needs the right to trace the process: root, or kernel.yama.ptrace_scope 0.
        processes.run([str(py_spy), "record", *options], timeout=given.seconds + 60)
    finally:
        load.join()
    own, total = fold(stacks.read_text(encoding="utf-8"))
    samples = sum(own.values())
    rows = [
        (name, f"{count / samples:.1%}", f"{total[name] / samples:.1%}")
        for name, count in own.most_common(given.top)
    ]
    title = f"{given.workload.value}: {samples} samples of py-spy"
    return Table(title, ("function", "itself", "with callees"), tuple(rows))


def fold(stacks: str) -> tuple[Counter[str], Counter[str]]:
    """From lines `outer (file:line);inner (file:line) count`: own and total samples by function.

    Lines of one function count together; threads other than the main one, which wait most of the
    time, are left out. Pure.
    """
    own: Counter[str] = Counter()
    total: Counter[str] = Counter()
    for line in stacks.splitlines():
        stack, _, count = line.rpartition(" ")
        if not stack or _THREAD in stack:
            continue
        names = [_without_line(frame) for frame in stack.split(";")]
        own[names[-1]] += int(count)
        for name in set(names):  # a recursive function counts once
            total[name] += int(count)
    return own, total


def _without_line(frame: str) -> str:
    name, colon, line = frame.rpartition(":")
    return f"{name})" if colon and line.rstrip(")").isdigit() else frame


def _functions(path: Path) -> dict[tuple[str, int, str], tuple[int, int, float, float, object]]:
    # The table behind pstats' reports, which the type stubs leave out; get_stats_profile() would
    # merge functions that share a name.
    return vars(pstats.Stats(str(path)))["stats"]


def _read_cprofile(given: ProfileOptions, path: Path) -> Table:
    entries: list[tuple[float, float, int, str]] = []
    for (file, line, name), (_, calls, own, total, _) in _functions(path).items():
        place = f"{name} ({Path(file).name}:{line})" if line else name
        entries.append((own, total, calls, place))
    entries.sort(reverse=True)
    seconds = sum(own for own, *_ in entries)
    rows = [
        (place, f"{own / seconds:.1%}", f"{total / seconds:.1%}", number(calls))
        for own, total, calls, place in entries[: given.top]
    ]
    title = f"{given.workload.value}: {seconds:.1f} s under cProfile, which slows small functions"
    return Table(title, ("function", "itself", "with callees", "calls"), tuple(rows))

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from bench import machine, measure, options, profile
from bench.measure import Meter
from bench.options import Options, ProfileOptions
from bench.processes import BenchError, Placement, Processes

UNPINNED = Placement(None, None)
# Starts a child of its own, says so, and waits.
PARENT = """\
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
print(child.pid, flush=True)
time.sleep(60)
"""


def gone(pid: int) -> bool:
    """Whether a process has ended; one that waits to be collected has."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text(encoding="ascii")
    except FileNotFoundError:
        return True
    return status.rpartition(") ")[2][0] == "Z"


def wait_for(path: Path) -> int:
    while not path.read_text(encoding="ascii").endswith("\n"):
        time.sleep(0.01)
    return int(path.read_text(encoding="ascii"))


class StoppedError(Exception):
    pass


@pytest.mark.parametrize("paused", [False, True])
def test_leaving_the_run_by_an_error_ends_servers_and_their_children(
    tmp_path: Path, *, paused: bool
) -> None:
    pids: list[int] = []

    def run() -> None:
        with Processes(UNPINNED, tmp_path) as processes:
            server = processes.start("parent", [sys.executable, "-c", PARENT], core=None)
            pids.extend((server.pid, wait_for(tmp_path / "parent.log")))
            assert set(pids) <= set(machine.tree(server.pid))
            if paused:
                server.pause()
            raise StoppedError

    with pytest.raises(StoppedError):
        run()
    deadline = time.monotonic() + 10
    while not all(gone(pid) for pid in pids):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_server_that_ended_by_itself_is_told_with_its_output(tmp_path: Path) -> None:
    with Processes(UNPINNED, tmp_path) as processes:
        server = processes.start("brief", [sys.executable, "-c", "exit('no port')"], core=None)
        while not gone(server.pid):
            time.sleep(0.01)
        with pytest.raises(BenchError, match=r"(?s)brief ended with 1.*no port"):
            server.check_alive()


def test_a_failing_load_generator_is_told_with_its_complaint(tmp_path: Path) -> None:
    with (
        Processes(UNPINNED, tmp_path) as processes,
        pytest.raises(BenchError, match="no such host"),
    ):
        processes.run([sys.executable, "-c", "exit('no such host')"], timeout=10)


def test_a_load_generators_cpu_time_is_counted(tmp_path: Path) -> None:
    busy = "import time\nwhile time.process_time() < 0.3: pass\nprint('done')"
    with Processes(UNPINNED, tmp_path) as processes:
        outcome = processes.run([sys.executable, "-c", busy], timeout=30)
    assert outcome.stdout == "done\n"
    assert 0.25 < outcome.cpu_seconds < 5


def test_the_own_process_has_memory_and_cpu_time() -> None:
    assert 5 < machine.rss_mb(os.getpid()) < 10_000
    assert machine.cpu_seconds(os.getpid()) > 0
    assert machine.tree(os.getpid())[0] == os.getpid()


def test_a_process_that_is_gone_uses_nothing() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    assert machine.tree(process.pid) == []
    assert machine.cpu_seconds(process.pid) == 0


def test_resident_memory_is_read_from_the_status_file() -> None:
    assert machine.parse_rss_kib("Name:\tx\nVmPeak:\t  99 kB\nVmRSS:\t   41234 kB\n") == 41234
    assert machine.parse_rss_kib("Name:\tkthreadd\n") == 0


def test_cpu_time_is_split_into_target_load_and_others() -> None:
    before = Meter(wall=100, target=1, mock=2, harness=3, machine=50)
    after = Meter(wall=110, target=9, mock=5, harness=3.5, machine=65)
    values = measure.cpu_values(before, after, generator=2, requests=1000, load_cores=1)
    assert values["cpu_us"] == pytest.approx(8000)
    assert values["target_share"] == pytest.approx(0.8)
    assert values["load_share"] == pytest.approx(0.5)
    # 15 s in all, of which 8 + 3 + 2 + 0.5 are ours, over 10 s.
    assert values["foreign_share"] == pytest.approx(0.15)


def test_the_mock_as_target_is_counted_once() -> None:
    before = Meter(wall=0, target=0, mock=0, harness=0, machine=0)
    after = Meter(wall=10, target=4, mock=4, harness=0, machine=9)
    values = measure.cpu_values(
        before, after, generator=5, requests=10, load_cores=1, target_is_mock=True
    )
    assert values["foreign_share"] == pytest.approx(0)
    assert values["load_share"] == pytest.approx(0.9)


def tried(*foreign: float) -> tuple[dict[str, float], int]:
    made = 0

    def measured() -> dict[str, float]:
        nonlocal made
        made += 1
        return {"foreign_share": foreign[made - 1]}

    return measure.undisturbed(len(foreign), measured), made


def test_an_undisturbed_measurement_is_made_once() -> None:
    assert tried(0.01, 0.5) == ({"foreign_share": 0.01, "try": 1}, 1)


def test_a_disturbed_measurement_is_made_again_and_the_least_disturbed_counts() -> None:
    assert tried(0.9, 0.3, 0.6) == ({"foreign_share": 0.3, "try": 2}, 3)


@pytest.mark.parametrize(
    ("load", "target", "side"),
    [(0.96, 0.99, "load"), (0.5, 0.97, "target"), (0.5, 0.5, "neither")],
)
def test_the_full_side_is_the_bottleneck(load: float, target: float, side: str) -> None:
    assert measure.bottleneck({"load_share": load, "target_share": target}) == side


def test_folded_stacks_count_functions_whatever_the_line() -> None:
    own, total = profile.fold(
        "main (a.py:1);serve (b.py:10);read (c.py:5) 7\n"
        "main (a.py:1);serve (b.py:12) 2\n"
        "main (a.py:1);again (d.py:1);again (d.py:2) 4\n"
        "main (a.py:1);std::__1::call (libx.so) 1\n"
        "_bootstrap (threading.py:995);run (threading.py:975);wait (w.py:3) 100\n"
    )
    assert own == {
        "read (c.py)": 7,
        "serve (b.py)": 2,
        "again (d.py)": 4,
        "std::__1::call (libx.so)": 1,
    }
    assert total["main (a.py)"] == 14
    assert total["serve (b.py)"] == 9
    assert total["again (d.py)"] == 4


def test_a_run_takes_its_scenarios_in_the_usual_order() -> None:
    given = options.parse(["--only", "startup, passthrough", "--peers", "nginx", "--rounds", "5"])
    assert isinstance(given, Options)
    assert given.only == ("passthrough", "startup")
    assert given.peers == ("nginx",)
    assert given.rounds == 5


def test_no_peers_can_be_asked_for() -> None:
    given = options.parse(["--peers", ""])
    assert isinstance(given, Options)
    assert given.peers == ()


def test_a_quick_run_has_no_slow_peer_and_one_round() -> None:
    given = options.parse(["--quick"])
    assert isinstance(given, Options)
    assert given.peers == ("envoy",)
    assert (given.rounds, given.tries, given.duration) == (1, 1, 1.0)


def test_a_profile_has_its_own_options() -> None:
    given = options.parse(["profile", "--workload", "echo-stream", "--gateway", "a 'b c'"])
    assert isinstance(given, ProfileOptions)
    assert given.workload.value == "echo-stream"
    assert given.gateway == ("a", "b c")


def test_an_unknown_scenario_is_refused_by_name(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        options.parse(["--only", "streems"])
    assert "'streems' is none of passthrough" in capsys.readouterr().err

"""Starts the processes of a run on chosen cores, and ends every one of them by its id."""

import os
import resource
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from bench import machine

_TERM_SECONDS = 5.0
_FINISH_SECONDS = 60.0


class BenchError(Exception):
    """Something the run needs isn't there or doesn't work; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Placement:
    """Which CPU cores do what, as taskset lists; None = the scheduler decides.

    What is measured has a core to itself; the load generator, the mock upstream and the harness
    share the rest, so that none of them takes time from it. A negative niceness keeps other
    processes of the machine away from both; it needs root.
    """

    target: str | None
    load: str | None
    niceness: int = 0

    @classmethod
    def split(cls, niceness: int = 0) -> Self:
        """The first core for what is measured, all others for the load."""
        available = sorted(os.sched_getaffinity(0))
        if len(available) < 2:
            return cls(None, None, niceness)
        return cls(str(available[0]), ",".join(map(str, available[1:])), niceness)

    def apply(self, argv: Sequence[str], cores: str | None) -> list[str]:
        """The command that runs `argv` in its place."""
        # setpriv: when the harness itself is killed, what it started ends too.
        prefix = ["setpriv", "--pdeathsig", "KILL"] if shutil.which("setpriv") else []
        if cores is not None:
            prefix += ["taskset", "--cpu-list", cores]
        if self.niceness:
            prefix += ["nice", "-n", str(self.niceness)]
        return [*prefix, *argv]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a command that ran to its end left behind."""

    stdout: str
    stderr: str
    cpu_seconds: float


class Server:
    """A process of the run that goes on until it is stopped."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self._process = process
        self._paused = False
        self.log = log

    @property
    def pid(self) -> int:
        """Its process id, also the id of its process group."""
        return self._process.pid

    def cpu_seconds(self) -> float:
        """CPU time used so far, its child processes included."""
        return machine.cpu_seconds(self.pid)

    def rss_mb(self) -> float:
        """Resident memory now, in MB, its child processes included."""
        return machine.rss_mb(self.pid)

    def check_alive(self) -> None:
        """Raises BenchError with the end of its log when it has ended by itself."""
        if self._process.poll() is not None:
            end = self.log.read_text(encoding="utf-8", errors="replace")[-2000:]
            raise BenchError(f"{self.log.stem} ended with {self._process.returncode}:\n{end}")

    def pause(self) -> None:
        """Stops its clock, so that its background work doesn't disturb what is measured."""
        if not self._paused and self._process.poll() is None:
            os.killpg(self.pid, signal.SIGSTOP)
            self._paused = True

    def resume(self) -> None:
        """Lets it go on after pause."""
        if self._paused:
            os.killpg(self.pid, signal.SIGCONT)
            self._paused = False

    def signal(self, number: signal.Signals) -> None:
        """Sends it a signal, as an accident would; `stop` must still follow."""
        os.killpg(self.pid, number)

    def finish(self) -> str:
        """Asks it to end (SIGTERM) and answers what it has printed; `stop` must still follow."""
        self.signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_FINISH_SECONDS)
        return self.log.read_text(encoding="utf-8", errors="replace")

    def stop(self) -> None:
        """Ends it and its process group: SIGTERM, after five seconds SIGKILL."""
        self.resume()
        if self._process.poll() is None:
            self._process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(_TERM_SECONDS)
        # Also what it started and left behind; the group's id can't be reused while it has members.
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self._process.wait()


class Processes:
    """Owns every process of a run: leaving the `with` block ends them all, also on Ctrl-C."""

    def __init__(self, placement: Placement, logs: Path) -> None:
        self.placement = placement
        self._logs = logs
        self._servers: list[Server] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for server in reversed(self._servers):
            server.stop()

    def start(
        self,
        name: str,
        argv: Sequence[str],
        *,
        core: str | None,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> Server:
        """Starts a server on a core; its output goes to a log named after it."""
        log = self._logs / f"{name}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                self.placement.apply(argv, core),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=dict(env) if env is not None else None,
                cwd=cwd,
                start_new_session=True,
            )
        server = Server(process, log)
        self._servers.append(server)
        return server

    def end(self, server: Server) -> None:
        """Stops one server before the run's end."""
        server.stop()
        self._servers.remove(server)

    def run(self, argv: Sequence[str], *, timeout: float) -> Outcome:
        """Runs a load generator to its end on the load's cores.

        Raises BenchError when it fails or takes longer than `timeout` seconds.
        """
        before = _children_cpu()
        process = subprocess.Popen(
            self.placement.apply(argv, self.placement.load),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        try:
            stdout, stderr = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired as error:
            raise BenchError(f"{argv[0]} did not end within {timeout:.0f} s") from error
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
        complaint = stderr.decode(errors="replace")
        if process.returncode != 0:
            raise BenchError(f"{argv[0]} failed ({process.returncode}): {complaint.strip()}")
        return Outcome(stdout.decode(errors="replace"), complaint, _children_cpu() - before)


def _children_cpu() -> float:
    # Only children that have ended count, and servers don't end while a generator runs.
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime

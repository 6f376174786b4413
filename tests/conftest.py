"""What holds for every test: nothing of ours blocks the event loop, no example is timed.

And the order in which they are run (worker_shares).
"""

import asyncio
import inspect
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from xdist.remote import Producer  # pyright: ignore[reportMissingTypeStubs] -- as in worker_shares

from worker_shares import WholeFiles, order

GATEWAY = str(Path(__file__).resolve().parents[1] / "gateway" / "sluicegate")

# Calls that wait for a disk, a name server or a process, as Python's audit events call them.
# `socket.connect` is not among them: on the loop's sockets it returns at once.
BLOCKING = frozenset(
    {
        "open",
        "os.fork",
        "os.listdir",
        "os.posix_spawn",
        "os.scandir",
        "socket.getaddrinfo",
        "socket.gethostbyname",
        "subprocess.Popen",
        "time.sleep",  # announced from Python 3.13 on
    }
)
# These open source files on behalf of whoever first imports a module or formats a traceback; the
# last one reads /proc, which waits for no disk.
INNOCENT_CALLERS = (
    "<frozen importlib",
    "linecache.py",
    "tokenize.py",
    "zoneinfo/_common.py",
    "prometheus_client/process_collector.py",
)

# A machine shared with other work is no place to time an example. In CI the examples are the same
# each time, so that a change is judged by what it changes; at a desk they are others each time.
settings.register_profile(
    "untimed",
    deadline=None,
    derandomize="CI" in os.environ,
    database=None if "CI" in os.environ else settings.get_profile("default").database,
)
settings.load_profile("untimed")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    order(items)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """One more than there are cores: those that have tests/cluster mostly wait."""
    return (os.cpu_count() or 1) + 1


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> WholeFiles:
    return WholeFiles(config, log)


class BlockingCallError(AssertionError):
    """Code of the gateway waited inside the event loop."""


class _Watch:
    """The audit hook; Python can't take one back, so it is switched instead."""

    def __init__(self) -> None:
        self.on = False

    def __call__(self, event: str, args: tuple[object, ...]) -> None:
        if not self.on or event not in BLOCKING or not _in_event_loop():
            return
        frame = inspect.currentframe()
        while frame is not None:
            name = frame.f_code.co_filename
            if any(innocent in name for innocent in INNOCENT_CALLERS):
                return
            if name.startswith(GATEWAY):
                where = f"{name}:{frame.f_lineno}"
                raise BlockingCallError(f"{event} {args!r:.200} in the event loop, from {where}")
            frame = frame.f_back


def _in_event_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


_watch = _Watch()
sys.addaudithook(_watch)


@pytest.fixture(autouse=True)
def _no_blocking_call() -> Iterator[None]:
    _watch.on = True
    yield
    _watch.on = False

"""Ports for servers that have to be told theirs, and may be started again on it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import random
import socket
import tempfile
from collections.abc import Generator
from pathlib import Path
from typing import IO


@contextlib.contextmanager
def free_ports(count: int) -> Generator[list[int]]:
    """Ports that no other process takes before the server that is meant to.

    They lie below the range that the kernel gives away, and a locked file for each keeps other
    workers and other runs of the tests off.
    """
    folder = Path(tempfile.gettempdir()) / f"sluicegate-test-ports-{os.getuid()}"
    folder.mkdir(exist_ok=True)
    with contextlib.ExitStack() as locks:
        ports: list[int] = []
        for port in random.sample(range(20_000, 30_000), 500):
            lock = locks.enter_context((folder / str(port)).open("w"))
            if _lock(lock) and _is_free(port):
                ports.append(port)
                if len(ports) == count:
                    break
            else:
                lock.close()
        assert len(ports) == count, "no free ports"
        yield ports


def _lock(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True

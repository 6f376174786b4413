"""A real PostgreSQL server of the test's own, on loopback, which can be killed and restarted."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Generator
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

from free_ports import free_ports

_PASSWORD = "word-of-the-tests"
_UNPRIVILEGED = "nobody"  # PostgreSQL refuses to run as root
_GUARD = 60  # seconds; it takes one or two


def _programs() -> Path | None:
    """Where Debian puts them, or PATH."""
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if debian:
        return debian[-1].parent
    found = shutil.which("initdb")
    return Path(found).resolve().parent if found else None


PROGRAMS = _programs()
_USER = _UNPRIVILEGED if os.geteuid() == 0 else None


@dataclass
class PostgresProcess:
    """One cluster of databases. What is started again has what was committed."""

    folder: Path
    port: int
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)
    _databases: int = 0

    def url(self, database: str = "postgres") -> str:
        return f"postgresql://sluicegate:{_PASSWORD}@127.0.0.1:{self.port}/{database}"

    def run(self, program: str, *arguments: str) -> None:
        assert PROGRAMS is not None
        subprocess.run(
            [str(PROGRAMS / program), *arguments],
            check=True,
            capture_output=True,
            cwd=self.folder,
            user=_USER,
            timeout=_GUARD,
        )

    def start(self) -> None:
        assert PROGRAMS is not None
        options = [f"port={self.port}", "listen_addresses=127.0.0.1", "fsync=off"]
        options += [f"unix_socket_directories={self.folder}"]
        self.process = subprocess.Popen(
            [
                *(str(PROGRAMS / "postgres"), "-D", str(self.folder / "data")),
                *(word for option in options for word in ("-c", option)),
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=self.folder,
            user=_USER,
        )
        deadline = time.monotonic() + _GUARD
        while True:
            try:
                psycopg.connect(self.url(), connect_timeout=1).close()
            except psycopg.OperationalError:
                assert self.process.poll() is None, "PostgreSQL has ended"
                assert time.monotonic() < deadline, "PostgreSQL takes too long to start"
                time.sleep(0.05)
            else:
                return

    def new_database(self) -> str:
        """The URL of an empty one."""
        self._databases += 1
        name = f"test{self._databases}"
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}".encode())
        return self.url(name)

    def kill(self) -> None:
        """At once, with all its connections."""
        if self.process is not None:
            self.process.send_signal(signal.SIGQUIT)  # what it calls an immediate shutdown
            self.process.wait(_GUARD)
            self.process = None


@contextlib.contextmanager
def postgres_process() -> Generator[PostgresProcess]:
    # Not below the test's own folder: others must be able to reach it.
    with (
        tempfile.TemporaryDirectory(prefix="sluicegate-postgres-") as folder,
        free_ports(1) as (port,),
    ):
        server = PostgresProcess(Path(folder), port)
        if _USER is not None:
            shutil.chown(folder, _USER)
        secret = Path(folder) / "password"
        secret.write_text(_PASSWORD)
        if _USER is not None:
            shutil.chown(secret, _USER)
        options = ("--username=sluicegate", f"--pwfile={secret}", "--auth=scram-sha-256")
        server.run("initdb", "-D", str(server.folder / "data"), *options, "--no-sync", "-E", "UTF8")
        try:
            server.start()
            yield server
        finally:
            server.kill()

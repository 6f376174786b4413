"""Databases of the tests' own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from postgres_process import PROGRAMS, PostgresProcess, postgres_process


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresProcess]:
    if PROGRAMS is None:
        pytest.skip("no PostgreSQL server on this machine (Debian: apt-get install postgresql)")
    with postgres_process() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database of each kind."""
    if request.param == "sqlite":
        return f"sqlite://{tmp_path}/ledger.sqlite3"
    server = request.getfixturevalue("postgres")
    assert isinstance(server, PostgresProcess)
    return server.new_database()

"""Databases of the tests' own, and gateways with a ledger."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from gateway_rig import Rig
from postgres_process import PROGRAMS, PostgresProcess, postgres_process
from sluicegate.ledger import LedgerSettings
from sluicegate.server.process import ServerSettings


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


@pytest.fixture(autouse=True)
def _no_system_cas(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test here needs the machine's CAs, and reading them is most of a gateway's start."""
    empty = tmp_path / "no-cas.pem"
    empty.write_text("")
    monkeypatch.setenv("SSL_CERT_FILE", str(empty))
    monkeypatch.setenv("SSL_CERT_DIR", os.devnull)


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    async with AsyncExitStack() as stack:
        yield Rig(stack)


@pytest.fixture
def settings(tmp_path: Path) -> ServerSettings:
    """A gateway that keeps a ledger in the test's folder."""
    ledger = LedgerSettings(tmp_path / "state")
    return ServerSettings(port=0, admin_port=0, drain_seconds=0.0, ledger=ledger)

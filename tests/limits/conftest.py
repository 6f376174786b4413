"""A real server for the shared store where the machine has one, and gateways that count."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import trustme
import uvloop

from gateway_rig import Rig
from limit_stores import Counting, SetClock, be_patient, of_memory, sharing
from valkey_process import SERVER, ValkeyProcess, valkey_process


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture(scope="session")
def authorities(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a CA of the tests' own."""
    path = tmp_path_factory.mktemp("ca") / "ca.pem"
    trustme.CA().cert_pem.write_to_path(str(path))
    return path


@pytest.fixture(autouse=True)
def _no_system_cas(authorities: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test here needs the machine's CAs, and reading them is most of a gateway's start."""
    monkeypatch.setenv("SSL_CERT_FILE", str(authorities))
    monkeypatch.setenv("SSL_CERT_DIR", os.devnull)


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    be_patient(monkeypatch)


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    async with AsyncExitStack() as stack:
        yield Rig(stack)


@pytest.fixture
async def valkey(tmp_path: Path) -> AsyncIterator[ValkeyProcess]:
    if SERVER is None:
        pytest.skip("neither valkey-server nor redis-server is on PATH (Debian: redis-server)")
    async with valkey_process(tmp_path) as server:
        yield server


@pytest.fixture(params=["memory", "valkey"])
async def counting(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Counting]:
    """Each store in turn, on a clock of the test's."""
    clock = SetClock()
    if request.param == "memory":
        yield of_memory(clock)
        return
    if SERVER is None:
        pytest.skip("neither valkey-server nor redis-server is on PATH (Debian: redis-server)")
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(valkey_process(tmp_path))
        store = await stack.enter_async_context(sharing(server.url, clock))
        yield Counting(store, clock)

"""A real server for the shared store, where the machine has one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from limit_stores import Counting, SetClock, of_memory, sharing
from valkey_process import SERVER, ValkeyProcess, valkey_process


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

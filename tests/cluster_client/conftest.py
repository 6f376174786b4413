"""A scripted API server, a client of it, and reflectors that run."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest
import uvloop

from scripted_api_server import ScriptedApiServer
from sluicegate.cluster import ClusterClient


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture
async def server() -> AsyncIterator[ScriptedApiServer]:
    async with ScriptedApiServer().listening() as listening:
        yield listening


@pytest.fixture
async def client(server: ScriptedApiServer) -> AsyncIterator[ClusterClient]:
    async with ClusterClient(server.access(), timeout=5) as made:
        yield made

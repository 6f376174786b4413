"""A transport on both event loops, and scripted upstreams on loopback sockets."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
import uvloop

from sluicegate.transport import Origin, Transport, TransportSettings

Script = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
Serve = Callable[..., Awaitable[Origin]]


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Run every asynchronous test here on both loops."""
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


@pytest.fixture
async def transport() -> AsyncIterator[Transport]:
    made = Transport(settings=TransportSettings())
    yield made
    await made.close()
    assert made.open_connections == 0


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """Start an upstream that runs the script for each connection; gives its origin."""
    servers: list[asyncio.Server] = []
    tasks: set[asyncio.Task[None]] = set()
    failures: list[BaseException] = []

    async def run(
        script: Script, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        try:
            await script(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            pass  # the transport hung up, which is its right
        except AssertionError as error:
            failures.append(error)
        finally:
            writer.close()

    async def start(
        script: Script, *, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1"
    ) -> Origin:
        def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.create_task(run(script, reader, writer))
            tasks.add(task)
            task.add_done_callback(tasks.discard)

        server = await asyncio.start_server(accepted, host, 0, ssl=tls)
        servers.append(server)
        port: int = server.sockets[0].getsockname()[1]
        return Origin("http" if tls is None else "https", "127.0.0.1", port)

    yield start
    # Waited for from before the close: Python 3.11 returns at once from a wait that begins after.
    closed = [asyncio.create_task(server.wait_closed()) for server in servers]
    await asyncio.sleep(0)
    for server in servers:
        server.close()
    pending = list(tasks)
    for task in pending:
        task.cancel()
    await asyncio.gather(*pending, return_exceptions=True)
    if closed:
        _, left = await asyncio.wait(closed, timeout=5)
        assert not left, "a connection of an upstream is still open"
    assert not failures, failures

"""One client asks for more than its share: of memory, or of the event loop."""

import asyncio
import contextlib
import tracemalloc

import pytest

from gateway_rig import Rig
from raw_client import RawClient
from responses_wire import answer_body
from scripted_upstream import answers
from sluicegate.server.exchange import ExchangeLimits, HttpExchange
from sluicegate.server.protocol import HttpServer


@pytest.mark.parametrize("admin", [False, True], ids=["public", "admin"])
@pytest.mark.parametrize("path", ["/healthz", "/nowhere"])
async def test_who_reads_no_answers_is_asked_for_no_more_requests(
    rig: Rig, path: str, admin: bool
) -> None:
    gateway, _ = await rig.serving(answers(answer_body()))
    port = gateway.admin_port if admin else gateway.port
    client = await RawClient.open(port, receive_buffer=4096)
    lines = b"GET %b HTTP/1.1\r\nHost: x\r\n\r\n" % path.encode()
    client.send(lines * 1_000_000)  # many times what the kernel holds
    left, rounds = 1, 0
    while left and rounds < 5:  # until nothing moves any more
        await asyncio.sleep(0.1)
        still, left = left, client.writer.transport.get_write_buffer_size()
        rounds = rounds + 1 if still == left else 0
    client.leave()
    assert left > 0, "all of them were taken"


async def test_between_the_requests_of_one_client_others_have_their_turn() -> None:
    turns, seen = 0, set[int]()

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async def handle(exchange: HttpExchange) -> None:
        seen.add(turns)
        exchange.send(200, (), b"{}")

    count = 300
    server = HttpServer(handle, ExchangeLimits(), idle_seconds=10)
    listener = await asyncio.get_running_loop().create_server(server, "127.0.0.1", 0)
    task = asyncio.create_task(others())
    try:
        client = await RawClient.open(listener.sockets[0].getsockname()[1])
        client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * count)
        for _ in range(count):
            await client.answer()
        client.leave()
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        listener.close()
        await server.shutdown(1)
    assert len(seen) == count


@pytest.mark.parametrize("size", [70_000, 100_000, 200_000])
async def test_after_a_long_body_that_came_at_once_the_connection_is_read_on(size: int) -> None:
    async def handle(exchange: HttpExchange) -> None:
        exchange.send(200, (), b"%d" % len(await exchange.read_body()))

    server = HttpServer(handle, ExchangeLimits(), idle_seconds=10)
    listener = await asyncio.get_running_loop().create_server(server, "127.0.0.1", 0)
    try:
        client = await RawClient.open(listener.sockets[0].getsockname()[1])
        head = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % size
        for _ in range(10):
            client.send(head + bytes(size))
            assert (await client.answer()).body == b"%d" % size
        client.leave()
    finally:
        listener.close()
        await server.shutdown(1)


async def test_a_body_of_tiny_chunks_takes_no_more_than_its_size() -> None:
    class Wire:
        transport: asyncio.Transport | None = None
        writing_paused = False

        async def writable(self) -> None: ...
        def pause_reading(self) -> None: ...
        def resume_reading(self) -> None: ...

    exchange = HttpExchange(Wire(), ExchangeLimits(), "POST", "/", {})
    tracemalloc.start()
    try:
        for at in range(100_000):
            exchange.feed(b"%02d" % (at % 100))
        exchange.complete()
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    body = await exchange.read_body()
    assert len(body) == 200_000
    assert body.startswith(b"000102")
    assert taken < 2 * len(body)

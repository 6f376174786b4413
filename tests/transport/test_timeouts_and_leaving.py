"""Upstreams that take too long, and clients that leave."""

import asyncio
import contextlib
import re
import socket
from collections.abc import Awaitable, Callable

import pytest

from sluicegate.transport import (
    AttemptTimeouts,
    ConnectionLost,
    Origin,
    TimedOut,
    Transport,
    UpstreamRequest,
)

Script = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
Serve = Callable[[Script], Awaitable[Origin]]

PATIENT = AttemptTimeouts(connect=5, first_byte=10, idle=10, total=15)
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def post(origin: Origin) -> UpstreamRequest:
    return UpstreamRequest(origin, "POST", "/v1/responses", (), b"{}")


async def read_request(reader: asyncio.StreamReader) -> None:
    head = await reader.readuntil(b"\r\n\r\n")
    length = re.search(rb"Content-Length: (\d+)", head)
    await reader.readexactly(int(length[1]) if length else 0)


class Hanging:
    """An upstream that sends something and then waits for the transport to hang up."""

    def __init__(self, sent: bytes) -> None:
        self._sent = sent
        self.asked = asyncio.Event()
        self.left = asyncio.Event()

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(self._sent)
        self.asked.set()
        with contextlib.suppress(ConnectionError):
            await reader.read()
        self.left.set()


@pytest.mark.parametrize(
    ("sent", "timeouts", "phase"),
    [
        (b"", AttemptTimeouts(first_byte=0.1, total=10), "first_byte"),
        (b"HTTP/1.1 200", AttemptTimeouts(first_byte=0.1, total=10), "first_byte"),
        (
            b"HTTP/1.1 100 Continue\r\n\r\n",
            AttemptTimeouts(first_byte=0.1, idle=10, total=10),
            "first_byte",
        ),
        (b"", AttemptTimeouts(first_byte=10, total=0.1), "total"),
        (CHUNKED, AttemptTimeouts(first_byte=10, idle=0.1, total=10), "idle"),
        (CHUNKED + b"1\r\na\r\n", AttemptTimeouts(first_byte=10, idle=0.1, total=10), "idle"),
        (CHUNKED + b"9\r\na", AttemptTimeouts(first_byte=10, idle=10, total=0.1), "total"),
        (b"HTTP/1.1 200 OK\r\n\r\nab", AttemptTimeouts(first_byte=10, idle=0.1), "idle"),
    ],
)
async def test_each_timeout(
    transport: Transport, serve: Serve, sent: bytes, timeouts: AttemptTimeouts, phase: str
) -> None:
    upstream = Hanging(sent)
    origin = await serve(upstream)

    async def exchange() -> None:
        answer = await transport.send(post(origin), timeouts)
        while await answer.read_chunk():
            pass

    with pytest.raises(TimedOut) as caught:
        await asyncio.wait_for(exchange(), 5)
    assert (caught.value.phase, caught.value.sent) == (phase, True)
    assert caught.value.where == origin.authority
    assert "127.0.0.1" not in str(caught.value)
    await asyncio.wait_for(upstream.left.wait(), 1)
    assert transport.open_connections == 0


async def test_steady_data_is_not_idle_but_has_a_total(transport: Transport, serve: Serve) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(CHUNKED)
        while True:
            writer.write(b"1\r\na\r\n")
            await writer.drain()
            await asyncio.sleep(0.02)

    origin = await serve(script)
    answer = await transport.send(post(origin), AttemptTimeouts(first_byte=5, idle=0.3, total=0.9))
    received: list[bytes] = []

    async def read_on() -> None:
        while data := await answer.read_chunk():
            received.append(data)

    with pytest.raises(TimedOut) as caught:
        await read_on()
    assert caught.value.phase == "total"
    assert len(b"".join(received)) > 5


async def test_a_timeout_of_an_earlier_exchange_means_nothing(
    transport: Transport, serve: Serve
) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for pause in (0, 0.4, 0):
            await read_request(reader)
            await asyncio.sleep(pause)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        await reader.read()

    origin = await serve(script)
    hasty = AttemptTimeouts(first_byte=0.2, idle=0.2, total=0.2)
    for timeouts in (hasty, PATIENT, hasty):
        answer = await transport.send(post(origin), timeouts)
        assert await answer.read_all(2) == b"ok"
    assert transport.open_connections == 1


async def test_connecting_takes_too_long(transport: Transport) -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        address: tuple[str, int] = server.getsockname()
        fillers: list[socket.socket] = []
        for _ in range(4):  # a full backlog leaves further connections unanswered
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(address)
            fillers.append(filler)
        for timeouts, phase in (
            (AttemptTimeouts(connect=0.1), "connect"),
            (AttemptTimeouts(total=0.1), "total"),
        ):
            with pytest.raises(TimedOut) as caught:
                await transport.send(post(Origin("http", *address)), timeouts)
            assert (caught.value.phase, caught.value.sent) == (phase, False)
        for filler in fillers:
            filler.close()
    assert transport.open_connections == 0


async def test_cancelling_while_waiting_for_the_head(transport: Transport, serve: Serve) -> None:
    upstream = Hanging(b"")
    task = asyncio.create_task(transport.send(post(await serve(upstream)), PATIENT))
    await upstream.asked.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert transport.open_connections == 0
    await asyncio.wait_for(upstream.left.wait(), 1)


@pytest.mark.parametrize("whole", [False, True])
async def test_cancelling_while_reading(transport: Transport, serve: Serve, whole: bool) -> None:
    upstream = Hanging(CHUNKED)
    answer = await transport.send(post(await serve(upstream)), PATIENT)
    task = asyncio.create_task(answer.read_all(100) if whole else answer.read_chunk())
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert transport.open_connections == 0
    await asyncio.wait_for(upstream.left.wait(), 1)


async def test_cancelling_while_connecting(transport: Transport, serve: Serve) -> None:
    upstream = Hanging(b"")
    origin = await serve(upstream)
    task = asyncio.create_task(transport.send(post(origin), PATIENT))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert transport.open_connections == 0
    answer = asyncio.create_task(transport.send(post(origin), PATIENT))
    await asyncio.wait_for(upstream.asked.wait(), 1)
    answer.cancel()
    await asyncio.wait([answer])


async def test_cancelling_in_the_tick_in_which_the_head_arrives(
    transport: Transport, serve: Serve
) -> None:
    """The waiting future is done, the task is not: no connection may be left behind."""
    upstream = Hanging(CHUNKED)
    origin = await serve(upstream)
    task = asyncio.create_task(transport.send(post(origin), PATIENT))
    await upstream.asked.wait()
    while not task.done():
        await asyncio.sleep(0)
        if transport.open_connections and not task.done():
            task.cancel()
    await asyncio.wait([task])
    if not task.cancelled():
        task.result().abort()
    assert transport.open_connections == 0


async def test_abort(transport: Transport, serve: Serve) -> None:
    upstream = Hanging(CHUNKED + b"1\r\na\r\n")
    answer = await transport.send(post(await serve(upstream)), PATIENT)
    assert await answer.read_chunk() == b"a"
    answer.abort()
    answer.abort()
    assert transport.open_connections == 0
    await asyncio.wait_for(upstream.left.wait(), 1)
    with pytest.raises(ConnectionLost, match="given up"):
        await answer.read_chunk()


async def test_abort_ends_another_tasks_wait(transport: Transport, serve: Serve) -> None:
    answer = await transport.send(post(await serve(Hanging(CHUNKED))), PATIENT)
    reading = asyncio.create_task(answer.read_chunk())
    await asyncio.sleep(0)
    answer.abort()
    with pytest.raises(ConnectionLost):
        await reading


async def test_abort_after_the_end_keeps_the_connection(transport: Transport, serve: Serve) -> None:
    upstream = Hanging(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    answer = await transport.send(post(await serve(upstream)), PATIENT)
    assert await answer.read_all(2) == b"ok"
    answer.abort()
    assert (transport.open_connections, transport.idle_connections) == (1, 1)
    assert not upstream.left.is_set()


async def test_a_finished_answer_cannot_hurt_the_next(transport: Transport, serve: Serve) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for text in (b"one", b"two"):
            await read_request(reader)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n" + text)
        await reader.read()

    origin = await serve(script)
    first = await transport.send(post(origin), PATIENT)
    second = await transport.send(post(origin), PATIENT)
    first.abort()
    assert await second.read_all(3) == b"two"
    assert await first.read_all(3) == b"one"
    assert transport.idle_connections == 1


async def test_one_consumer(transport: Transport, serve: Serve) -> None:
    answer = await transport.send(post(await serve(Hanging(CHUNKED))), PATIENT)
    reading = asyncio.create_task(answer.read_chunk())
    await asyncio.sleep(0)
    with pytest.raises(RuntimeError):
        await answer.read_chunk()
    reading.cancel()
    await asyncio.wait([reading])

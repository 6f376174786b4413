"""Bodies larger than socket buffers, in both directions, and upstreams that don't want them."""

import asyncio
import hashlib
import re
import socket
import threading
from collections.abc import Awaitable, Callable, Iterator

import pytest

from sluicegate.transport import (
    AnswerTooLarge,
    AttemptTimeouts,
    ConnectionLost,
    Origin,
    TimedOut,
    Transport,
    UpstreamRequest,
)

Script = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
Serve = Callable[[Script], Awaitable[Origin]]

TIMEOUTS = AttemptTimeouts(connect=5, first_byte=10, idle=10, total=15)
LONG = 20_000_000
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def post(origin: Origin, body: bytes = b"{}") -> UpstreamRequest:
    return UpstreamRequest(origin, "POST", "/v1/responses", (), body)


async def read_head(reader: asyncio.StreamReader) -> int:
    head = await reader.readuntil(b"\r\n\r\n")
    length = re.search(rb"Content-Length: (\d+)", head)
    assert length
    return int(length[1])


@pytest.mark.parametrize("size", [128 * 1024, 128 * 1024 + 1, LONG])
async def test_a_long_request_arrives_whole(transport: Transport, serve: Serve, size: int) -> None:
    body = hashlib.shake_128(b"seed").digest(size)
    digests: list[str] = []

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(2):
            received = await reader.readexactly(await read_head(reader))
            digests.append(hashlib.sha256(received).hexdigest())
            writer.write(OK)

    origin = await serve(script)
    for _ in range(2):
        answer = await transport.send(post(origin, body), TIMEOUTS)
        assert await answer.read_all(10) == b"ok"
    assert digests == [hashlib.sha256(body).hexdigest()] * 2


async def test_a_slow_upstream_holds_the_request_back(transport: Transport, serve: Serve) -> None:
    """The body waits in one place, ours; the event loop's own buffers stay small."""
    go = asyncio.Event()
    connected = asyncio.Event()

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        size = await read_head(reader)
        connected.set()
        await go.wait()
        await reader.readexactly(size)
        writer.write(OK)

    origin = await serve(script)
    sending = asyncio.create_task(transport.send(post(origin, b"x" * LONG), TIMEOUTS))
    await connected.wait()
    done, _ = await asyncio.wait([sending], timeout=0.2)
    assert not done
    go.set()
    assert (await sending).status == 200


async def test_a_request_that_nobody_reads_times_out(transport: Transport, serve: Serve) -> None:
    async def script(_: asyncio.StreamReader, __: asyncio.StreamWriter) -> None:
        await asyncio.Event().wait()

    origin = await serve(script)
    with pytest.raises(TimedOut) as caught:
        await transport.send(post(origin, b"x" * LONG), AttemptTimeouts(first_byte=0.3, total=10))
    assert (caught.value.phase, caught.value.sent) == ("first_byte", True)
    assert transport.open_connections == 0


REFUSAL = b"HTTP/1.1 413 Too Large\r\nContent-Length: 20000\r\n\r\n" + b"z" * 20_000


@pytest.fixture(params=["closes", "closes after reading megabytes", "lingers"])
def refusing(request: pytest.FixtureRequest) -> Iterator[Origin]:
    """An upstream in a thread with blocking sockets: it refuses a body, unread bytes and all."""
    server = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                peer, _ = server.accept()
            except OSError:
                return
            with peer:
                to_read = 3_000_000 if "megabytes" in request.param else 65_536
                while to_read > 0 and (data := peer.recv(65_536)):
                    to_read -= len(data)
                peer.sendall(REFUSAL)
                if request.param == "lingers":
                    peer.shutdown(socket.SHUT_WR)
                    while peer.recv(65_536):
                        pass

    thread = threading.Thread(target=serve)
    thread.start()
    yield Origin("http", "127.0.0.1", server.getsockname()[1])
    server.shutdown(socket.SHUT_RDWR)
    server.close()
    thread.join()


async def test_an_early_refusal_is_read_whole(transport: Transport, refusing: Origin) -> None:
    """Closing with unread bytes resets the connection, which must not hide the answer."""
    body = b"q" * LONG
    for _ in range(10):
        answer = await transport.send(post(refusing, body), TIMEOUTS)
        assert answer.status == 413
        assert await answer.read_all(2**20) == b"z" * 20_000
        assert transport.open_connections == 0, "the request is unfinished, so no reuse"


async def test_an_early_success_lets_the_request_finish(transport: Transport, serve: Serve) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        size = await read_head(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n")
        await writer.drain()
        await asyncio.sleep(0.05)
        received = await reader.readexactly(size)
        writer.write(b"%x\r\n%d\r\n0\r\n\r\n" % (len(str(len(received))), len(received)))

    answer = await transport.send(post(await serve(script), b"x" * LONG), TIMEOUTS)
    assert await answer.read_all(100) == b"hi%d" % LONG


# Answers.


def sending(size: int, *, chunked: bool) -> tuple[Script, list[int]]:
    """Send `size` bytes as fast as the transport takes them; counts what has been accepted."""
    written: list[int] = []

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(await read_head(reader))
        framing = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: %d" % size
        writer.write(b"HTTP/1.1 200 OK\r\n" + framing + b"\r\n\r\n")
        for _ in range(size // 50_000):
            piece = b"y" * 50_000
            writer.write(b"c350\r\n" + piece + b"\r\n" if chunked else piece)
            await writer.drain()
            written.append(len(piece))
        if chunked:
            writer.write(b"0\r\n\r\n")
        await reader.read()

    return script, written


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_slow_consumer_holds_the_upstream_back(
    transport: Transport, serve: Serve, chunked: bool
) -> None:
    size = 40_000_000
    script, written = sending(size, chunked=chunked)
    answer = await transport.send(post(await serve(script)), TIMEOUTS)
    before = -1
    while before != sum(written):  # until the upstream can't write any more
        before = sum(written)
        await asyncio.sleep(0.1)
    # What the two kernel buffers and our high-water mark hold; the rest is still to be written.
    assert before < size // 2
    largest = total = 0
    while data := await answer.read_chunk():
        total += len(data)
        largest = max(largest, len(data))
    assert total == size
    assert largest < 2_000_000
    assert transport.idle_connections == 1


async def test_a_slow_consumer_is_not_taken_for_a_silent_upstream(
    transport: Transport, serve: Serve
) -> None:
    script, _ = sending(20_000_000, chunked=True)
    timeouts = AttemptTimeouts(connect=5, first_byte=5, idle=0.2, total=15)
    answer = await transport.send(post(await serve(script)), timeouts)
    await asyncio.sleep(0.6)
    total = 0
    while data := await answer.read_chunk():
        total += len(data)
    assert total == 20_000_000


async def test_silence_after_a_pause_is_noticed(transport: Transport, serve: Serve) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(await read_head(reader))
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n" + b"y" * 400_000)
        await reader.read()

    timeouts = AttemptTimeouts(connect=5, first_byte=5, idle=0.2, total=15)
    answer = await transport.send(post(await serve(script)), timeouts)
    await asyncio.sleep(0.5)
    received = 0
    while received < 400_000:
        received += len(await answer.read_chunk())
    with pytest.raises(TimedOut) as caught:
        await asyncio.wait_for(answer.read_chunk(), 5)
    assert caught.value.phase == "idle"


@pytest.mark.parametrize("chunked", [False, True])
async def test_read_all_takes_a_large_body(
    transport: Transport, serve: Serve, chunked: bool
) -> None:
    script, _ = sending(10_000_000, chunked=chunked)
    answer = await transport.send(post(await serve(script)), TIMEOUTS)
    await asyncio.sleep(0.05)  # so that reading has been paused before
    assert await answer.read_all(10_000_000) == b"y" * 10_000_000
    assert transport.idle_connections == 1


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("size", [50_000, 20_000_000])
async def test_read_all_has_a_limit(
    transport: Transport, serve: Serve, chunked: bool, size: int
) -> None:
    script, written = sending(size, chunked=chunked)
    answer = await transport.send(post(await serve(script)), TIMEOUTS)
    with pytest.raises(AnswerTooLarge):
        await answer.read_all(size - 1 if size < 100_000 else 1_000_000)
    assert sum(written) < 19_000_000
    if size > 100_000:
        assert transport.open_connections == 0


async def test_limit_of_nothing(transport: Transport, serve: Serve) -> None:
    script, _ = sending(50_000, chunked=False)
    origin = await serve(script)
    answer = await transport.send(post(origin), TIMEOUTS)
    with pytest.raises(AnswerTooLarge):
        await answer.read_all(0)


async def test_closing_the_transport_ends_what_is_being_read(
    transport: Transport, serve: Serve
) -> None:
    script, _ = sending(20_000_000, chunked=True)
    answer = await transport.send(post(await serve(script)), TIMEOUTS)
    await transport.close()
    with pytest.raises(ConnectionLost, match="shutting down"):
        await answer.read_all(30_000_000)

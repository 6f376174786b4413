"""Whole exchanges with scripted upstreams: what is read, what is reused, what is an error."""

import asyncio
import re
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sluicegate.transport import (
    AttemptTimeouts,
    ConnectFailed,
    ConnectionLost,
    Origin,
    ProtocolViolation,
    Transport,
    TransportSettings,
    UpstreamError,
    UpstreamRequest,
)

Script = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
Serve = Callable[[Script], Awaitable[Origin]]

TIMEOUTS = AttemptTimeouts(connect=5, first_byte=10, idle=10, total=15)
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def post(origin: Origin, body: bytes = b"{}", method: str = "POST") -> UpstreamRequest:
    return UpstreamRequest(origin, method, "/v1/responses?key=s3cret", ((b"a", b"s3cret"),), body)


async def read_request(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    length = re.search(rb"Content-Length: (\d+)", head)
    return head + await reader.readexactly(int(length[1]) if length else 0)


def answering(*answers: bytes) -> Script:
    """Answer the first request of a connection with the first answer, and so on, then hang up."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for answer in answers:
            await read_request(reader)
            writer.write(answer)

    return script


async def forever(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while True:
        await read_request(reader)
        writer.write(OK)


def reset(writer: asyncio.StreamWriter) -> None:
    """Close with RST instead of FIN."""
    descriptor = writer.get_extra_info("socket").fileno()
    with socket.socket(fileno=socket.dup(descriptor)) as duplicate:
        linger = struct.pack("ii", 1, 0)
        duplicate.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    writer.transport.abort()


async def fetch(transport: Transport, request: UpstreamRequest) -> tuple[int, bytes]:
    answer = await transport.send(request, TIMEOUTS)
    return answer.status, await answer.read_all(2**20)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 (counters have no event)
            await asyncio.sleep(0.001)


async def test_one_exchange(transport: Transport, serve: Serve) -> None:
    seen: list[bytes] = []

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await read_request(reader))
        writer.write(b"HTTP/1.1 429 Slow\r\nRetry-After: 3\r\nContent-Length: 2\r\n\r\nno")

    origin = await serve(script)
    answer = await transport.send(post(origin, b"hello"), TIMEOUTS)
    assert answer.status == 429
    assert answer.headers == [(b"retry-after", b"3"), (b"content-length", b"2")]
    assert await answer.read_all(2) == b"no"
    assert seen == [
        b"POST /v1/responses?key=s3cret HTTP/1.1\r\nHost: %b\r\na: s3cret\r\n"
        b"Accept-Encoding: identity\r\nContent-Length: 5\r\n\r\nhello" % origin.authority.encode()
    ]


async def test_redirects_are_answers(transport: Transport, serve: Serve) -> None:
    location = b"HTTP/1.1 307 Go\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n"
    origin = await serve(answering(location))
    assert await fetch(transport, post(origin)) == (307, b"")


async def test_an_encoded_answer_is_passed_on_as_it_is(transport: Transport, serve: Serve) -> None:
    encoded = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\n\x1f\x8b\x08"
    origin = await serve(answering(encoded))
    assert await fetch(transport, post(origin)) == (200, b"\x1f\x8b\x08")


async def test_chunks_arrive_as_they_are_sent(transport: Transport, serve: Serve) -> None:
    step = asyncio.Event()

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for piece in (b"one", b"two"):
            await step.wait()
            step.clear()
            writer.write(b"%x\r\n%b\r\n" % (len(piece), piece))
        await step.wait()
        writer.write(b"0\r\n\r\n")
        await reader.read()

    answer = await transport.send(post(await serve(script)), TIMEOUTS)
    for expected in (b"one", b"two", b"", b""):
        step.set()
        assert await answer.read_chunk() == expected
    assert transport.idle_connections == 1


async def test_small_writes_are_joined_for_a_slow_consumer(
    transport: Transport, serve: Serve
) -> None:
    answer_bytes = b"".join(b"1\r\n%c\r\n" % byte for byte in b"abcdef")
    origin = await serve(
        answering(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + answer_bytes + b"0\r\n\r\n"
        )
    )
    answer = await transport.send(post(origin), TIMEOUTS)
    await until(lambda: transport.idle_connections == 1)
    assert await answer.read_chunk() == b"abcdef"
    assert await answer.read_chunk() == b""


async def test_one_byte_at_a_time(transport: Transport, serve: Serve) -> None:
    wire = (
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nT: u\r\n\r\n"
    )

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        for byte in wire:
            writer.write(bytes([byte]))
            await asyncio.sleep(0)
        await reader.read()

    origin = await serve(script)
    assert await fetch(transport, post(origin)) == (200, b"abcde")
    assert transport.idle_connections == 1


async def test_head_requests_have_no_body(transport: Transport, serve: Serve) -> None:
    origin = await serve(answering(b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n"))
    assert await fetch(transport, post(origin, b"", "HEAD")) == (200, b"")
    assert transport.open_connections == 0


async def test_a_body_that_the_close_ends(transport: Transport, serve: Serve) -> None:
    origin = await serve(answering(b"HTTP/1.1 200 OK\r\n\r\nall there is"))
    assert await fetch(transport, post(origin)) == (200, b"all there is")
    assert transport.open_connections == 0


# Reuse.


async def test_connections_are_reused_last_in_first_out(transport: Transport, serve: Serve) -> None:
    ports: list[int] = []

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await read_request(reader)
            ports.append(writer.get_extra_info("peername")[1])
            writer.write(OK)

    origin = await serve(script)
    first, second = await asyncio.gather(
        transport.send(post(origin), TIMEOUTS), transport.send(post(origin), TIMEOUTS)
    )
    assert (await first.read_all(9), await second.read_all(9)) == (b"ok", b"ok")
    assert len(set(ports)) == 2
    assert (transport.open_connections, transport.idle_connections) == (2, 2)
    for _ in range(3):
        await fetch(transport, post(origin))
    assert len(set(ports)) == 2
    assert len(set(ports[2:])) == 1
    assert transport.idle_connections == 2


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
        OK + b"x",
        OK + b"\r\n",
        OK + b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nbad",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n" + OK,
    ],
)
async def test_no_reuse_after_an_unclean_answer(
    transport: Transport, serve: Serve, answer: bytes
) -> None:
    connections = 0

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await read_request(reader)
        writer.write(answer)
        assert await reader.read() == b"", "the transport closes"

    origin = await serve(script)
    for expected in (1, 2):
        assert await fetch(transport, post(origin)) == (200, b"ok")
        assert transport.open_connections == 0
        assert connections == expected


async def test_late_surplus_does_not_reach_the_next_request(
    transport: Transport, serve: Serve
) -> None:
    go = asyncio.Event()

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(OK)
        await go.wait()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nbad")
        await reader.read()

    origin = await serve(script)
    assert await fetch(transport, post(origin)) == (200, b"ok")
    assert transport.idle_connections == 1
    go.set()
    await until(lambda: transport.open_connections == 0)
    assert transport.idle_connections == 0
    assert await fetch(transport, post(origin)) == (200, b"ok")


@pytest.mark.parametrize("how", ["close", "reset"])
async def test_a_stale_connection_is_replaced(transport: Transport, serve: Serve, how: str) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(OK)
        await writer.drain()
        if how == "reset":
            await asyncio.sleep(0.01)
            reset(writer)

    origin = await serve(script)
    for _ in range(3):
        assert await fetch(transport, post(origin)) == (200, b"ok")
        await until(lambda: transport.open_connections == 0)


async def test_a_reused_connection_that_dies_says_so(transport: Transport, serve: Serve) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(OK)
        await read_request(reader)

    origin = await serve(script)
    await fetch(transport, post(origin))
    with pytest.raises(ConnectionLost) as caught:
        await fetch(transport, post(origin))
    error = caught.value
    assert (error.reused, error.bytes_received, error.sent) == (True, False, True)
    assert error.phase == "first_byte"


async def test_a_request_is_never_repeated(transport: Transport, serve: Serve) -> None:
    requests = 0

    async def script(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        nonlocal requests
        await read_request(reader)
        requests += 1

    origin = await serve(script)
    with pytest.raises(ConnectionLost) as caught:
        await fetch(transport, post(origin))
    assert (caught.value.reused, caught.value.bytes_received) == (False, False)
    assert requests == 1


@pytest.fixture
async def frugal() -> AsyncIterator[Transport]:
    made = Transport(settings=TransportSettings(idle_seconds=0.05, max_idle_per_origin=2))
    yield made
    await made.close()


async def test_idle_connections_are_few_and_expire(frugal: Transport, serve: Serve) -> None:
    origin = await serve(forever)
    answers = await asyncio.gather(*[frugal.send(post(origin), TIMEOUTS) for _ in range(5)])
    for answer in answers:
        assert await answer.read_all(9) == b"ok"
    assert frugal.idle_connections == 2
    await until(lambda: frugal.open_connections == 0)
    assert frugal.idle_connections == 0
    assert await fetch(frugal, post(origin)) == (200, b"ok")


async def test_a_connection_in_use_does_not_expire(frugal: Transport, serve: Serve) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(OK)
        await read_request(reader)
        await asyncio.sleep(0.3)
        writer.write(OK)
        await reader.read()

    origin = await serve(script)
    for _ in range(2):
        assert await fetch(frugal, post(origin)) == (200, b"ok")


# What goes wrong.


@pytest.mark.parametrize(
    ("sent", "phase", "received"),
    [
        (b"", "first_byte", False),
        (b"HTTP/1.1 20", "first_byte", True),
        (b"HTTP/1.1 100 Continue\r\n\r\n", "first_byte", True),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345", "body", True),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n123", "body", True),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n1\r\n0\r\n", "body", True),
    ],
)
@pytest.mark.parametrize("how", ["close", "reset"])
async def test_truncated_answers(
    transport: Transport, serve: Serve, sent: bytes, phase: str, received: bool, how: str
) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(sent)
        await writer.drain()
        await asyncio.sleep(0.01)
        if how == "reset":
            reset(writer)

    origin = await serve(script)
    with pytest.raises(ConnectionLost) as caught:
        await fetch(transport, post(origin))
    assert (caught.value.phase, caught.value.bytes_received) == (phase, received)
    assert caught.value.where == origin.authority
    assert "127.0.0.1" not in str(caught.value)
    assert transport.open_connections == 0


async def test_a_reset_is_no_end_of_a_body_without_length(
    transport: Transport, serve: Serve
) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\n\r\nhalf")
        await writer.drain()
        await asyncio.sleep(0.01)
        reset(writer)

    answer = await transport.send(post(await serve(script)), TIMEOUTS)
    assert await answer.read_chunk() == b"half"
    with pytest.raises(ConnectionLost):
        await answer.read_chunk()


async def test_what_came_before_a_fault_is_delivered(transport: Transport, serve: Serve) -> None:
    broken = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nzz\r\n"
    answer = await transport.send(post(await serve(answering(broken))), TIMEOUTS)
    assert await answer.read_chunk() == b"hello"
    with pytest.raises(ProtocolViolation):
        await answer.read_chunk()
    with pytest.raises(ProtocolViolation) as caught:
        await answer.read_chunk()
    assert (caught.value.phase, caught.value.sent) == ("body", True)


@pytest.mark.parametrize(
    "garbage",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA: " + b"x" * 70_000,
    ],
)
async def test_garbage(transport: Transport, serve: Serve, garbage: bytes) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(garbage)
        await reader.read()  # stays open: it is the transport that ends this

    origin = await serve(script)
    with pytest.raises(ProtocolViolation) as caught:
        await fetch(transport, post(origin))
    assert (caught.value.phase, caught.value.sent) == ("first_byte", True)
    assert "s3cret" not in str(caught.value)
    assert "OpenSSH" not in str(caught.value), "an upstream's bytes are not repeated"
    assert transport.open_connections == 0


async def test_nobody_listens(transport: Transport) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        origin = Origin("http", "127.0.0.1", server.getsockname()[1])
    with pytest.raises(ConnectFailed) as caught:
        await fetch(transport, post(origin))
    assert (caught.value.phase, caught.value.sent) == ("connect", False)
    assert str(caught.value) == "cannot connect: connection refused"
    assert caught.value.where == origin.authority


async def test_a_name_that_does_not_exist(transport: Transport) -> None:
    for host in ("no-such-host.invalid", "a..b", "x" * 64 + ".invalid"):
        with pytest.raises(ConnectFailed, match="does not resolve") as caught:
            await fetch(transport, post(Origin("http", host, 80)))
        assert not caught.value.sent


async def test_a_closed_transport_sends_nothing(serve: Serve) -> None:
    origin = await serve(forever)
    transport = Transport(settings=TransportSettings())
    await fetch(transport, post(origin))
    await transport.close()
    assert (transport.open_connections, transport.idle_connections) == (0, 0)
    with pytest.raises(ConnectFailed):
        await fetch(transport, post(origin))
    await transport.close()


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.binary(max_size=30)
        | st.sampled_from(
            [
                b"HTTP/1.1 200 OK\r\n",
                b"HTTP/1.1 100 Continue\r\n\r\n",
                b"Content-Length: 5\r\n",
                b"Transfer-Encoding: chunked\r\n",
                b"\r\n",
                b"5\r\nhello\r\n",
                b"0\r\n\r\n",
            ]
        ),
        max_size=8,
    )
)
def test_whatever_comes_ends_in_an_answer_or_our_error(pieces: list[bytes]) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        for piece in pieces:
            writer.write(piece)
            await asyncio.sleep(0)
        writer.close()

    async def scenario() -> None:
        server = await asyncio.start_server(script, "127.0.0.1", 0)
        closed = asyncio.create_task(server.wait_closed())
        transport = Transport(settings=TransportSettings())
        origin = Origin("http", "127.0.0.1", server.sockets[0].getsockname()[1])
        outcome: int | bool
        try:
            async with asyncio.timeout(5):
                outcome = (await fetch(transport, post(origin)))[0]
        except UpstreamError as error:
            outcome = error.sent
        assert outcome is True or 200 <= outcome <= 599
        assert transport.idle_connections <= 1
        await transport.close()
        server.close()
        await closed

    asyncio.run(scenario())

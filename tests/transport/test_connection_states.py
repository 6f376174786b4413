"""A connection driven by hand, for orders of events that sockets bring about only by chance."""

import asyncio

from sluicegate.transport import AttemptTimeouts, Origin, TransportSettings
from sluicegate.transport.client import Lane
from sluicegate.transport.connection import (
    HIGH_WATER_BYTES,
    SLICE_BYTES,
    Connection,
    UpstreamAnswer,
)

HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n"


class Socket(asyncio.Transport):
    """Notes what is done to it."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.calls: list[str] = []
        self.closing = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += bytes(data)

    def pause_reading(self) -> None:
        self.calls.append("pause")

    def resume_reading(self) -> None:
        self.calls.append("resume")

    def is_closing(self) -> bool:
        return self.closing

    def abort(self) -> None:
        self.calls.append("abort")
        self.closing = True


class Pool:
    def __init__(self) -> None:
        self.idle: list[Connection] = []
        self.closed: list[Connection] = []

    def keep(self, connection: Connection) -> bool:
        self.idle.append(connection)
        return True

    def forget(self, connection: Connection) -> None:
        self.closed.append(connection)


def begin(body: bytes = b"body") -> tuple[Connection, Socket, Pool, UpstreamAnswer]:
    socket, pool = Socket(), Pool()
    connection = Connection("a.example:80", 30, pool)
    connection.connection_made(socket)
    due = connection.loop.time() + 600
    answer = connection.exchange(b"head", body, AttemptTimeouts(), due, head_only=False)
    assert socket.written == b"head" + body[:SLICE_BYTES]
    return connection, socket, pool, answer


async def test_reading_goes_on_for_the_next_exchange() -> None:
    connection, socket, pool, answer = begin()
    connection.data_received(HEAD % (HIGH_WATER_BYTES + 2) + b"x" * (HIGH_WATER_BYTES + 1))
    assert socket.calls == ["pause"]
    connection.data_received(b"x")  # what TLS had decrypted already
    assert socket.calls == ["pause", "resume"]
    assert pool.idle == [connection]
    assert len(await answer.read_chunk()) == HIGH_WATER_BYTES + 2
    assert socket.calls == ["pause", "resume"], "the answer has let go of the connection"
    connection.abort()


async def test_reading_from_a_dying_socket() -> None:
    connection, socket, _, answer = begin()
    connection.data_received(HEAD % 10**9 + b"x" * (HIGH_WATER_BYTES + 1))
    socket.closing = True  # a write has failed; `connection_lost` is still to come
    assert len(await answer.read_chunk()) == HIGH_WATER_BYTES + 1
    assert socket.calls == ["pause"], "uvloop raises for a closing socket"
    connection.abort()


async def test_data_after_the_end_of_everything() -> None:
    connection, socket, pool, answer = begin()
    answer.abort()
    connection.data_received(b"HTTP/1.1 200 OK\r\n\r\n")
    connection.eof_received()
    connection.connection_lost(None)
    assert socket.calls == ["abort"]
    assert (pool.idle, pool.closed) == ([], [connection])
    assert answer.status == 0


LONG = bytes(3 * SLICE_BYTES)


async def test_a_long_body_goes_out_slice_by_slice() -> None:
    connection, socket, pool, answer = begin(LONG)
    connection.pause_writing()
    await asyncio.sleep(0)
    assert len(socket.written) == 4 + SLICE_BYTES
    due = answer.due
    await asyncio.sleep(0.02)
    connection.resume_writing()
    assert len(socket.written) == 4 + SLICE_BYTES, "asyncio can't bear a write that fails in here"
    await asyncio.sleep(0)
    assert len(socket.written) == 4 + 2 * SLICE_BYTES, "input is looked at between two slices"
    assert answer.due > due, "progress gives the upstream new time for its answer"
    await asyncio.sleep(0)
    assert socket.written == b"head" + LONG
    connection.data_received(HEAD % 0)
    assert pool.idle == [connection]
    connection.abort()


async def test_no_more_is_sent_after_a_refusal() -> None:
    connection, socket, pool, answer = begin(LONG)
    connection.pause_writing()
    connection.data_received(b"HTTP/1.1 413 No\r\nContent-Length: 4\r\n\r\nno")
    connection.resume_writing()
    for _ in range(3):
        await asyncio.sleep(0)
    assert len(socket.written) == 4 + SLICE_BYTES
    connection.data_received(b"pe")
    assert await answer.read_all(4) == b"nope"
    assert (pool.idle, pool.closed) == ([], [connection])


async def test_a_dying_connection_is_not_taken_from_the_pool() -> None:
    connection, socket, _, answer = begin()
    connection.data_received(HEAD % 0)
    assert await answer.read_all(0) == b""
    lane = Lane(Origin("http", "a.example", 80), TransportSettings())
    lane.keep(connection)
    socket.closing = True  # `connection_lost` is still to come
    assert lane.take() is None
    connection.abort()


async def test_data_after_a_pause_starts_no_idle_time() -> None:
    connection, socket, _, answer = begin()
    connection.data_received(HEAD % 10**9 + b"x" * (HIGH_WATER_BYTES + 1))
    paused = answer.due
    connection.data_received(b"x")
    assert answer.due == paused
    await answer.read_chunk()
    assert answer.due < paused
    assert socket.calls == ["pause", "resume"]
    connection.abort()


# Reading on after the last event of a stream.


async def test_a_discarded_rest_frees_the_connection() -> None:
    connection, socket, pool, answer = begin()
    connection.data_received(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nlast\r\n")
    assert await answer.read_chunk() == b"last"
    answer.discard()
    assert answer.due <= connection.loop.time() + 1.01, "only for a moment"
    connection.data_received(b"3\r\n: x\r\n0\r\n")
    assert pool.idle == []
    connection.data_received(b"\r\n")
    assert pool.idle == [connection]
    answer.discard()
    answer.abort()
    assert socket.calls == []
    connection.abort()


async def test_a_long_discarded_rest_closes_the_connection() -> None:
    connection, socket, pool, answer = begin()
    connection.data_received(HEAD % 10**9 + b"x")
    answer.discard()
    connection.data_received(bytes(HIGH_WATER_BYTES))
    assert socket.calls == ["abort"]
    assert (pool.idle, pool.closed) == ([], [connection])


async def test_a_discarded_answer_can_be_aborted() -> None:
    connection, socket, _, answer = begin()
    connection.data_received(HEAD % 10**9 + b"x" * (HIGH_WATER_BYTES + 1))
    answer.discard()
    assert socket.calls == ["pause", "resume"]
    answer.abort()
    assert socket.calls == ["pause", "resume", "abort"]

"""A connection driven by hand, for orders of events that sockets bring about only by chance."""

import asyncio

from sluicegate.transport import AttemptTimeouts
from sluicegate.transport.connection import HIGH_WATER_BYTES, Connection, UpstreamAnswer

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


def begin() -> tuple[Connection, Socket, Pool, UpstreamAnswer]:
    socket, pool = Socket(), Pool()
    connection = Connection("a.example:80", 30, pool)
    connection.connection_made(socket)
    due = connection.loop.time() + 60
    answer = connection.exchange(b"head", b"body", AttemptTimeouts(), due, head_only=False)
    assert socket.written == b"headbody"
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

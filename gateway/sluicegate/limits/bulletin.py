"""What gateways tell each other through the server that they share: a word on each subject.

The words are entries of one stream, which puts those of all gateways into one order, and keeps the
latest for who comes later. Its length is bounded, and it expires when nothing more is written. Each
gateway acts on the others' words in this order. Its own are newer than all that it reads until it
has read them, so in the end all go by the same word.

Nobody waits for the server. While it is away words are kept, one for each subject.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from time import monotonic
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeAlias, cast

from sluicegate.limits.connection import cancelled, client_of, stay_connected

if TYPE_CHECKING:
    from redis.asyncio import Redis

_LISTEN = 2.0  # seconds without a word after which the server is asked again
_PATIENCE = 1.0  # seconds for one round trip: no request waits for it
_LENGTH = 1000  # entries that the stream keeps, and that are read when it is found
_EXPIRY = 600.0  # seconds after the last entry
_MOST_READ = _MOST_SENT = 50  # entries at once
_AGAIN = 0.05  # seconds between two cancellations
_PAUSE = 0.02  # seconds between two sends, so that what changes often is told less often

_Fields: TypeAlias = Mapping[bytes, bytes]
_Entry: TypeAlias = tuple[bytes, _Fields]


class Desk(Protocol):
    """Where words are written, and read."""

    def write(self, subject: str) -> Mapping[str, str] | None:
        """The word on a subject as it is now; None: there is nothing to say any more."""
        ...

    def read(self, subject: str, fields: _Fields, age: float) -> None:
        """Another gateway's word, `age` seconds old. There may be anything in it."""
        ...

    def standing(self) -> Iterable[str]:
        """Subjects that the others should know of, if they do not."""
        ...


class _Word(NamedTuple):
    subject: str
    fields: _Fields
    own: bool
    written: float  # milliseconds of the server's clock


class Bulletin:
    """See the module. `run` does the work and is to be kept running.

    `told` hears why the server is away, and None when it is back. Raises ValueError for what is not
    a Redis URL.
    """

    def __init__(
        self, url: str, name: str, desk: Desk, *, told: Callable[[str | None], None]
    ) -> None:
        self._url = url
        self._key = f"{{sluicegate}}:{name}"
        self._desk = desk
        self._told = told
        self._gateway = secrets.token_hex(8).encode()
        self._unsent: dict[str, None] = {}  # subjects, in the order of their change
        self._unread = Counter[str]()  # own words that have been sent, and not been read yet
        self._wake = asyncio.Event()
        self._away: bool | None = None
        client_of(url)  # to refuse what is no URL now, not when it is needed

    def post(self, subject: str) -> None:
        """There is news of a subject. Does not wait."""
        self._unsent[subject] = None
        if len(self._unsent) > _LENGTH:
            del self._unsent[next(iter(self._unsent))]
        self._wake.set()

    async def run(self) -> None:
        """Write and read, and look for the server when it is away; until cancelled."""
        await stay_connected(self._url, self._serve, lambda error: self._tell(type(error).__name__))

    async def _serve(self, client: Redis) -> None:
        """As long as it works. Raises one of `losses`."""
        async with asyncio.timeout(_PATIENCE):
            clock, last = await self._catch_up(client)
        self._tell(None)
        # Not a TaskGroup: an error at the moment of a cancellation would hide that (Python 3.11).
        tasks = [
            asyncio.create_task(self._read(client, clock, last)),
            asyncio.create_task(self._write(client)),
        ]
        try:
            if not cancelled():  # it may have been lost while catching up
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await _end(tasks)
        for error in [None if task.cancelled() else task.exception() for task in tasks]:
            if error is not None:
                raise error

    async def _catch_up(self, client: Redis) -> tuple[Callable[[], float], bytes]:
        """Act on what is there. Answers the server's clock (milliseconds) and where to read on."""
        seconds, micros = await client.time()  # pyright: ignore[reportUnknownMemberType] -- its keywords have no types
        offset = seconds * 1000 + micros / 1000 - monotonic() * 1000

        def clock() -> float:
            return monotonic() * 1000 + offset

        entries = await self._latest(client)
        self._unread.clear()
        latest: dict[str, _Word] = {}
        for word in _words(entries, self._gateway):
            latest.setdefault(word.subject, word)
        for word in latest.values():
            if not word.own:
                self._hear(word, clock())
        for subject in self._desk.standing():
            if subject not in latest:
                self.post(subject)
        return clock, entries[0][0] if entries else b"0-0"

    async def _latest(self, client: Redis) -> list[_Entry]:
        """The newest first, read in parts, so that the event loop is not held long."""
        found: list[_Entry] = []
        before = b"+"
        while len(found) < _LENGTH and not cancelled():
            part = cast(
                "list[_Entry]", await client.xrevrange(self._key, max=before, count=_MOST_READ)
            )
            found += part
            if len(part) < _MOST_READ:
                break
            before = b"(" + part[-1][0]
        return found

    async def _read(self, client: Redis, clock: Callable[[], float], last: bytes) -> None:
        while not cancelled():
            async with asyncio.timeout(_LISTEN + _PATIENCE):
                reply: object = await client.xread(
                    {self._key: last}, count=_MOST_READ, block=int(_LISTEN * 1000)
                )
            entries = _entries_of(reply)
            for word in _words(entries, self._gateway):
                if word.own:
                    self._unread[word.subject] -= 1
                    if self._unread[word.subject] <= 0:
                        del self._unread[word.subject]
                else:
                    self._hear(word, clock())
            if entries:
                last = entries[-1][0]

    def _hear(self, word: _Word, now: float) -> None:
        if word.subject not in self._unsent and word.subject not in self._unread:
            self._desk.read(word.subject, word.fields, max(now - word.written, 0.0) / 1000)

    async def _write(self, client: Redis) -> None:
        while not cancelled():
            self._wake.clear()
            while self._unsent:
                await self._send(client, list(self._unsent)[:_MOST_SENT])
                await asyncio.sleep(_PAUSE)
            await self._wake.wait()

    async def _send(self, client: Redis, subjects: Collection[str]) -> None:
        pipeline = client.pipeline(transaction=False)
        sent: list[str] = []
        for subject in subjects:
            del self._unsent[subject]
            fields = self._desk.write(subject)
            if fields is None:
                continue
            sent.append(subject)
            self._unread[subject] += 1
            entry = {**fields, "subject": subject, "gateway": self._gateway}
            pipeline.xadd(self._key, entry, maxlen=_LENGTH)  # pyright: ignore[reportArgumentType] -- its keys are of an invariant type
        if not sent:
            return
        pipeline.pexpire(self._key, int(_EXPIRY * 1000))
        try:
            async with asyncio.timeout(_PATIENCE):
                await pipeline.execute()
        except BaseException:
            self._unsent = {**dict.fromkeys(sent), **self._unsent}  # to be told again
            raise

    def _tell(self, problem: str | None) -> None:
        away = problem is not None
        if away is not self._away:
            self._away = away
            self._told(problem)


async def _end(tasks: Collection[asyncio.Task[None]]) -> None:
    """Cancel them until they have ended: the client may lose a cancellation (see `cancelled`)."""
    left = set(tasks)
    while left:
        for task in left:
            task.cancel()
        _, left = await asyncio.wait(left, timeout=_AGAIN)


def _words(entries: Iterable[_Entry], gateway: bytes) -> Iterator[_Word]:
    """Those entries that may be words."""
    for id_, fields in entries:
        subject = fields.get(b"subject")
        if subject is not None:
            name = subject.decode(errors="replace")
            written = float(id_.partition(b"-")[0])
            yield _Word(name, fields, fields.get(b"gateway") == gateway, written)


def _entries_of(reply: object) -> list[_Entry]:
    """Of the only stream that was asked for, in either protocol's form."""
    if not reply:
        return []
    if isinstance(reply, dict):
        (found,) = cast("dict[bytes, list[list[_Entry]]]", reply).values()
        return [entry for part in found for entry in part]
    ((_, entries),) = cast("list[tuple[bytes, list[_Entry]]]", reply)
    return entries

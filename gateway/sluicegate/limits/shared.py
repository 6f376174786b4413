"""Counts that several gateways share, in Valkey or Redis.

One task talks to the server over one connection, and sends what has gathered in one batch: a
reservation waits for one round trip, a settlement for none. While the server is away nothing waits
for it; the task looks for it in the background.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections import deque
from collections.abc import Awaitable, Callable
from importlib.resources import files
from itertools import count
from typing import TYPE_CHECKING, NamedTuple, TypeAlias, cast

from sluicegate.limits.connection import PATIENCE, cancelled, client_of, stay_connected
from sluicegate.limits.reservations import (
    Amount,
    Kind,
    Refusal,
    Reservation,
    Standing,
    Subject,
)
from sluicegate.limits.subjects import PREFIX, counts_key

if TYPE_CHECKING:
    from redis.asyncio import Redis

_CONNECT = 1.0  # seconds, for connecting and loading the scripts
_IDLE = 2.0  # seconds without a word after which it is asked whether it is there
_LOOK = 0.01  # seconds
_LEASE = 60.0  # seconds that a slot stays taken without a word of its gateway
_MARK = 86_400.0  # seconds that the last batch of settlements is remembered, to be counted once
_MOST_SENT = 500  # settlements and reservations in one batch, so that the server is never held long
_MOST_KEPT = 50_000  # settlements while the server is away; of more, the oldest are lost
_STANDING = 6


def _script(*names: str) -> str:
    folder = files("sluicegate.limits")
    return "\n".join(folder.joinpath(f"{name}.lua").read_text("utf-8") for name in names)


_SCRIPTS = (_script("clock", "reserve"), _script("clock", "settle"))
_Text: TypeAlias = str | int


class StoreUnavailable(Exception):
    """The shared store is away; the message says why, and holds no secret."""


class _Asked(NamedTuple):
    id: str
    subjects: tuple[Subject, ...]
    amount: Amount
    answer: asyncio.Future[Reservation | Refusal]


class _End(NamedTuple):
    """What is left to be counted of one subject of a reservation, or of none ("")."""

    id: str
    subject: Subject
    standing: Standing = Standing()
    tokens: int = 0
    money: int = 0
    slot: str = ""  # what becomes of it, in the words of settle.lua


class _Batch(NamedTuple):
    """Settlements that are sent again until it is known that they were counted."""

    number: int
    ends: tuple[_End, ...]


class SharedStore:
    """See the module. `run` does the work and is to be kept running.

    `told` hears why the server is away, and None when it is back. `clock` gives Unix seconds in
    place of the server's own time: for tests. Raises ValueError for what is not a Redis URL.
    """

    def __init__(
        self,
        url: str,
        *,
        told: Callable[[str | None], None] = lambda _: None,
        clock: Callable[[], float] | None = None,
        lease: float = _LEASE,
    ) -> None:
        self._url = url
        self._told = told
        self._clock = clock
        self._lease = lease
        self._instance = secrets.token_hex(8)
        self._numbers = count()
        self._asked: deque[_Asked] = deque()
        self._ended: deque[_End] = deque()
        self._unsure: _Batch | None = None  # sent, and not known to have arrived
        self._held: dict[str, tuple[Subject, ...]] = {}  # who has slots, by the reservation's id
        self._wake = asyncio.Event()
        self._found = asyncio.Event()
        self._last_held = 0.0
        self.available = False
        self.failures = 0  # times that it was lost, or could not be found
        self.lost = 0  # settlements that it will never hear of
        client_of(url)  # to refuse what is no URL now, not when it is needed

    @property
    def pending(self) -> int:
        """Settlements that the server has not confirmed yet."""
        return len(self._ended) + (0 if self._unsure is None else len(self._unsure.ends))

    async def reserve(self, subjects: tuple[Subject, ...], amount: Amount) -> Reservation | Refusal:
        """Take `amount` of each of the subjects, or nothing. No subject is named twice.

        Raises StoreUnavailable, at once while the server is away.
        """
        if not self.available:
            raise StoreUnavailable("the shared store of limits is away")
        answer: asyncio.Future[Reservation | Refusal] = asyncio.get_running_loop().create_future()
        id_ = f"{self._instance}:{next(self._numbers)}"
        self._asked.append(_Asked(id_, subjects, amount, answer))
        self._wake.set()
        try:
            return await answer
        except asyncio.CancelledError:
            if answer.done() and not answer.cancelled() and answer.exception() is None:
                self._give_back(answer.result())  # granted, and nobody is left to use it
            raise

    def settle(self, reservation: Reservation, tokens: int | None, money: int | None) -> None:
        """Count what was really used in place of what was reserved, and free the slots; soon."""
        id_ = reservation.id
        self._held.pop(id_, None)
        amount = reservation.amount
        rest = Amount(0, *amount.exceeded(tokens, money))
        for subject, standing in zip(reservation.subjects, reservation.standings, strict=True):
            slot = "free" if amount.requests and subject.ceiling.parallel is not None else ""
            limited_tokens, limited_money = _limited(subject, rest)
            if limited_tokens or limited_money or slot:
                self._post(_End(id_, subject, standing, limited_tokens, limited_money, slot))

    def charge(self, subjects: tuple[Subject, ...], money: int) -> None:
        """Count money that was spent while the server was away."""
        for subject in subjects:
            if subject.ceiling.money is not None and money > 0:
                self._post(_End("", subject, money=money))

    async def found(self, seconds: float) -> None:
        """Wait until the server has been found, for so long at most."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._found.wait(), seconds)

    async def finish(self, seconds: float) -> None:
        """Wait until the server has heard everything, for so long at most."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self.pending and self.available:  # noqa: ASYNC110 -- once in a process's life
                    await asyncio.sleep(_LOOK)

    async def run(self) -> None:
        """Talk to the server, and look for it when it is away; until cancelled."""
        await stay_connected(self._url, self._serve, self._lose)

    async def _serve(self, client: Redis) -> None:
        """One connection, for as long as it works. Raises RedisError, OSError, TimeoutError."""
        async with asyncio.timeout(_CONNECT):
            reserve, settle = [
                cast("str", await cast("Awaitable[object]", client.script_load(script)))
                for script in _SCRIPTS
            ]
        self.available = True
        self._found.set()
        self._told(None)
        loop = asyncio.get_running_loop()
        while not cancelled():
            if not (self._asked or self._ended or self._unsure):
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(min(self._lease / 4, _IDLE)):
                        await self._wake.wait()
                if not self._wake.is_set():
                    async with asyncio.timeout(PATIENCE):
                        await client.ping()  # pyright: ignore[reportUnknownMemberType] -- as in client_of
            self._wake.clear()
            await self._send(client, reserve, settle)  # first: batches arrive in their order
            if loop.time() - self._last_held >= self._lease / 4:
                self._last_held = loop.time()
                await self._hold(client, settle)

    async def _send(self, client: Redis, reserve: str, settle: str) -> None:
        """One batch. What ended comes first, since it may make room."""
        batch = self._unsure = self._unsure or self._next_batch()
        asked = [self._asked.popleft() for _ in range(min(len(self._asked), _MOST_SENT))]
        if batch is None and not asked:
            return
        pipeline = client.pipeline(transaction=False)
        if batch is not None:
            keys, values = self._settle_arguments(batch)
            pipeline.evalsha(settle, len(keys), *keys, *values)
        for each in asked:
            keys, values = self._reserve_arguments(each)
            pipeline.evalsha(reserve, len(keys), *keys, *values)
        try:
            async with asyncio.timeout(PATIENCE):
                replies: list[object] = await pipeline.execute(raise_on_error=False)
        except BaseException:
            for each in asked:
                _fail(each)
            raise
        settled = replies.pop(0) if batch is not None else None
        for each, reply in zip(asked, replies, strict=True):
            self._answer(each, reply)
        _raise_if_error(settled)
        if batch is not None:
            self._unsure = None
            self.lost += cast("int", settled)
        for reply in replies:
            _raise_if_error(reply)

    def _answer(self, asked: _Asked, reply: object) -> None:
        if isinstance(reply, Exception):
            _fail(asked)
            return
        found = _read_reply(asked, cast("list[object]", reply))
        if isinstance(found, Reservation) and found.amount.requests:
            limited = tuple(each for each in found.subjects if each.ceiling.parallel is not None)
            if limited:
                self._held[found.id] = limited
        if asked.answer.done():  # nobody waits for it any more
            self._give_back(found)
        else:
            asked.answer.set_result(found)

    def _give_back(self, found: Reservation | Refusal) -> None:
        if isinstance(found, Reservation):
            self.settle(found, 0, 0)

    async def _hold(self, client: Redis, settle: str) -> None:
        """Keep the slots of what is still going on.

        What ends meanwhile is free again with the next batch.
        """
        held = [
            _End(id_, subject, slot="hold")
            for id_, subjects in self._held.items()
            for subject in subjects
        ]
        for start in range(0, len(held), _MOST_SENT):
            part = tuple(held[start : start + _MOST_SENT])
            keys, values = self._settle_arguments(_Batch(next(self._numbers), part))
            async with asyncio.timeout(PATIENCE):
                await cast("Awaitable[object]", client.evalsha(settle, len(keys), *keys, *values))

    def _next_batch(self) -> _Batch | None:
        if not self._ended:
            return None
        ends = [self._ended.popleft() for _ in range(min(len(self._ended), _MOST_SENT))]
        return _Batch(next(self._numbers), tuple(ends))

    def _post(self, end: _End) -> None:
        if len(self._ended) >= _MOST_KEPT:
            self._ended.popleft()
            self.lost += 1
        self._ended.append(end)
        self._wake.set()

    def _lose(self, error: Exception) -> None:
        self.failures += 1
        if self.available or self.failures == 1:
            self._told(type(error).__name__)
        self.available = False
        while self._asked:
            _fail(self._asked.popleft())

    def _time(self) -> _Text:
        return "" if self._clock is None else int(self._clock() * 1000)

    def _reserve_arguments(self, asked: _Asked) -> tuple[list[str], list[_Text]]:
        """Keys and values, as reserve.lua wants them."""
        keys: list[str] = []
        values: list[_Text] = [self._time(), int(self._lease * 1000), asked.id]
        for subject in asked.subjects:
            ceiling = subject.ceiling
            keys += _keys(subject)
            values += (
                _or_none(ceiling.requests),
                _or_none(ceiling.tokens),
                _or_none(ceiling.parallel),
                _or_none(ceiling.money),
                ceiling.period,
                int(ceiling.warns),
                asked.amount.requests,
                *_limited(subject, asked.amount),
            )
        return keys, values

    def _settle_arguments(self, batch: _Batch) -> tuple[list[str], list[_Text]]:
        """Keys and values, as settle.lua wants them."""
        keys = [f"{PREFIX}done:{self._instance}"]
        values: list[_Text] = [
            self._time(),
            int(self._lease * 1000),
            int(_MARK * 1000),
            batch.number,
        ]
        for end in batch.ends:
            standing, period = end.standing, end.subject.ceiling.period
            keys += _keys(end.subject)
            values += (end.id, end.slot, end.tokens, standing.window)
            values += (end.money, standing.since, period)
        return keys, values


def _limited(subject: Subject, amount: Amount) -> tuple[int, int]:
    """Its tokens and money, as far as the subject is limited in them."""
    ceiling = subject.ceiling
    return (
        0 if ceiling.tokens is None else amount.tokens,
        0 if ceiling.money is None else amount.money,
    )


def _keys(subject: Subject) -> tuple[str, str]:
    return counts_key(subject.id), f"{PREFIX}slots:{subject.id}"


def _or_none(limit: int | None) -> _Text:
    return "" if limit is None else limit


def _read_reply(asked: _Asked, reply: list[object]) -> Reservation | Refusal:
    refused, kind, now, *numbers = reply
    values = cast("list[int]", numbers)
    standings = tuple(
        Standing(*values[start : start + _STANDING]) for start in range(0, len(values), _STANDING)
    )
    at = cast("int", refused)
    if not at:
        return Reservation(asked.id, asked.subjects, asked.amount, standings, cast("int", now))
    why, subject = Kind(cast("bytes", kind).decode()), asked.subjects[at - 1]
    return Refusal(subject, why, asked.amount, asked.subjects, standings, cast("int", now))


def _raise_if_error(reply: object) -> None:
    if isinstance(reply, Exception):
        raise reply


def _fail(asked: _Asked) -> None:
    if not asked.answer.done():
        asked.answer.set_exception(StoreUnavailable("the shared store of limits has been lost"))

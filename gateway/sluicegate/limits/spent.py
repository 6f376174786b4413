"""What has been spent of budgets, as the shared store counts it. Only reads."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from itertools import islice
from typing import NamedTuple, cast

from sluicegate.limits.connection import PATIENCE, client_of, connected, losses
from sluicegate.limits.periods import Period, period_start
from sluicegate.limits.shared import StoreUnavailable
from sluicegate.limits.subjects import counts_key

_AT_ONCE = 500  # subjects
_NO_COUNTS = "WRONGTYPE"  # what the server says of a key that is no hash
_MOST = 1 << 63  # what it can count up to


class Spent(NamedTuple):
    """`money` in nano-USD since `period`, which began at this time, Unix milliseconds."""

    money: int
    period: int


class SpentReader:
    """Asks a Valkey or Redis. Raises ValueError for what is not the URL of one."""

    def __init__(self, url: str) -> None:
        self._url = url
        client_of(url)  # to refuse what is no URL now, not when it is needed

    def __repr__(self) -> str:  # the URL may hold a password
        return "SpentReader()"

    async def read(self, periods: Mapping[str, Period]) -> dict[str, Spent]:
        """What subjects have spent in the present period of their budgets.

        Who has spent nothing, or is counted otherwise than a gateway does it, is left out. Raises
        StoreUnavailable.
        """
        found: dict[str, Spent] = {}
        subjects = iter(periods.items())
        try:
            async with connected(self._url) as client:
                while part := list(islice(subjects, _AT_ONCE)):
                    pipeline = client.pipeline(transaction=False)
                    pipeline.time()  # pyright: ignore[reportUnknownMemberType] -- its keywords have no types
                    for subject, _ in part:
                        pipeline.hmget(counts_key(subject), ["s", "m"])
                    async with asyncio.timeout(4 * PATIENCE):
                        replies: list[object] = await pipeline.execute(raise_on_error=False)
                    seconds, _micros = cast("tuple[int, int]", _or_raise(replies.pop(0)))
                    for (subject, period), reply in zip(part, replies, strict=True):
                        start = period_start(period, seconds * 1000)
                        money = _money(reply, start)
                        if money is not None:
                            found[subject] = Spent(money, start)
        except losses() as error:
            raise StoreUnavailable(type(error).__name__) from error
        return found


def _or_raise(reply: object) -> object:
    if isinstance(reply, Exception):
        raise reply
    return reply


def _money(reply: object, start: int) -> int | None:
    """None: nothing since then. Raises what the server refuses the question with."""
    if not str(reply).startswith(_NO_COUNTS):
        _or_raise(reply)
    try:
        since, money = (int(each) for each in cast("list[bytes]", reply))
    except (TypeError, ValueError):  # not there, or not a count
        return None
    return money if since >= start and 0 < money < _MOST else None

"""Writes into the status of ApiKeys what they have spent of their budgets.

The gateways count it in the store that they share; see docs/limits.md. While that is away the last
amounts stay, and nothing else of the operator waits for it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Generator, Iterable, Mapping
from typing import NamedTuple, TypeAlias

import msgspec

from sluicegate.cluster import API_KEYS, ClusterClient, ClusterError, Metadata, ObjectMeta
from sluicegate.compile.compilation import entry_id
from sluicegate.config import ClientKey, Config
from sluicegate.limits import StoreUnavailable
from sluicegate.limits.connection import cancelled
from sluicegate.limits.periods import Period
from sluicegate.limits.reservations import usd
from sluicegate.limits.spent import Spent
from sluicegate.limits.subjects import key_subject
from sluicegate.telemetry.logs import log
from sluicegate_operator.facts import rfc3339
from sluicegate_operator.objects import Observed
from sluicegate_operator.status.values import Spend

_EVERY = 60.0  # seconds between two looks, and so between two writes of one object
_SOON = 1.0  # seconds between looks whether there is anything to do yet
_PAUSE = 0.05  # seconds between two writes
_SLICE = 100  # keys that are looked at between two chances for the operator to do something else

Read: TypeAlias = Callable[[Mapping[str, Period]], Awaitable[Mapping[str, Spent]]]


class SpendWrite(NamedTuple):
    """What an ApiKey's status is to say; None: nothing."""

    key: Observed
    spend: Spend | None


def budget_periods(keys: Iterable[Observed], config: Config) -> dict[str, Period]:
    """The subjects that have a budget, and its period."""
    found: dict[str, Period] = {}
    for key in keys:
        entry = config.entries.get(entry_id(key.ref))
        if isinstance(entry, ClientKey) and entry.budget is not None:
            found[_subject(key)] = entry.budget.period
    return found


def spend_writes(
    keys: Iterable[Observed], spent: Mapping[str, Spent], now: float
) -> Generator[SpendWrite, None, None]:
    """The statuses that do not say what was spent. `now` is Unix time, in seconds."""
    for key in keys:
        found = spent.get(_subject(key))
        if found is None:
            if key.spend is not None:
                yield SpendWrite(key, None)
            continue
        amount, start = usd(found.money), rfc3339(found.period / 1000)
        if key.spend is None or (key.spend.amount_usd, key.spend.period_start) != (amount, start):
            yield SpendWrite(key, Spend(amount, start, rfc3339(now)))


def _subject(key: Observed) -> str:
    return key_subject(f"{key.ref.namespace}/{key.ref.name}")


class _Status(msgspec.Struct):
    spend: Spend | None


class _Patch(msgspec.Struct):
    metadata: ObjectMeta
    status: _Status


class SpendReporter:
    """The task that reads and writes.

    `keys` and `config` say what there is; `config` None: nothing is known yet. `may_write` says
    whether this operator leads. `clock` gives Unix seconds.
    """

    def __init__(
        self,
        client: ClusterClient,
        read: Read,
        *,
        keys: Callable[[], list[Observed]],
        config: Callable[[], Config | None],
        may_write: Callable[[], bool],
        clock: Callable[[], float],
    ) -> None:
        self._client = client
        self._read = read
        self._keys = keys
        self._config = config
        self._may_write = may_write
        self._clock = clock
        self._away = False

    async def run(self) -> None:
        """Once a minute, until cancelled."""
        while not cancelled():
            looked = await self.look()
            if not cancelled():
                await asyncio.sleep(_EVERY if looked else _SOON)

    async def look(self) -> bool:
        """Read, and write what is new; answers whether there was anything to look for."""
        config = self._config()
        if config is None or not self._may_write():
            return False
        keys = self._keys()
        try:
            spent = await self._read(budget_periods(keys, config))
        except StoreUnavailable as error:
            if not self._away:
                log(logging.WARNING, f"the store of limits can't be read: {error}")
            self._away = True
            return True
        self._away = False
        for start in range(0, len(keys), _SLICE):
            for write in spend_writes(keys[start : start + _SLICE], spent, self._clock()):
                if not self._may_write():
                    return True
                await self._write(write)
                await asyncio.sleep(_PAUSE)
            await asyncio.sleep(0)
        return True

    async def _write(self, write: SpendWrite) -> None:
        ref = write.key.ref
        try:
            await self._client.patch(
                API_KEYS,
                ref.name,
                _Patch(ObjectMeta(uid=write.key.uid), _Status(write.spend)),
                Metadata,
                namespace=ref.namespace,
                subresource="status",
            )
        except ClusterError as error:  # gone, or the next look will do it
            log(logging.DEBUG, f"what {ref} has spent was not written: {error}")

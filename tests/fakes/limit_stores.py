"""Both stores of limits, driven by a clock that tests set."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import pytest

from eventually import eventually
from sluicegate.limits import (
    Amount,
    Ceiling,
    MemoryStore,
    Refusal,
    Reservation,
    Subject,
    SubjectKind,
    connection,
    shared,
    spent,
)
from sluicegate.limits.shared import SharedStore

NOON = 1_790_000_000.0 - 1_790_000_000.0 % 86_400 + 43_200


def be_patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What this process asks a store for takes as long as it takes on a machine that is busy.

    A gateway waits a quarter of a second. No test asks how long that is, only what comes after.
    """
    for module in (connection, shared, spent):
        monkeypatch.setattr(module, "PATIENCE", 4.0)


@dataclass
class SetClock:
    """Unix seconds, as a test says."""

    now: float = NOON

    def __call__(self) -> float:
        return self.now


class Ask(NamedTuple):
    """The arguments of a reservation."""

    subjects: tuple[Subject, ...]
    amount: Amount = Amount()


def ask(
    ceiling: Ceiling,
    id_: str = "key:a/b",
    *,
    requests: int = 1,
    tokens: int = 0,
    money: int = 0,
    kind: SubjectKind = SubjectKind.KEY,
) -> Ask:
    """Of one subject."""
    return Ask((Subject(id_, ceiling, kind),), Amount(requests, tokens, money))


@dataclass
class Counting:
    """One of the stores. `settled` waits until all settlements have been counted."""

    store: MemoryStore | SharedStore
    clock: SetClock

    async def reserve(self, asked: Ask) -> Reservation | Refusal:
        if isinstance(self.store, MemoryStore):
            return self.store.reserve(*asked)
        return await self.store.reserve(*asked)

    async def granted(self, asked: Ask) -> Reservation:
        found = await self.reserve(asked)
        assert isinstance(found, Reservation), found
        return found

    async def refused(self, asked: Ask) -> Refusal:
        found = await self.reserve(asked)
        assert isinstance(found, Refusal), found
        return found

    async def settle(
        self, reservation: Reservation, tokens: int | None = None, money: int | None = None
    ) -> None:
        self.store.settle(reservation, tokens, money)
        await self.settled()

    async def settled(self) -> None:
        if isinstance(self.store, SharedStore):
            store = self.store

            async def nothing_left() -> bool:
                return not store.pending

            await eventually(nothing_left)


@contextlib.asynccontextmanager
async def sharing(
    url: str, clock: SetClock | None = None, *, lease: float = 60.0
) -> AsyncGenerator[SharedStore]:
    """A shared store at work; without `clock` by the server's time."""
    store = SharedStore(url, clock=clock, lease=lease)
    task = asyncio.create_task(store.run())

    async def found() -> bool:
        if task.done():
            task.result()
        return store.available

    try:
        await eventually(found)
        yield store
    finally:
        task.cancel()
        await asyncio.wait([task])


def of_memory(clock: SetClock, *, most: int = 1000) -> Counting:
    return Counting(MemoryStore(clock, most=most), clock)


def all_of(reservations: Sequence[Reservation | Refusal]) -> tuple[int, int]:
    """How many were granted, and how many refused."""
    granted = sum(isinstance(each, Reservation) for each in reservations)
    return granted, len(reservations) - granted

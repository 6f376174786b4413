"""Tests that need their clock: what fails while the whole process stood still is tried again."""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass
from typing import ParamSpec

P = ParamSpec("P")

_TICK = 0.02  # seconds
_TRIES = 8


class DisturbedError(Exception):
    """What a test raises that has seen another process stand still."""


@dataclass
class Stillness:
    """The longest time in which the event loop ran nothing."""

    longest: float = 0.0


def undisturbed(
    still: float,
) -> Callable[[Callable[P, Awaitable[None]]], Callable[P, Awaitable[None]]]:
    """A test whose gateway, clients and upstreams share this process, and count less than seconds.

    If it fails, and the loop stood still for more than `still` seconds meanwhile, then a neighbour
    had the machine and the failure says nothing: once more, as after DisturbedError. What it
    asserts holds of a run without.
    """

    def decorated(test: Callable[P, Awaitable[None]]) -> Callable[P, Awaitable[None]]:
        @functools.wraps(test)
        async def repeated(*args: P.args, **kwargs: P.kwargs) -> None:
            for left in reversed(range(_TRIES)):
                async with _watching() as seen:
                    try:
                        return await test(*args, **kwargs)
                    except Exception as error:
                        await asyncio.sleep(2 * _TICK)  # for the tick that is late
                        disturbed = seen.longest > still or isinstance(error, DisturbedError)
                        if not disturbed or not left:
                            raise
            return None

        return repeated

    return decorated


@contextlib.asynccontextmanager
async def _watching() -> AsyncGenerator[Stillness]:
    seen = Stillness()
    watch = asyncio.create_task(_watch(seen))
    try:
        yield seen
    finally:
        watch.cancel()


async def _watch(seen: Stillness) -> None:
    clock = asyncio.get_running_loop().time
    while True:
        before = clock()
        await asyncio.sleep(_TICK)
        seen.longest = max(seen.longest, clock() - before - _TICK)

"""Long work in small slices, so that the event loop goes on serving requests.

A thread would not help: parsing holds the interpreter's lock wherever it runs.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Generator
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Pace:
    """How work is sliced: `budget` seconds of it at a time, then at least `rest` seconds without.

    A slice ends with the first step that exceeds the budget, so no hold is longer than the budget
    and one step.
    """

    budget: float
    rest: float


# Nobody is served yet, but signals and probes are.
FIRST_LOAD = Pace(budget=0.004, rest=0.0)
# A fifth of the time at most, and never long enough to be seen in a request's latency (measured).
WHILE_SERVING = Pace(budget=0.0003, rest=0.0015)


def _not_noted(seconds: float) -> None:
    """The lengths of slices are of no interest."""


async def drive(
    steps: Generator[object, None, T],
    pace: Pace = WHILE_SERVING,
    *,
    held: Callable[[float], None] = _not_noted,
    clock: Callable[[], float] = time.perf_counter,
    pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> T:
    """Run a generator to its end and answer what it returns.

    `held` is told how many seconds each slice took; `clock` is in seconds.
    """
    begun = clock()
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            held(clock() - begun)
            return stop.value
        now = clock()
        if now - begun >= pace.budget:
            held(now - begun)
            await pause(pace.rest)
            begun = clock()

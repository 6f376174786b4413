"""Long work in slices, so that probes are answered and Leases renewed while it runs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Generator
from typing import TypeVar

T = TypeVar("T")

_SLICE = 0.005  # seconds


async def drive(steps: Generator[object, None, T]) -> T:
    """Run a generator to its end and answer what it returns."""
    begun = time.perf_counter()
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value
        if time.perf_counter() - begun >= _SLICE:
            await asyncio.sleep(0)
            begun = time.perf_counter()

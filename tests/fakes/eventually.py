"""Waiting for what no event tells: another process, or what a port says of itself."""

import asyncio
from collections.abc import Awaitable, Callable


async def eventually(condition: Callable[[], Awaitable[bool]], seconds: float = 60.0) -> None:
    """Ask until the answer is yes. Raises TimeoutError."""
    async with asyncio.timeout(seconds):
        while not await condition():  # noqa: ASYNC110 -- there is no event to wait for
            await asyncio.sleep(0.01)

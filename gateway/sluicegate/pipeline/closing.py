"""The end of the gateway, for what waits on nothing but time."""

from __future__ import annotations

import asyncio


class Closing:
    """Cuts pauses short once the gateway has no more time for what is under way."""

    __slots__ = ("_pauses", "begun")

    def __init__(self) -> None:
        self.begun = False
        # A set of our own: on one shared event each pause would look through all the others.
        self._pauses: set[asyncio.Future[None]] = set()

    def begin(self) -> None:
        """End every pause, and let none begin."""
        self.begun = True
        for pause in self._pauses:
            _end(pause)

    async def pause(self, seconds: float) -> None:
        """Wait, at most until the gateway closes: `begun` tells whether that is why it returned."""
        if self.begun:
            return
        loop = asyncio.get_running_loop()
        pause: asyncio.Future[None] = loop.create_future()
        timer = loop.call_later(seconds, _end, pause)
        self._pauses.add(pause)
        try:
            await pause
        finally:
            self._pauses.discard(pause)
            timer.cancel()


def _end(pause: asyncio.Future[None]) -> None:
    if not pause.done():
        pause.set_result(None)

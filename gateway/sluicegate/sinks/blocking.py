"""Blocking work beside the sinks' event loop, in threads that keep no process alive."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import TypeVar

_T = TypeVar("_T")


async def in_thread(work: Callable[[], _T]) -> _T:
    """What `work` answers or raises.

    Unlike `asyncio.to_thread`'s, the thread is a daemon: a write that hangs for ever, as to a pipe
    that nobody reads, must not keep the process from ending.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[_T] = loop.create_future()

    def settle(set_it: Callable[[], None]) -> None:
        if not done.done():
            set_it()

    def run() -> None:
        try:
            result = work()
        except BaseException as error:  # noqa: BLE001 -- it is raised again where it is awaited
            caught = error
            told = lambda: done.set_exception(caught)  # noqa: E731 -- one of two
        else:
            told = lambda: done.set_result(result)  # noqa: E731 -- one of two
        try:
            loop.call_soon_threadsafe(settle, told)
        except RuntimeError:
            return  # nobody waits any more: the loop is closed

    threading.Thread(target=run, name="log sink", daemon=True).start()
    return await done

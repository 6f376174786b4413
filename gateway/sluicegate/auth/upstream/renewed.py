"""A value that takes a blocking look-up, is shared by all requests, and expires.

The credential kinds beside this module are its callers. It waits in threads, never on the loop.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, NamedTuple, TypeVar

from sluicegate.auth.upstream.failure import CredentialFailed

T = TypeVar("T")

# Their own, so that a metadata service that hangs keeps no name from being resolved.
_THREADS = ThreadPoolExecutor(4, "credentials")

# Seconds. A renewal begins this long before a value expires, for those that live long enough.
_AHEAD = 840.0  # below botocore's own 15 minutes, so that it renews when it is asked
_RECHECK = 300.0  # a value without an end (a file, say) is looked up again this often
_PAUSE = 30.0  # between attempts to renew while the old value is still good
_HOLD = 1.0  # a failure without an old value is told again this long without another attempt
_LONGEST_WAIT = 30.0  # of one request


class Found(NamedTuple, Generic[T]):
    """What a look-up found. `expires_at` in Unix seconds, None: it does not say."""

    value: T
    expires_at: float | None


class Renewed(Generic[T]):
    """Holds the value; at most one look-up is under way, and it survives who asked for it.

    `look_up` runs in a thread and raises CredentialFailed.
    """

    __slots__ = ("_clock", "_failure", "_found", "_fresh_until", "_look_up", "_next_at", "_task")

    def __init__(
        self, look_up: Callable[[], Found[T]], clock: Callable[[], float] = time.time
    ) -> None:
        self._look_up = look_up
        self._clock = clock
        self._found: Found[T] | None = None
        self._fresh_until = 0.0
        self._next_at = 0.0  # no look-up before this
        self._failure = CredentialFailed("not looked up yet")
        self._task: asyncio.Task[None] | None = None

    @property
    def renewing(self) -> bool:
        """Whether a look-up is under way."""
        return self._task is not None

    async def get(self) -> T:
        """The value; waits only where there is none that is still good.

        Raises CredentialFailed.
        """
        now = self._clock()
        found = self._found
        if found is not None and now < self._fresh_until:
            return found.value
        if self._task is None and now >= self._next_at:
            self._task = asyncio.get_running_loop().create_task(self._renew())
        if found is not None and _usable(found, now):
            return found.value
        if self._task is not None:
            try:
                async with asyncio.timeout(_LONGEST_WAIT):
                    await asyncio.shield(self._task)
            except TimeoutError:
                raise CredentialFailed("the look-up takes too long") from None
            found = self._found
            if found is not None and _usable(found, self._clock()):
                return found.value
        raise self._failure.again() from self._failure

    def distrust(self) -> None:
        """The value was refused before its end: whoever asks next waits for another look-up."""
        self._found = None
        self._next_at = 0.0

    async def _renew(self) -> None:
        """Look up once. Never raises, since nobody may be left to be told."""
        try:
            found = await asyncio.get_running_loop().run_in_executor(_THREADS, self._look_up)
        except CredentialFailed as failure:
            self._failure = failure
            usable = self._found is not None and _usable(self._found, self._clock())
            self._next_at = self._clock() + (_PAUSE if usable else _HOLD)
        else:
            now = self._clock()
            self._found = found
            if not _usable(found, now):
                self._failure = CredentialFailed("what was found has expired")
                self._next_at = now + _HOLD
            else:
                self._fresh_until = _fresh_until(found, now)
                self._next_at = max(self._fresh_until, now + _HOLD)
        finally:
            self._task = None


def _usable(found: Found[T], now: float) -> bool:
    return found.expires_at is None or now < found.expires_at


def _fresh_until(found: Found[T], now: float) -> float:
    if found.expires_at is None:
        return now + _RECHECK
    left = found.expires_at - now
    return found.expires_at - min(_AHEAD, left / 2)

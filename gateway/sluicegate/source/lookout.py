"""Knows what a folder holds now: looks where a hint points, or everywhere if that is too little.

Looking everywhere takes a system call for each file, and each gives the interpreter's lock away;
while a busy event loop holds on to it, getting it back can take milliseconds each time. So a hint
about plain files costs only those files. Hints can get lost, so a patrol compares everything with
what is known from time to time, beside the hints, and raises one where there is a difference.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from sluicegate.source.scan import Scan, relook, scan
from sluicegate.source.watch import Watch

# Of the time that passes, at most this part goes into scans that no hint has asked for.
_SCAN_SHARE = 0.02
# After so many patrols that were overtaken by changes, everything is looked at once.
_UNCLEAR = 5


@dataclass(frozen=True, slots=True)
class Timing:
    """Waits of a folder source, in seconds."""

    rescan: float = 2.0  # where changes are noticed anyway
    rescan_blind: float = 0.25  # where they are not, because no watch could be set
    soon: float = 0.1  # where the folder is away for the moment, or a file was still being written
    quiet: float = 0.04  # a writer that has been still for this long is done
    patience: float = 0.15  # but no writer is waited for longer


class Lookout:
    """The present state of one folder, as far as it is known."""

    def __init__(self, directory: str, timing: Timing) -> None:
        self._directory = directory
        self._absolute = str(Path(directory).absolute())
        self._timing = timing
        self._watch = Watch(self._hinted)
        self._news = asyncio.Event()
        self._paths: set[str] = set()  # absolute paths that hints named since the last look
        self._everything = True  # hints do not say enough
        self._last: Scan | None = None
        self._last_paths: set[str] = set()  # what it was that was looked at last
        self._last_everything = True
        self._scan_seconds = 0.0

    async def look(self) -> Scan:
        """What the folder holds now."""
        self._news.clear()
        paths, self._paths = self._paths, set()
        everything, self._everything = self._everything or not self._watch.alive, False
        return await self._look(paths, everything=everything)

    async def settled(self) -> Scan:
        """What it holds once writers are done: the first look that equals the one before it."""
        deadline = time.monotonic() + self._timing.patience
        paths = self._last_paths
        everything = self._last_everything
        while True:
            before = self._last
            await asyncio.sleep(self._timing.quiet)
            paths |= self._paths
            everything |= self._everything
            self._paths, self._everything = set(), False
            seen = await self._look(paths, everything=everything)
            still = before is not None and (seen.files, seen.faults) == (
                before.files,
                before.faults,
            )
            if still or time.monotonic() >= deadline:
                return seen

    async def _look(self, paths: set[str], *, everything: bool) -> Scan:
        self._last_paths, self._last_everything = paths, everything
        last = self._last
        if last is not None and not everything:
            seen = last
            if paths:
                seen = await asyncio.to_thread(relook, self._directory, last, frozenset(paths))
            if seen is not None:
                self._last = seen
                return seen
            self._last_everything = True
        started = time.perf_counter()
        self._last = await asyncio.to_thread(scan, self._directory)
        self._scan_seconds = time.perf_counter() - started
        return self._last

    async def follow(self) -> None:
        """Watch what was seen last. Where that is new, what changed meanwhile gave no hint."""
        if self._last is not None and await self._watch.follow(self._last):
            self._hinted(None)

    def doubt(self, paths: Iterable[str]) -> None:
        """Look at these again soon, named as in a scan; they may have changed since."""
        start = len(self._directory)
        self._paths.update(self._absolute + path[start:] for path in paths)

    def distrust(self) -> None:
        """Look at everything again next time."""
        self._everything = True

    async def pause(self, limit: float | None) -> None:
        """Wait until it is time for another look, at most for `limit` seconds."""
        if self._last is None or not self._last.found or self._paths:
            wait = self._timing.soon
        elif self._watch.alive:
            wait = limit
        else:
            wait = max(self._timing.rescan_blind, self._scan_seconds / _SCAN_SHARE)
        if wait is not None and limit is not None:
            wait = min(wait, limit)
        with suppress(TimeoutError):
            async with asyncio.timeout(wait):
                await self._news.wait()

    async def patrol(self) -> None:
        """Raise a hint where one was lost. Runs until cancelled."""
        unclear = 0
        while True:
            await asyncio.sleep(max(self._timing.rescan, self._scan_seconds / _SCAN_SHARE))
            last = self._last
            if last is None or not self._watch.alive:
                continue  # everything is looked at anyway
            started = time.perf_counter()
            same = await asyncio.to_thread(_is_still, self._directory, last)
            self._scan_seconds = time.perf_counter() - started
            # What a hint has changed meanwhile is no loss; but where changes never cease, neither
            # may the search for losses.
            unclear = 0 if same else unclear + 1
            if unclear and (self._last is last or unclear >= _UNCLEAR):
                unclear = 0
                self._hinted(None)

    async def close(self) -> None:
        """Stop watching."""
        await self._watch.close()

    def _hinted(self, paths: Collection[str] | None) -> None:
        if paths is None:
            self._everything = True
        else:
            self._paths.update(paths)
        self._news.set()


def _is_still(directory: str, last: Scan) -> bool:
    return scan(directory) == last

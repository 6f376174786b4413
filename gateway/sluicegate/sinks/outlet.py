"""From the queue of one sink to the sink: batches, retries, and what is given up.

All of it runs on the event loop of the sinks' thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections import deque
from dataclasses import dataclass
from time import monotonic

from sluicegate.sinks.record import LogRecord
from sluicegate.sinks.sink import Item, Sink, SinkRefused, SinkUnavailable
from sluicegate.telemetry.logs import LOGGER, log

_LONGEST_WAIT = 60.0  # seconds that a sink may ask for


@dataclass(frozen=True, slots=True)
class Pace:
    """How a sink is fed. Times are in seconds.

    A batch is sent after `interval`, or when it has `batch` records; it has about `batch_bytes` at
    most. An attempt may take `timeout`; a batch that no attempt of `patience` brought home is given
    up. `queue` records may wait, of `queue_bytes` in all.
    """

    interval: float = 1.0
    batch: int = 256
    batch_bytes: int = 2 * 1024 * 1024
    queue: int = 10_000
    queue_bytes: int = 64 * 1024 * 1024
    timeout: float = 10.0
    first_pause: float = 0.5
    longest_pause: float = 30.0
    patience: float = 300.0


@dataclass(slots=True)
class SinkCounts:
    """What became of the records of one sink, for metrics: read from other threads."""

    name: str
    sent: int = 0
    dropped: int = 0  # for want of room, or given up after retries
    refused: int = 0  # by the sink, which will never take them
    failures: int = 0  # attempts
    backlog: int = 0


class Outlet:
    """Feeds one sink."""

    def __init__(self, sink: Sink, name: str, pace: Pace) -> None:
        self._sink = sink
        self._pace = pace
        self._queue: deque[tuple[Item, int]] = deque()
        self._bytes = 0  # of what has not been sent
        self._full = asyncio.Event()  # a whole batch is there
        self._ending = asyncio.Event()
        self._problem: str | None = None
        self.counts = SinkCounts(name)

    def put(self, item: Item, size: int) -> None:
        """Take one of `size` bytes, if it is the sink's and there is room."""
        if self._sink.of_traces:
            sampled = item.sampled if isinstance(item, LogRecord) else item.trace.sampled
            if not sampled:
                return
        elif not isinstance(item, LogRecord):
            return
        if self.counts.backlog >= self._pace.queue or self._bytes + size > self._pace.queue_bytes:
            self.counts.dropped += 1
            return
        self._queue.append((item, size))
        self._bytes += size
        self.counts.backlog += 1
        if len(self._queue) >= self._pace.batch:
            self._full.set()

    async def run(self) -> None:
        """Until `end` and nothing is left."""
        while not (self._ending.is_set() and not self._queue):
            if not self._ending.is_set():
                await self._some()
            batch, taken = self._batch()
            if len(self._queue) < self._pace.batch:
                self._full.clear()
            if batch:
                await self._deliver(batch)
                self.counts.backlog -= len(batch)
                self._bytes -= taken

    def end(self) -> None:
        """Send what there is, without waiting for more."""
        self._ending.set()
        self._full.set()

    async def close(self) -> None:
        """Give up what is left."""
        self.counts.dropped += self.counts.backlog
        if self.counts.backlog:
            fields: dict[str, object] = {"sink": self.counts.name, "records": self.counts.backlog}
            log(logging.ERROR, "records were not sent before the end", fields)
        self.counts.backlog = 0
        await self._sink.close()

    def _batch(self) -> tuple[list[Item], int]:
        """The next to be sent, and their bytes."""
        batch: list[Item] = []
        taken = 0
        while self._queue and len(batch) < self._pace.batch:
            item, size = self._queue[0]
            if batch and taken + size > self._pace.batch_bytes:
                break
            self._queue.popleft()
            batch.append(item)
            taken += size
        return batch, taken

    async def _some(self) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._full.wait(), self._pace.interval)

    async def _deliver(self, batch: list[Item]) -> None:
        pause, given_up = self._pace.first_pause, monotonic() + self._pace.patience
        while True:
            try:
                async with asyncio.timeout(self._pace.timeout):
                    await self._sink.send(batch)
            except SinkRefused as error:
                refused = len(batch) if error.count is None else min(error.count, len(batch))
                self._failed(str(error))
                self.counts.refused += refused
                self.counts.sent += len(batch) - refused
                return
            except SinkUnavailable as error:
                self._failed(str(error))
                wait = error.retry_after
            except (ValueError, TypeError) as error:  # a record that can't be written as it is
                self._failed(f"it raised {type(error).__name__}")
                self.counts.refused += len(batch)
                return
            except TimeoutError:
                self._failed("it has not answered in time")
                wait = None
            except Exception as error:  # noqa: BLE001 -- the task's root: a sink of others may raise anything
                self._failed(f"it raised {type(error).__name__}")
                wait = None
            else:
                self.counts.sent += len(batch)
                self._tell(None)
                return
            if monotonic() >= given_up:
                self.counts.dropped += len(batch)
                return
            await self._pause(max(_spread(pause), min(wait or 0.0, _LONGEST_WAIT)))
            pause = min(2 * pause, self._pace.longest_pause)

    async def _pause(self, seconds: float) -> None:
        """Shorter when the gateway ends: then all that is left is a few more attempts."""
        if self._ending.is_set():
            await asyncio.sleep(min(seconds, self._pace.first_pause))
            return
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._ending.wait(), seconds)

    def _failed(self, problem: str) -> None:
        self.counts.failures += 1
        self._tell(problem)

    def _tell(self, problem: str | None) -> None:
        """Log what has changed."""
        if problem == self._problem:
            return
        self._problem = problem
        fields: dict[str, object] = {"sink": self.counts.name}
        if problem is None:
            LOGGER.info("a log sink takes records again", extra={"fields": fields})
        else:
            LOGGER.warning(
                "a log sink does not take records", extra={"fields": fields | {"error": problem}}
            )


def _spread(seconds: float) -> float:
    """So that many gateways do not come back at once."""
    return seconds * (0.75 + random.getrandbits(8) / 512)

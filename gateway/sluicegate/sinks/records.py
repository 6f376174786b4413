"""The way of a record: from the request that caused it, through one thread, to every sink."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from sluicegate.sinks.content import Masking
from sluicegate.sinks.entries import CallEntry, RequestEntry
from sluicegate.sinks.outlet import Outlet, Pace, SinkCounts
from sluicegate.sinks.record import kept_size, log_record, size
from sluicegate.sinks.sink import Item, Sink
from sluicegate.telemetry.logs import LOGGER
from sluicegate.telemetry.trace import Trace, begin

HEADER = "x-sluicegate-log-content"  # of a request: `false` keeps its content out of every record
TAG = "log-content"  # of a key or a request, with the same meaning
_LOOK_EVERY = 0.1  # seconds
_MOST = 20_000  # entries that wait for the thread
_MOST_BYTES = 64 * 1024 * 1024  # of their content
_AT_ONCE = 200  # entries between two looks at the rest of the thread's work


@dataclass(frozen=True, slots=True)
class SinkSettings:
    """What is logged where. `urls` may hold passwords; `environ` is where sinks find theirs.

    `ratio` of the traces that begin here are sampled. `masks` are regular expressions.
    """

    urls: tuple[str, ...] = field(repr=False)
    content: bool = False
    masks: tuple[str, ...] = ()
    ratio: float = 1.0
    last_words: float = 3.0  # seconds for what is left when the gateway ends
    pace: Pace = field(default_factory=Pace)
    environ: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)


class Records:
    """Takes what has happened, and never waits. `start` it, and `stop` it."""

    def __init__(self, settings: SinkSettings, sinks: Sequence[Sink]) -> None:
        """Raises ValueError for masks that are no regular expressions."""
        self._masking = Masking(settings.masks)
        self._sinks = sinks
        self._pace = settings.pace
        self._ratio = settings.ratio
        self._any_traces = any(sink.of_traces for sink in sinks)
        self._only_traces = all(sink.of_traces for sink in sinks)
        self.content = settings.content
        self._inlet: deque[CallEntry | RequestEntry] = deque()
        self._bytes_in = 0  # written by the event loop's thread only
        self._bytes_out = 0  # written by the sinks' thread only
        self._missed = 0
        self._counts: tuple[SinkCounts, ...] = ()
        self._ending = threading.Event()
        self._last_words = settings.last_words
        # A sink that hangs must not keep the process alive.
        self._thread = threading.Thread(target=self._run, name="log sinks", daemon=True)

    # --- on the event loop of the gateway ---------------------------------------------------------

    def trace(self, headers: Mapping[str, str]) -> Trace:
        """The trace of a request with these headers."""
        return begin(headers, self._ratio)

    def wants_content(self, headers: Mapping[str, str], tags: Mapping[str, str]) -> bool:
        """Whether a request's messages and answer belong into its records."""
        return (
            self.content
            and headers.get(HEADER, "").lower() != "false"
            and tags.get(TAG, "").lower() != "false"
        )

    def call(self, entry: CallEntry) -> None:
        """One upstream call has ended."""
        if self._only_traces and not entry.trace.sampled:
            return
        taken = size(entry)
        if len(self._inlet) >= _MOST or self._bytes_in - self._bytes_out + taken > _MOST_BYTES:
            self._missed += 1
            return
        self._bytes_in += taken
        self._inlet.append(entry)

    def request(self, entry: RequestEntry) -> None:
        """One request has ended."""
        if self._any_traces and entry.trace.sampled and len(self._inlet) < _MOST:
            self._inlet.append(entry)

    # --- from any thread --------------------------------------------------------------------------

    @property
    def counts(self) -> tuple[SinkCounts, ...]:
        """What became of the records of each sink; first what found no room before any sink."""
        return (SinkCounts("queue", dropped=self._missed, backlog=len(self._inlet)), *self._counts)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Send what there is, for at most `last_words` seconds. Blocking."""
        self._ending.set()
        if self._thread.is_alive():
            self._thread.join(self._last_words + 1.0)

    # --- the thread -------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            asyncio.run(self._feed())
        except Exception:  # noqa: BLE001 -- the thread's root: the gateway serves on without records
            LOGGER.exception("the log sinks failed")

    async def _feed(self) -> None:
        outlets = [
            Outlet(sink, name, self._pace)
            for sink, name in zip(self._sinks, _names(self._sinks), strict=True)
        ]
        self._counts = tuple(outlet.counts for outlet in outlets)
        tasks = [asyncio.create_task(outlet.run()) for outlet in outlets]
        while not self._ending.is_set():
            await self._distribute(outlets)
            await asyncio.sleep(_LOOK_EVERY)
        await self._distribute(outlets)
        for outlet in outlets:
            outlet.end()
        _, late = await asyncio.wait(tasks, timeout=self._last_words)
        for task in late:
            task.cancel()
        for outlet in outlets:
            with contextlib.suppress(Exception):
                async with asyncio.timeout(0.2):
                    await outlet.close()

    async def _distribute(self, outlets: Sequence[Outlet]) -> None:
        """Make records of what is there and give them to all sinks."""
        for number in range(len(self._inlet)):
            entry = self._inlet.popleft()
            item = self._item(entry)
            for outlet in outlets:
                outlet.put(item, kept_size(entry))
            if number % _AT_ONCE == _AT_ONCE - 1:
                await asyncio.sleep(0)

    def _item(self, entry: CallEntry | RequestEntry) -> Item:
        if isinstance(entry, RequestEntry):
            return entry
        self._bytes_out += size(entry)
        return log_record(entry, self._masking)


def _names(sinks: Sequence[Sink]) -> list[str]:
    """A name for each: that of its kind, with a number from the second on."""
    names: list[str] = []
    for sink in sinks:
        same = sum(1 for each in sinks[: len(names)] if each.name == sink.name)
        names.append(f"{sink.name}-{same + 1}" if same else sink.name)
    return names

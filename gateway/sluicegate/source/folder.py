"""A folder of manifests that is served as it is, and served anew when it changes.

The truth is what a scan finds, not what a notification says: a notification, or the passing of
some seconds, only leads to the next scan. One pass: scan, wait until writers are done, read what
changed, parse, mint the keys that are asked for, compile, publish. All of the work is incremental,
and sliced so that requests are served in between.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path

from sluicegate.compile import Compilation, Settings, compile_steps
from sluicegate.resources import Inputs
from sluicegate.resources.objects import SecretRef
from sluicegate.source.files import FileSet, Outdated
from sluicegate.source.generated import GeneratedKeys, secret_of
from sluicegate.source.keystore import KeyRefused, KeyStore, StoredKey
from sluicegate.source.lookout import Lookout, Timing
from sluicegate.source.report import Report, Reporter, defect
from sluicegate.source.scan import Content, Scan, read
from sluicegate.source.slices import FIRST_LOAD, WHILE_SERVING, Pace, drive
from sluicegate.source.status import SourceStatus, StatusBoard

# How many files a thread reads before what it read is parsed.
_READ_AT_ONCE = 64
_TIMING = Timing()
# How late, at most, what is due is looked at (seconds).
_DUE_STEP = 0.02


class FolderSource:
    """Loads a folder and follows it.

    `publish` gets each new compilation and answers the steps that make it serve, of which the last
    one swaps; they are run in slices as all work is. `clock` is Unix time in seconds. `environ` is
    where `$(NAME)` in a Secret comes from.
    """

    def __init__(
        self,
        directory: str | Path,
        *,
        state_dir: Path,
        environ: Mapping[str, str],
        settings: Settings,
        publish: Callable[[Compilation], Iterable[object]],
        clock: Callable[[], float] = time.time,
        timing: Timing = _TIMING,
    ) -> None:
        self._directory = str(Path(directory))
        self._settings = settings
        self._publish = publish
        self._clock = clock
        self._timing = timing
        self._board = StatusBoard(clock)
        self._drive = partial(drive, held=self._board.held)
        self._reporter = Reporter()
        self._lookout = Lookout(self._directory, timing)
        self._files = FileSet(dict(environ))
        self._keystore = KeyStore(state_dir)
        self._keys = GeneratedKeys()
        self._inputs: Inputs | None = None
        self._compilation: Compilation | None = None
        self._unpublished: frozenset[str] = frozenset()  # changed entries that do not serve yet
        self._judged = False  # whether the status says how things stand

    @property
    def status(self) -> SourceStatus:
        """How it is doing at this moment."""
        return self._board.status

    async def load(self) -> SourceStatus:
        """Load the folder for the first time. What is wrong with it is in the status."""
        await self._pass(FIRST_LOAD, settle=False)
        self._board.begin_serving()
        return self.status

    async def look_again(self) -> bool:
        """Nothing is to be looked for: what is written is noticed at once."""
        return False

    async def run(self) -> None:
        """Follow the folder until cancelled. A task root: nothing that a folder holds ends it."""
        patrol = asyncio.create_task(self._lookout.patrol())
        try:
            while True:
                try:
                    await self._pass(WHILE_SERVING, settle=True)
                except Exception as error:  # noqa: BLE001 -- a defect here must not end hot reload
                    self._judged = False
                    self._lookout.distrust()
                    self._board.judge(Report((defect(error),), ()))
                await self._lookout.pause(self._due_in())
        finally:
            patrol.cancel()
            await asyncio.gather(patrol, return_exceptions=True)
            await self._lookout.close()

    def _due_in(self) -> float | None:
        """Seconds until something is to be done without a change of the folder."""
        unfinished = self._keys.refused or self._files.unread or not self._judged
        again = self._timing.rescan if unfinished else None
        due = self._compilation.next_due if self._compilation is not None else None
        waits = [wait for wait in (again, due and due - self._clock()) if wait is not None]
        return max(_DUE_STEP, min(waits)) if waits else None

    async def _pass(self, pace: Pace, *, settle: bool) -> None:
        started = time.perf_counter()
        seen = await self._lookout.look()
        if settle:
            await self._lookout.follow()
        outdated = await self._drive(self._files.outdated(seen), pace)
        if settle and outdated.moving:
            seen = await self._lookout.settled()
            outdated = await self._drive(self._files.outdated(seen), pace)
        files = await self._take_in(seen, outdated, pace)
        self._lookout.doubt(self._files.uncertain)
        # A folder that has never been there is not an empty one: there is nothing to serve yet.
        known = seen.found or self._inputs is not None
        compiled = known and await self._compile(files, pace)
        if known and (self._unpublished or not self.status.loaded):
            await self._serve(files, started, pace)
        if outdated.moving or compiled or not self._judged:
            await self._judge(pace)

    async def _take_in(self, seen: Scan, outdated: Outdated, pace: Pace) -> int:
        """Read and parse what is new. Answers how many files had an effect."""
        files = await self._drive(self._files.note(seen, outdated.gone), pace)
        for start in range(0, len(outdated.read), _READ_AT_ONCE):
            paths = outdated.read[start : start + _READ_AT_ONCE]
            contents = await asyncio.to_thread(_read_all, paths, time.time_ns())
            files += await self._drive(self._files.take_in(seen, contents), pace)
        return files

    async def _compile(self, files: int, pace: Pace) -> bool:
        """Compile, if anything is new or time has made it so. Answers whether it did."""
        last = self._compilation
        due = last is None or (last.next_due is not None and last.next_due <= self._clock())
        if not (files or due or self._keys.refused):
            return False
        compilation = await self._compile_once(pace)
        if await self._renew_keys(compilation):
            await self._compile_once(pace)
        return True

    async def _compile_once(self, pace: Pace) -> Compilation:
        self._inputs = self._files.inventory.snapshot()
        await self._drive(self._keys.note(self._inputs), pace)
        compilation = await self._drive(
            compile_steps(self._inputs, self._compilation, self._settings, self._clock()), pace
        )
        self._compilation = compilation
        self._unpublished |= compilation.changed
        return compilation

    async def _renew_keys(self, compilation: Compilation) -> bool:
        """Have keys minted, rotated, read or given up, as the ApiKeys say now."""
        inventory = self._files.inventory
        unwanted = self._keys.give_up()
        for stored in unwanted:
            inventory.unmint(SecretRef(stored.namespace, stored.secret_name))
        due = self._keys.due(compilation.minting(), self._clock())
        results: list[StoredKey | KeyRefused] = []
        if due:
            results = await asyncio.to_thread(self._keystore.obtain, due, self._clock())
        renewed = False
        for wanted, result in zip(due, results, strict=True):
            if self._keys.hold(wanted, result) and isinstance(result, StoredKey):
                inventory.mint(secret_of(result))
                renewed = True
        return renewed or bool(unwanted)

    async def _serve(self, files: int, started: float, pace: Pace) -> None:
        if self._compilation is None:
            return
        await self._drive(_steps(self._publish(self._compilation)), pace)
        self._board.loaded(
            seconds=time.perf_counter() - started, changed=len(self._unpublished), files=files
        )
        self._unpublished = frozenset()

    async def _judge(self, pace: Pace) -> None:
        """Say how things stand."""
        steps = self._reporter.steps(
            self._files.problems(), self._compilation, refused=self._keys.refused
        )
        self._board.judge(await self._drive(steps, pace))
        self._board.count(
            files=len(self._files),
            objects=len(self._inputs.resources) if self._inputs is not None else 0,
            ignored=self._files.inventory.ignored,
        )
        self._judged = True


def _read_all(paths: Sequence[str], now_ns: int) -> list[tuple[str, Content | None]]:
    return [(path, read(path, now_ns)) for path in paths]


def _steps(steps: Iterable[object]) -> Generator[None, None, None]:
    for _ in steps:
        yield

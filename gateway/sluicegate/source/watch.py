"""Tells when something in a folder may have changed. Only a hint: the scan says what did.

Hints can get lost (a link's far end, a network file system, the system's limit of watches), so the
source scans every few seconds all the same.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection

from watchfiles import (
    Change,
    awatch,  # pyright: ignore[reportUnknownVariableType] -- it names types of trio, which is not here
)

from sluicegate.source.scan import MANIFEST_SUFFIXES, Folder, Scan

_log = logging.getLogger(__name__)

# Milliseconds: how often the system's queue of changes is emptied, and how long a burst is
# gathered.
_STEP = 25
_BURST = 50
# Idle wake-ups of the watching thread's outer loop, in milliseconds.
_IDLE = 60_000


def _parent(path: str) -> str:
    return path.rpartition("/")[0] or "/"


class Watch:
    """Calls `hint` after changes in a folder, those below it, and the links that lead there.

    A hint names the absolute paths of what changed in a folder; None: that does not say enough.
    """

    def __init__(self, hint: Callable[[Collection[str] | None], None]) -> None:
        self._hint = hint
        self._folders: frozenset[Folder] = frozenset()
        self._links: frozenset[str] = frozenset()
        self._task: asyncio.Task[None] | None = None
        # It tells of every batch of changes at INFO; what a change did is told by the source.
        logging.getLogger("watchfiles").setLevel(logging.WARNING)

    @property
    def alive(self) -> bool:
        """Whether changes are being noticed."""
        return self._task is not None and not self._task.done()

    async def follow(self, seen: Scan) -> bool:
        """Watch what the scan saw. True where that is new, so that another scan must follow."""
        if self.alive and (seen.folders, seen.links) == (self._folders, self._links):
            return False
        await self.close()
        self._folders, self._links = seen.folders, seen.links
        if not (seen.folders or seen.links):
            return False
        self._task = asyncio.create_task(self._run(seen.folders, seen.links))
        await asyncio.sleep(0)  # the watches are set before the task first waits
        return True

    async def close(self) -> None:
        """End the watching thread."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    async def _run(self, folders: frozenset[Folder], links: frozenset[str]) -> None:
        # Each folder by itself: the scan knows them all, and watching a tree as such walks through
        # all of its files first, while nothing else runs.
        watched = {folder.path for folder in folders}
        parents = {_parent(link) for link in links}

        def concerns(change: Change, path: str) -> bool:
            if path in watched or path in links:
                return True
            # Somebody may keep a busy file beside the manifests: only its coming and going counts.
            quiet = change is Change.modified and not path.endswith(MANIFEST_SUFFIXES)
            return _parent(path) in watched and not quiet

        try:
            async for changes in awatch(
                *sorted(watched | parents),
                watch_filter=concerns,
                debounce=_BURST,
                step=_STEP,
                rust_timeout=_IDLE,
                recursive=False,
                ignore_permission_denied=True,
            ):
                paths = {path for _, path in changes}
                self._hint(None if paths & watched or paths & links else paths)
                if any(change is Change.deleted and path in watched for change, path in changes):
                    return  # a watch does not outlive its folder; the next scan starts a new one
        except (OSError, RuntimeError) as error:  # a folder is gone; the system has no more watches
            _log.debug("the folder can't be watched: %s", error)

"""The ledger's thread: from the spool to the database, and what ended processes have left."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from sluicegate.ledger.spool import Leftover, Spool, leftovers
from sluicegate.ledger.store import RowsRefused, Store, StoreUnavailable

_LOGGER = logging.getLogger("sluicegate")
_PAUSE = 0.25  # seconds between two looks at the spool
_FIRST_BACKOFF = 0.5  # seconds without asking a database that was away
_LONGEST_BACKOFF = 15.0
_LEFTOVERS_EVERY = 60.0  # seconds; another process that shares the folder may have been killed


class Writer(threading.Thread):
    """Runs until `stop`. It never waits for the event loop, nor the event loop for it."""

    def __init__(self, root: Path, spool: Spool, store: Store) -> None:
        super().__init__(name="ledger", daemon=True)  # a database that hangs must not keep us alive
        self._root = root
        self._spool = spool
        self._store = store
        self.loop: asyncio.AbstractEventLoop | None = None  # the one that writes to the spool
        self._stopping = threading.Event()
        self._connected = False
        self._retry_at = 0.0
        self._backoff = _FIRST_BACKOFF
        self._leftovers_at = 0.0
        self._told: str | None = None
        self.problem: str | None = None  # why the database has not got the rows
        self.caught_up = False  # whether the database has what ended processes had left
        self.stored = 0  # rows
        self.refused = 0  # rows that the database will never take

    def stop(self, seconds: float) -> None:
        """Write what there is, for at most so long. Blocking."""
        self._stopping.set()
        self.join(seconds)

    def run(self) -> None:
        """The thread's life."""
        stopping = False
        while not stopping:
            stopping = self._stopping.wait(_PAUSE)
            try:
                self._turn(last=stopping)
            except Exception:  # the thread's root: rows stay in the spool until the next turn
                _LOGGER.exception("the ledger failed")
        self._spool.close()
        self._store.close()

    def _turn(self, *, last: bool) -> None:
        ready = self._spool.ready()
        if ready and self._spool.problem is not None and self.loop is not None and not last:
            self.loop.call_soon_threadsafe(self._spool.try_again)
        self._tell()
        if time.monotonic() < self._retry_at and not last:
            return
        try:
            self._carry()
            if time.monotonic() >= self._leftovers_at and not last:
                self._leftovers_at = time.monotonic() + _LEFTOVERS_EVERY
                self._take_over()
                self.caught_up = True
        except StoreUnavailable as error:
            self._store.close()
            self._connected = False
            self.problem = f"the database can't be used: {error}"
            self._retry_at = time.monotonic() + self._backoff
            self._backoff = min(2 * self._backoff, _LONGEST_BACKOFF)
        except OSError as error:
            self.problem = f"the spool can't be read: {error.strerror}"
        else:
            self.problem = None
        self._tell()

    def _carry(self) -> None:
        """Everything that is in the spool. Raises StoreUnavailable, OSError."""
        if not self._connected:
            self._store.open()
            self._connected = True
        while batch := self._spool.read():
            self._add(batch.rows)
            self._spool.stored(batch)
        self._backoff = _FIRST_BACKOFF

    def _take_over(self) -> None:
        """What ended processes have left. Raises StoreUnavailable, OSError."""
        for left in leftovers(self._root):
            try:
                rows = self._rows_of(left)
            except BaseException:
                left.release()
                raise
            left.remove()
            fields = {"rows": rows, "spool": left.folder.name}
            _LOGGER.warning("rows of a gateway that was ended were found", extra={"fields": fields})

    def _rows_of(self, left: Leftover) -> int:
        count = 0
        for rows in left.rows():
            self._add(rows)
            count += len(rows)
        return count

    def _add(self, rows: Sequence[bytes]) -> None:
        """Insert; where the database refuses, find which rows it means. Raises as `Store.add`."""
        if not rows:
            return
        try:
            self._store.add(rows)
        except RowsRefused as error:
            reason = str(error)
        else:
            self.stored += len(rows)
            return
        if len(rows) == 1:
            self.refused += 1
            fields = {"error": reason}
            _LOGGER.error("the database refuses a row of the ledger", extra={"fields": fields})
            return
        middle = len(rows) // 2
        self._add(rows[:middle])
        self._add(rows[middle:])

    def _tell(self) -> None:
        """Log what has changed."""
        now = self._spool.problem or self.problem
        if now == self._told:
            return
        self._told = now
        if now is None:
            _LOGGER.warning("the ledger is whole again")
        else:
            fields = {"problem": now, "rows_lost": self._spool.lost}
            _LOGGER.error("the ledger has a problem", extra={"fields": fields})

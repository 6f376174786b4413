"""The spool: files that bridge a database outage and the sudden end of the process.

`<state>/spool/<process>/` holds a lock and numbered segments of lines (`lines.py`). The event loop
appends, which is one system call into the page cache: it survives kill -9, not a loss of power. The
ledger's thread reads the lines back, opens and removes segments; the loop never opens a file. A
process that finds a folder whose lock is free takes over what is left in it.

Each segment begins with the calls that were under way when it did, so older ones may go as soon as
their rows are in the database.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from sluicegate.ledger.lines import BEGIN, END, NEVER, ended_rows, line, open_rows, whole_lines
from sluicegate.ledger.record import CallRecord, encode

SEGMENT_BYTES = 4 * 1024 * 1024
_LOCK = "lock"
_MOST_IN_MEMORY = 10_000  # rows, while no file can be written
_MOST_AT_ONCE = 500  # rows
_READ = 256 * 1024  # bytes; some hundreds of rows


@dataclass(slots=True)
class Segment:
    """A file of the spool. `read` bytes are in the database, `written` in the file.

    `torn`: it holds a part of a line, because the disk was full; so each line begins with a line
    feed from then on.
    """

    path: Path
    fd: int
    written: int = 0
    read: int = 0
    torn: bool = False

    def remove(self) -> None:
        """Blocking."""
        os.close(self.fd)
        with contextlib.suppress(OSError):
            self.path.unlink()


@dataclass(slots=True)
class Spool:
    """One process's own. What writes is for the event loop, the rest blocks: for a thread."""

    root: Path
    max_bytes: int
    segment_bytes: int = SEGMENT_BYTES
    problem: str | None = None  # why rows can't be kept safe from a kill now
    lost: int = 0  # rows that found no room anywhere
    _folder: Path | None = None
    _lock: int = -1
    _number: int = 0
    _current: Segment | None = None
    _spare: Segment | None = None
    _sealed: deque[Segment] = field(default_factory=deque[Segment])
    _open: dict[str, bytes] = field(default_factory=dict[str, bytes])  # calls under way
    _memory: deque[bytes] = field(default_factory=deque[bytes])  # rows that no file would take

    def begin(self, record: CallRecord) -> None:
        """Before a call is sent. Never raises for a disk that is full or gone."""
        text = self._open[record.id] = line(BEGIN, encode(record))
        self._write(text)

    def end(self, record: CallRecord) -> None:
        """Before the last byte of the answer goes to the client."""
        self._open.pop(record.id, None)
        row = encode(record)
        if self._write(line(END, row)):
            return
        if len(self._memory) < _MOST_IN_MEMORY:
            self._memory.append(row)
        else:
            self.lost += 1

    def withdraw(self, id_: str) -> None:
        """What had begun was not sent after all."""
        self._open.pop(id_, None)
        self._write(line(NEVER, encode(id_)))

    def try_again(self) -> None:
        """For the event loop: where rows could not be kept safe, see whether they can by now.

        An empty line tells it as well as a row, and the next row may be long in coming.
        """
        if self.problem is not None:
            self._write(b"\n")

    def _write(self, text: bytes) -> bool:
        segment = self._current
        if segment is not None and segment.written >= self.segment_bytes:
            segment = self._next_segment(segment)
        if segment is None:
            return False
        if segment.torn:
            text = b"\n" + text
        try:
            done = os.write(segment.fd, text)
        except OSError as error:
            self.problem = f"the spool can't be written: {error.strerror}"
            return False
        segment.written += done
        if done < len(text):
            segment.torn = True
            self.problem = "the spool can't be written: the disk is full"
            return False
        if self.problem is not None:
            self.problem = None
        return True

    def _next_segment(self, old: Segment) -> Segment | None:
        """Go on in the spare file, once the thread has made one."""
        spare, self._spare = self._spare, None
        if spare is None:
            if old.written + _bytes(self._sealed) < self.max_bytes:
                return old
            self.problem = "the spool is full, because the database has taken no rows for long"
            return None
        carried = b"\n" + b"".join(self._open.values())
        try:
            done = os.write(spare.fd, carried)
        except OSError as error:
            self.problem = f"the spool can't be written: {error.strerror}"
            done = 0
        spare.written += done
        if done < len(carried):
            spare.torn = True
            self._spare = spare  # the old one goes on: what is under way must be in one of them
            return old
        self._sealed.append(old)
        self._current = spare
        return spare

    @property
    def backlog(self) -> int:
        """Bytes of the files that the database has not got yet."""
        current = self._current
        segments = [*self._sealed, *([current] if current is not None else [])]
        return sum(segment.written - segment.read for segment in segments)

    def prepare(self) -> None:
        """Have a file to write to and one to go on in. Raises OSError."""
        if self._folder is None:
            self._folder = self._own_folder()
        if self._current is None:
            self._current = self._new_segment(self._folder)
        if self._spare is None and _bytes(self._sealed) + self.segment_bytes < self.max_bytes:
            self._spare = self._new_segment(self._folder)

    def ready(self) -> bool:
        """As `prepare`; what keeps it from that is the `problem`."""
        try:
            self.prepare()
        except OSError as error:
            self.problem = f"the spool {self.root} can't be made: {error.strerror}"
            return False
        return True

    def read(self) -> Batch | None:
        """The next rows for the database; None while there are none. `stored` must follow.

        Raises OSError.
        """
        while True:
            sealed = bool(self._sealed)
            segment = self._sealed[0] if sealed else self._current
            if segment is None or (not sealed and segment.read == segment.written):
                break
            if segment.read == segment.written:
                self._sealed.popleft()
                segment.remove()
                continue
            data = os.pread(segment.fd, _READ, segment.read)
            # The rest of a line is still to come, but of a file that is done or of no line at all.
            whole = whole_lines(data) or (len(data) if sealed or len(data) == _READ else 0)
            if not whole:
                break
            rows = ended_rows(data[:whole], sound=not segment.torn)
            return Batch(rows, segment, segment.read + whole)
        rows = list(self._memory)[:_MOST_AT_ONCE]
        return Batch(rows, None, len(rows)) if rows else None

    def stored(self, batch: Batch) -> None:
        """The database has these rows."""
        if batch.segment is not None:
            batch.segment.read = batch.until
            return
        for _ in range(batch.until):
            self._memory.popleft()

    def close(self) -> None:
        """The process ends. What the database has not got stays for the next one."""
        clean = not (self.backlog or self._memory or self._open)
        for segment in (*self._sealed, self._current, self._spare):
            if segment is not None:
                os.close(segment.fd)
        self._sealed.clear()
        self._current = self._spare = None
        if self._folder is not None:
            if clean:
                _remove(self._folder)
            os.close(self._lock)
            self._folder = None

    def _own_folder(self) -> Path:
        # Time first, so that leftovers are read in the order of their making.
        folder = self.root / f"{time.time_ns():020d}-{os.getpid()}"
        folder.mkdir(parents=True, mode=0o700)
        lock = _lock(folder, os.O_CREAT)
        if lock is None:
            raise BlockingIOError(errno.EAGAIN, "another process has taken the folder over")
        self._lock = lock
        return folder

    def _new_segment(self, folder: Path) -> Segment:
        self._number += 1
        path = folder / f"{self._number:08d}"
        flags = os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_APPEND | os.O_CLOEXEC
        return Segment(path, os.open(path, flags, 0o600))


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows as JSON, and where in the spool they end."""

    rows: list[bytes]
    segment: Segment | None
    until: int


@dataclass(frozen=True, slots=True)
class Leftover:
    """The spool of a process that has ended. Blocking."""

    folder: Path
    lock: int

    def rows(self) -> Iterator[list[bytes]]:
        """Every row in it: of what had ended, then of what was under way. Raises OSError."""
        segments = sorted(path for path in self.folder.iterdir() if path.name != _LOCK)
        segments = [path for path in segments if path.stat().st_size]
        for path in segments:
            with path.open("rb") as file:
                rest = b""
                while data := file.read(_READ):
                    data = rest + data
                    whole = whole_lines(data)
                    yield ended_rows(data[:whole])
                    rest = data[whole:] if len(data) - whole <= _READ else b""
        # The last file may not have got all that was carried over into it.
        last = b"\n".join(path.read_bytes() for path in segments[-2:])
        yield open_rows(last)

    def remove(self) -> None:
        """All of it is in the database."""
        _remove(self.folder)
        os.close(self.lock)

    def release(self) -> None:
        """Leave it for later."""
        os.close(self.lock)


def leftovers(root: Path) -> Iterator[Leftover]:
    """What ended processes have left below `root`, the oldest first. Raises OSError."""
    if not root.is_dir():
        return
    for folder in sorted(root.iterdir()):
        lock = _lock(folder)
        if lock is not None:
            yield Leftover(folder, lock)


def _lock(folder: Path, flags: int = 0) -> int | None:
    """The folder's lock; None while another process holds it, or where there is none."""
    try:
        lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CLOEXEC | flags, 0o600)
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return None
    return lock


def _remove(folder: Path) -> None:
    with contextlib.suppress(OSError):  # what is left is found empty the next time
        for path in folder.iterdir():
            if path.name != _LOCK:
                path.unlink()
        (folder / _LOCK).unlink()
        folder.rmdir()


def _bytes(segments: deque[Segment]) -> int:
    return sum(segment.written for segment in list(segments))

"""Sinks of JSON lines: standard output, and a file that is rotated by size."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from sluicegate.sinks.blocking import in_thread
from sluicegate.sinks.record import LogRecord, encode
from sluicegate.sinks.sink import Item, SinkUnavailable

_OWN = 0o600  # records are not for every user of a machine


def json_lines(batch: Sequence[Item]) -> bytes:
    """One JSON object a line."""
    return b"".join(encode(each) + b"\n" for each in batch if isinstance(each, LogRecord))


class LinesSink:
    """Writes lines with `write`, which may block and raises OSError. One batch at a time."""

    of_traces = False

    def __init__(self, name: str, write: Callable[[bytes], None]) -> None:
        self.name = name
        self._write = write
        self._writing = False

    async def send(self, batch: Sequence[Item]) -> None:
        """Write a batch. Raises SinkUnavailable."""
        if self._writing:
            raise SinkUnavailable("an earlier write still hangs")
        self._writing = True
        lines = json_lines(batch)
        try:
            await in_thread(lambda: self._whole(lines))
        except OSError as error:
            raise SinkUnavailable(f"it can't be written: {error.strerror}") from error

    async def close(self) -> None:
        """Nothing is kept open."""

    def _whole(self, lines: bytes) -> None:
        try:
            self._write(lines)
        finally:
            self._writing = False


def stdout() -> LinesSink:
    """Standard output."""

    def write(lines: bytes) -> None:
        sys.stdout.buffer.write(lines)
        sys.stdout.buffer.flush()

    return LinesSink("stdout", write)


def file(path: Path, max_bytes: int, backups: int) -> LinesSink:
    """A file; when it would be longer than `max_bytes`, it becomes `<path>.1`, and so on."""
    return LinesSink("file", lambda lines: _append(path, lines, max_bytes, backups))


def _append(path: Path, lines: bytes, max_bytes: int, backups: int) -> None:
    """Raises OSError. It is opened each time, so that another program may rotate it as well."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() and path.stat().st_size > 0 and path.stat().st_size + len(lines) > max_bytes:
        _rotate(path, backups)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, _OWN), "ab") as opened:
        begin = opened.tell()
        try:
            opened.write(lines)
            opened.flush()
        except OSError:
            opened.truncate(begin)  # the batch comes again, and a half of it would be double
            raise


def _rotate(path: Path, backups: int) -> None:
    if backups == 0:
        path.unlink()
        return
    for number in range(backups - 1, 0, -1):
        older = path.with_name(f"{path.name}.{number}")
        if older.exists():
            older.replace(path.with_name(f"{path.name}.{number + 1}"))
    path.replace(path.with_name(f"{path.name}.1"))

"""One JSON object a line on standard error.

Never a key, a credential, or the words of a request.
"""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import sys
import threading
from collections.abc import Generator
from datetime import UTC, datetime

import msgspec

LOGGER = logging.getLogger("sluicegate")
_MOST_WAITING = 10_000  # lines
_LAST_LINES = 1.0  # seconds for those that wait when the process ends


class _JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "message": record.getMessage(),
        }
        line.update(getattr(record, "fields", {}))
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return msgspec.json.encode(line).decode()


class _Lines(logging.Handler):
    """Writes lines in a thread of its own.

    Whoever reads them may stop (a pager, a terminal that is held, a log driver whose disk is full):
    then they wait, then they are dropped, and the event loop goes on serving.
    """

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._descriptor = descriptor
        self._waiting: queue.Queue[str | threading.Event] = queue.Queue(_MOST_WAITING)
        self._dropped = self._told = 0  # lines
        threading.Thread(target=self._write_on, name="log", daemon=True).start()

    def emit(self, record: logging.LogRecord) -> None:
        """See logging.Handler."""
        try:
            self._waiting.put_nowait(self.format(record))
        except queue.Full:
            self._dropped += 1
        except Exception:  # noqa: BLE001 -- as logging's own: what can't be told harms nobody
            self.handleError(record)

    def flush(self) -> None:
        """Wait until all is written, but not for long."""
        written = threading.Event()
        with contextlib.suppress(queue.Full):
            self._waiting.put(written, timeout=_LAST_LINES)
            written.wait(_LAST_LINES)

    def _write_on(self) -> None:
        while True:
            line = self._waiting.get()
            if isinstance(line, str):
                self._write(line)
            if self._told < self._dropped and self._waiting.empty():
                self._tell_dropped(self._dropped)
            if isinstance(line, threading.Event):
                line.set()

    def _write(self, line: str) -> None:
        # Not by sys.stderr: the interpreter can't end while a write holds its lock.
        rest = line.encode() + b"\n"
        with contextlib.suppress(OSError):  # nobody will ever read it
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]

    def _tell_dropped(self, lines: int) -> None:
        fields = {"lines": lines - self._told}
        self._told = lines
        told = {"levelname": "WARNING", "msg": "lines of the log were dropped", "fields": fields}
        self._write(self.format(logging.makeLogRecord(told)))


def configure(level: str) -> None:
    """Send the log to standard error. `level` is one of debug, info, warning, error."""
    stream = sys.__stderr__
    handler = logging.NullHandler() if stream is None else _Lines(stream.fileno())
    handler.setFormatter(_JsonFormatter())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)


@contextlib.contextmanager
def written_first() -> Generator[None]:
    """What the block logs is written before whatever comes after it, but see _Lines.flush."""
    try:
        yield
    finally:
        for handler in logging.getLogger().handlers:
            handler.flush()


@contextlib.contextmanager
def silenced() -> Generator[None]:
    """Nothing is logged for the length of the block."""
    before = LOGGER.level
    LOGGER.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        LOGGER.setLevel(before)


def log(level: int, message: str, fields: dict[str, object] | None = None) -> None:
    """One line. `fields` become keys of the line's object."""
    LOGGER.log(level, message, extra={"fields": fields or {}})

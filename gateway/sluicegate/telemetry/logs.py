"""One JSON object a line on standard error.

Never a key, a credential, or the words of a request.
"""

from __future__ import annotations

import contextlib
import logging
import sys
from collections.abc import Generator
from datetime import UTC, datetime

import msgspec

LOGGER = logging.getLogger("sluicegate")


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


def configure(level: str) -> None:
    """Send the log to standard error. `level` is one of debug, info, warning, error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JsonFormatter())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)


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

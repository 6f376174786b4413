"""Files that hold secrets: for their owner only (0600, in folders with 0700), replaced at once.

Blocking I/O, made to run in a thread.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import secrets
import stat
from pathlib import Path

from sluicegate.telemetry.logs import log


class NotAFile(Exception):
    """What bears the file's name is something else: a folder, a link, a pipe."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"{path} is not a file")


def read_private(path: Path, most: int) -> bytes | None:
    """At most that many octets of a file; None: there is no such file.

    One that others could read is closed to them, which the log tells. Raises NotAFile, OSError.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise NotAFile(path)
        if status.st_mode & 0o177:
            os.fchmod(descriptor, 0o600)
            log(
                logging.WARNING,
                f"others could read {path}: its mode was {stat.S_IMODE(status.st_mode):04o} "
                "and is 0600 now; consider a new key",
            )
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            return file.read(most)
    finally:
        os.close(descriptor)


def replace_private(path: Path, data: bytes) -> None:
    """Replace a file at once, and for good, or not at all. Raises OSError."""
    unfinished = path.with_name(_unfinished(path) + secrets.token_hex(8))
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
    descriptor = os.open(unfinished, flags, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(descriptor, 0o600)  # whatever the umask says
            file.write(data)
            file.flush()
            os.fsync(descriptor)
        unfinished.replace(path)
    except OSError:
        unfinished.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def clear_unfinished(path: Path) -> None:
    """Delete what a process that was killed has left of its writes of a file. Raises OSError.

    For when nobody writes that file.
    """
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        for entry in path.parent.iterdir():
            if entry.name.startswith(_unfinished(path)):
                entry.unlink(missing_ok=True)


def _unfinished(path: Path) -> str:
    """How the names of a file's unfinished versions begin."""
    return f".unfinished-{hashlib.sha256(path.name.encode()).hexdigest()[:8]}-"


def make_private_folder(path: Path) -> None:
    """Make a folder and those above it, each for its owner only; existing ones stay as they are.

    Raises OSError.
    """
    if path.is_dir():
        return
    missing = [path]
    while not missing[-1].parent.exists():
        missing.append(missing[-1].parent)
    for folder in reversed(missing):
        folder.mkdir(mode=0o700, exist_ok=True)

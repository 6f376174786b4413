"""What is in a manifest folder: one signature per file. Blocking I/O, made to run in a thread.

The folder may be, or hold, symbolic links, as a mounted ConfigMap does: links are followed, and a
file or folder that is reached by two ways counts once.
"""

from __future__ import annotations

import codecs
import errno
import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from operator import attrgetter
from pathlib import Path
from typing import NamedTuple

MAX_FILE_BYTES = 16 * 1024 * 1024
MAX_FILES = 100_000
MANIFEST_SUFFIXES = (".yaml", ".yml")
_MAX_PARTS = 1000  # of a path with its links; far above what the system itself follows


class Signature(NamedTuple):
    """Two equal signatures of one path mean that its content has not changed."""

    device: int
    inode: int
    modified_ns: int
    changed_ns: int
    size: int

    @classmethod
    def of(cls, status: os.stat_result) -> Signature:
        """The signature in a file's status."""
        return cls(
            status.st_dev, status.st_ino, status.st_mtime_ns, status.st_ctime_ns, status.st_size
        )


class Fault(NamedTuple):
    """Why a file or folder can't be read.

    `gone`: what it held is no more (as with a link to nothing). `garbled`: it was read, and is no
    text. Else what it holds is unknown, so what was read last still holds.
    """

    message: str
    gone: bool
    garbled: bool = False


class Folder(NamedTuple):
    """The root or a folder below it: its absolute path, and which one it was that stood there."""

    path: str
    device: int
    inode: int


@dataclass(frozen=True, slots=True)
class Scan:
    """One look at a folder. Paths begin with the folder as it was named."""

    found: bool  # False: there is no such folder, or it can't be read, and `faults` says why
    files: Mapping[str, Signature]
    folders: frozenset[Folder]
    faults: Mapping[str, Fault]
    links: frozenset[str]  # paths elsewhere whose change changes what the folder holds
    plain: bool = False  # no links in the folder and no faults: each file stands for itself

    def keeps(self, path: str) -> bool:
        """Whether what was read from `path` before still holds, though the scan has not seen it."""
        if not self.found:
            return True
        while path:
            fault = self.faults.get(path)
            if fault is not None:
                return not fault.gone
            path = path.rpartition("/")[0]
        return False


class _Walk:
    """The state of one scan."""

    def __init__(self, directory: str) -> None:
        self.directory = directory
        self.absolute = str(Path(directory).absolute())
        self.real = os.path.realpath(directory)
        self.files: dict[str, Signature] = {}
        self.folders: set[Folder] = set()
        self.faults: dict[str, Fault] = {}
        self.links = set(links_on_the_way(directory))
        self.seen: set[tuple[int, int]] = set()
        self.plain = True

    def first_visit(self, status: os.stat_result) -> bool:
        """Whether this inode is new to the scan. Also what ends a loop of links."""
        if status.st_ino == 0:  # a file system without inode numbers
            return True
        identity = (status.st_dev, status.st_ino)
        if identity in self.seen:
            return False
        self.seen.add(identity)
        return True

    def scan(self) -> Scan:
        """What has been seen."""
        return Scan(
            found=True,
            files=self.files,
            folders=frozenset(self.folders),
            faults=self.faults,
            links=frozenset(self.links),
            plain=self.plain and not self.faults,
        )

    def failed(self, message: str) -> Scan:
        """The folder as a whole can't be looked at."""
        return Scan(
            found=False,
            files={},
            folders=frozenset(),
            faults={self.directory: Fault(message, gone=False)},
            links=frozenset(self.links),
        )

    def folder(self, path: str, status: os.stat_result) -> Iterator[tuple[str, os.stat_result]]:
        """Look at one folder; yields the folders below it."""
        absolute = self.absolute + path[len(self.directory) :]
        self.folders.add(Folder(absolute, status.st_dev, status.st_ino))
        try:
            with os.scandir(path) as listing:
                entries = sorted(listing, key=attrgetter("name"))
        except FileNotFoundError:
            return  # deleted since it was listed
        except OSError as error:
            self.faults[path] = Fault(f"the folder can't be listed: {_reason(error)}", gone=False)
            return
        for entry in entries:
            # Hidden files are nobody's manifests: editors' swap files, .git, a ConfigMap's ..data.
            name = entry.name
            if name.startswith("."):
                continue
            if name.endswith(MANIFEST_SUFFIXES) and entry.is_file(follow_symlinks=False):
                try:
                    self.file(entry.path, entry.stat(follow_symlinks=False))
                except OSError as error:
                    self.stat_failed(entry, error)
            else:
                yield from self.other(entry)

    def other(self, entry: os.DirEntry[str]) -> Iterator[tuple[str, os.stat_result]]:
        """Anything but a plain file with a manifest's name; yields it where it is a folder."""
        wanted = entry.name.endswith(MANIFEST_SUFFIXES)
        try:
            if entry.is_symlink():
                self.plain = False
                self.note_link(entry.path)
            elif not wanted and not entry.is_dir():
                return
            status = entry.stat()
        except OSError as error:
            if wanted:
                self.stat_failed(entry, error)
            return
        if stat.S_ISDIR(status.st_mode):
            if self.first_visit(status):
                yield entry.path, status
        elif wanted:
            self.file(entry.path, status)

    def file(self, path: str, status: os.stat_result) -> None:
        if status.st_nlink != 1:
            self.plain = False
        if not path.isprintable():
            printable = path.encode("utf-8", "backslashreplace").decode()
            self.faults[ascii(printable)] = Fault("the file's name is not printable", gone=True)
        elif not stat.S_ISREG(status.st_mode):
            self.faults[path] = Fault("not a regular file", gone=True)
        elif not self.first_visit(status):
            pass
        elif status.st_size > MAX_FILE_BYTES:
            self.faults[path] = Fault(_TOO_LARGE, gone=False)
        else:
            self.files[path] = Signature.of(status)

    def stat_failed(self, entry: os.DirEntry[str], error: OSError) -> None:
        if error.errno == errno.ENOENT:
            if Path(entry.path).is_symlink():
                self.faults[entry.path] = Fault("a link to a file that is not there", gone=True)
        elif error.errno == errno.ELOOP:
            self.faults[entry.path] = Fault("a link that leads back to itself", gone=True)
        else:
            self.faults[entry.path] = Fault(f"can't be read: {_reason(error)}", gone=False)

    def note_link(self, path: str) -> None:
        target = Path(path).readlink()
        if target.is_absolute() or ".." in target.parts:  # it may lead out of the folder
            real = os.path.realpath(path)
            if os.path.commonpath((real, self.real)) != self.real:
                self.links.add(real)
        elif not target.name.endswith(
            MANIFEST_SUFFIXES
        ):  # a change there does not look like a manifest's
            parent = self.absolute + path[len(self.directory) :].rpartition("/")[0]
            self.links.add(f"{parent}/{target}")


_TOO_LARGE = f"larger than {MAX_FILE_BYTES // 1024 // 1024} MiB"


def scan(directory: str) -> Scan:
    """Look at every manifest below `directory`: `*.yaml` and `*.yml`, but no hidden files."""
    walk = _Walk(directory)
    try:
        status = Path(directory).stat()
    except OSError as error:
        return walk.failed(f"the folder can't be read: {_reason(error)}")
    if not stat.S_ISDIR(status.st_mode):
        return walk.failed("not a folder")
    walk.first_visit(status)
    waiting = [(directory, status)]
    while waiting:
        waiting.extend(walk.folder(*waiting.pop()))
        if len(walk.files) > MAX_FILES:
            return walk.failed(f"more than {MAX_FILES:,} manifests")
    unlisted = walk.faults.get(directory)
    return walk.scan() if unlisted is None else walk.failed(unlisted.message)


def relook(directory: str, last: Scan, paths: Iterable[str]) -> Scan | None:
    """What `last` is now, where nothing but `paths` (absolute) has changed.

    None: only a whole scan can tell, because more than plain files is concerned.
    """
    if not last.plain:
        return None
    start = len(str(Path(directory).absolute()))
    folders = {folder.path for folder in last.folders}
    files = dict(last.files)
    for path in paths:
        parent, _, name = path.rpartition("/")
        if path in folders or parent not in folders:
            return None
        if name.startswith("."):
            continue
        try:
            status = Path(path).lstat()
        except FileNotFoundError:
            files.pop(directory + path[start:], None)
            continue
        except OSError:
            return None
        if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1:
            return None
        if name.endswith(MANIFEST_SUFFIXES):
            if status.st_size > MAX_FILE_BYTES or not path.isprintable():
                return None
            files[directory + path[start:]] = Signature.of(status)
    return replace(last, files=files)


class Content(NamedTuple):
    """A file as it was read. `signature` None: it may have changed meanwhile, so read it again."""

    signature: Signature | None
    text: str | Fault


# A file system's clock ticks in steps of some milliseconds: two writes within one step leave the
# same times. So a file that has just been written is not known by its signature yet.
_TICK_NS = 50_000_000


def read(path: str, now_ns: int) -> Content | None:
    """The text of a manifest; None: the file is gone. `now_ns` is the time in Unix nanoseconds.

    A Fault without a signature is of the file's surroundings: it has not been opened.
    """
    try:
        # Not to be held by a pipe that took the file's place.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    except OSError as error:
        return Content(None, Fault(f"can't be read: {_reason(error)}", gone=False))
    try:
        before = os.fstat(descriptor)
        if not stat.S_ISREG(before.st_mode):
            return Content(None, Fault("not a regular file", gone=True))
        data = _read_all(descriptor)
        after = os.fstat(descriptor)
    except OSError as error:
        return Content(None, Fault(f"can't be read: {_reason(error)}", gone=False))
    finally:
        os.close(descriptor)
    signature = Signature.of(before)
    fresh = 0 <= now_ns - signature.changed_ns < _TICK_NS
    stable = not fresh and signature == Signature.of(after)
    return Content(signature if stable else None, _decode(data))


def _decode(data: bytes) -> str | Fault:
    if len(data) > MAX_FILE_BYTES:
        return Fault(_TOO_LARGE, gone=False, garbled=True)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        utf16 = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        remedy = "; it is UTF-16, as of Windows PowerShell: save it as UTF-8" if utf16 else ""
        return Fault(f"line {line} is not UTF-8 text{remedy}", gone=False, garbled=True)


def _read_all(descriptor: int) -> bytes:
    chunks: list[bytes] = []
    left = MAX_FILE_BYTES + 1
    while left > 0 and (chunk := os.read(descriptor, min(left, 1 << 20))):
        chunks.append(chunk)
        left -= len(chunk)
    return b"".join(chunks)


def links_on_the_way(directory: str) -> Iterator[str]:
    """Every link among the parts of a path, and of the paths those lead to."""
    path = Path("/")
    waiting = list(reversed(Path(directory).absolute().parts[1:]))
    for _ in range(_MAX_PARTS):
        if not waiting:
            return
        part = waiting.pop()
        path = path.parent if part == ".." else path / part
        try:
            target = path.readlink()
        except OSError:  # not a link, or not there
            continue
        yield str(path)
        path = Path("/") if target.is_absolute() else path.parent
        waiting.extend(part for part in reversed(target.parts) if part != "/")


def _reason(error: OSError) -> str:
    return error.strerror or type(error).__name__

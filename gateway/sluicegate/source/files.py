"""What is known of each manifest file, and how a file's new content becomes the inventory's.

No I/O: what was scanned and read is passed in.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from sluicegate.resources import Inventory, LoadedFile, load_steps, unreadable_file
from sluicegate.source.scan import Content, Fault, Scan, Signature


@dataclass(slots=True)
class _Known:
    """What is known of one file."""

    signature: Signature | None = None  # of what was read last
    text: int | None = None  # hash of the text that was read last
    fault: Fault | None = None  # why it could not be read
    loaded: LoadedFile | None = None  # the last good content; it is what serves


# How many files are looked at between two chances for the event loop to serve requests.
_STEP = 50


class Outdated(NamedTuple):
    """How what is known differs from what a scan saw."""

    read: tuple[str, ...]  # paths to read: new, changed, or not certain
    gone: tuple[str, ...]
    moving: bool  # something has changed, so it may be changing still


class FileSet:
    """The files of a folder. What they hold is in `inventory`."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.inventory = Inventory()
        self._environ = environ
        self._known: dict[str, _Known] = {}
        self._uncertain: dict[str, _Known] = {}  # to be read again, be the signature the same
        self._flawed: dict[str, _Known] = {}  # that can't be read
        self._faults: Mapping[str, Fault] = {}

    def __len__(self) -> int:
        return len(self._known)

    @property
    def uncertain(self) -> list[str]:
        """The files that may have changed while they were read."""
        return [path for path, known in self._uncertain.items() if known.fault is None]

    @property
    def unread(self) -> bool:
        """Whether there are files that should be readable and are not."""
        return any(known.fault is not None for known in self._uncertain.values())

    def outdated(self, seen: Scan) -> Generator[None, None, Outdated]:
        """What there is to do after a scan. Yields between some hundred files."""
        to_read = list(self._uncertain.keys() & seen.files.keys())
        moving = seen.faults != self._faults
        new = 0
        for count, (path, signature) in enumerate(seen.files.items(), 1):
            known = self._known.get(path)
            if known is None or known.signature != signature:
                moving = True
                new += known is None
                if path not in self._uncertain:
                    to_read.append(path)
            if count % _STEP == 0:
                yield
        gone: list[str] = []
        if len(self._known) > len(seen.files) - new:
            for count, path in enumerate(self._known, 1):
                if path not in seen.files and not seen.keeps(path):
                    gone.append(path)
                if count % _STEP == 0:
                    yield
        return Outdated(tuple(to_read), tuple(gone), moving or bool(gone))

    def note(self, seen: Scan, gone: Sequence[str]) -> Generator[None, None, int]:
        """Take a scan's faults, and forget the files that are gone. Answers how many these were."""
        self._faults = seen.faults
        forgotten = 0
        for path in gone:
            forgotten += yield from self._forget(path)
        return forgotten

    def take_in(
        self, seen: Scan, contents: Sequence[tuple[str, Content | None]]
    ) -> Generator[None, None, int]:
        """Let the inventory hold what was read; None: the file was gone when it was to be read.

        Yields after each document. Answers how many files had an effect.
        """
        changed = 0
        for path, content in contents:
            if content is None:
                changed += yield from self._forget(path)
            else:
                changed += yield from self._load(path, seen.files[path], content)
            yield
        return changed

    def problems(self) -> Iterator[str]:
        """What is wrong with files and folders, and with objects before their spec is judged."""
        for path, fault in self._faults.items():
            yield f"{path}: {fault.message}"
        for path, known in self._flawed.items():
            if known.fault is not None:
                yield f"{path}: {known.fault.message}"
        for diagnostic in self.inventory.diagnostics():
            if diagnostic.severity == "error":
                yield str(diagnostic)

    def _load(
        self, path: str, signature: Signature, content: Content
    ) -> Generator[None, None, bool]:
        known = self._known.setdefault(path, _Known())
        changed = False
        if isinstance(content.text, Fault) and content.text.garbled:
            # As with a document that is no YAML: what grants access fails closed.
            known.loaded = unreadable_file(path, content.text.message, known.loaded)
            known.fault = known.text = None
            yield from self.inventory.replace_steps(path, known.loaded)
            changed = True
        elif isinstance(content.text, Fault):
            changed = content.text != known.fault
            known.fault, known.text = content.text, None
        elif known.text != (text := hash(content.text)):
            known.fault = None
            yield from self._parse(path, content.text, known)
            known.text = text
            changed = True
        known.signature = signature
        _keep(self._uncertain, path, known, belongs=content.signature != signature)
        _keep(self._flawed, path, known, belongs=known.fault is not None)
        return changed

    def _parse(self, path: str, text: str, known: _Known) -> Generator[None, None, None]:
        loaded = yield from load_steps(path, text, known.loaded, self._environ)
        yield from self.inventory.replace_steps(path, loaded)
        known.loaded = loaded

    def _forget(self, path: str) -> Generator[None, None, bool]:
        known = self._known.pop(path, None)
        self._uncertain.pop(path, None)
        self._flawed.pop(path, None)
        if known is None:
            return False
        yield from self.inventory.replace_steps(path, None)
        return True


def _keep(among: dict[str, _Known], path: str, known: _Known, *, belongs: bool) -> None:
    if belongs:
        among[path] = known
    else:
        among.pop(path, None)

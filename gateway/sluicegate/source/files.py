"""What is known of each manifest file, and how a file's new content becomes the inventory's.

No I/O: what was scanned and read is passed in.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from sluicegate.resources import Diagnostic, Inventory, LoadedFile, ResourceRef, load_steps
from sluicegate.source.generated import wanted_key
from sluicegate.source.keystore import WantedKey
from sluicegate.source.scan import Content, Fault, Scan, Signature


@dataclass(slots=True)
class _Known:
    """What is known of one file."""

    signature: Signature | None = None  # of what was read last
    certain: bool = False  # False: to be read again, though the signature be the same
    text: int | None = None  # hash of the text that was read last
    fault: Fault | None = None  # why it could not be read
    broken: tuple[Diagnostic, ...] = ()  # why its text could not be parsed
    loaded: LoadedFile | None = None  # the last good content; it is what serves
    wanted: Mapping[ResourceRef, WantedKey] = field(default_factory=dict[ResourceRef, WantedKey])


class Outdated(NamedTuple):
    """How what is known differs from what a scan saw."""

    read: tuple[str, ...]  # paths to read: new, changed, or not certain
    gone: tuple[str, ...]
    moving: bool  # something has changed, so it may be changing still


class FileSet:
    """The files of a folder. What they hold is in `inventory`."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.inventory = Inventory()
        self.wanted: dict[ResourceRef, WantedKey] = {}  # keys to be minted, by their ApiKey
        self._environ = environ
        self._known: dict[str, _Known] = {}
        self._faults: Mapping[str, Fault] = {}

    def __len__(self) -> int:
        return len(self._known)

    @property
    def certain(self) -> bool:
        """False where a file may have changed while it was read."""
        return all(known.certain or known.fault for known in self._known.values())

    def outdated(self, seen: Scan) -> Outdated:
        """What there is to do after a scan."""
        to_read: list[str] = []
        moving = seen.faults != self._faults
        for path, signature in seen.files.items():
            known = self._known.get(path)
            if known is None or known.signature != signature:
                moving = True
                to_read.append(path)
            elif not known.certain:
                to_read.append(path)
        gone: list[str] = []
        if len(seen.files) != len(self._known) or to_read:
            gone = [path for path in self._known if path not in seen.files and not seen.keeps(path)]
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
        for path, known in self._known.items():
            if known.fault is not None:
                yield f"{path}: {known.fault.message}"
            for diagnostic in known.broken:
                yield str(diagnostic)
        for diagnostic in self.inventory.diagnostics():
            if diagnostic.severity == "error":
                yield str(diagnostic)

    def _load(
        self, path: str, signature: Signature, content: Content
    ) -> Generator[None, None, bool]:
        known = self._known.setdefault(path, _Known())
        changed = False
        if isinstance(content.text, Fault):
            changed = content.text != known.fault
            known.fault, known.text = content.text, None
        elif known.text != (text := hash(content.text)):
            known.fault, known.broken = None, ()
            yield from self._parse(path, content.text, known)
            known.text = text
            changed = True
        known.signature, known.certain = signature, content.signature == signature
        return changed

    def _parse(self, path: str, text: str, known: _Known) -> Generator[None, None, None]:
        good = known.loaded
        loaded = yield from load_steps(path, text, good, self._environ)
        if loaded.unreadable and good is not None and not good.unreadable:
            # Nobody can tell which object the broken text was about, so all of the file's stay.
            known.broken = loaded.diagnostics
            return
        yield from self.inventory.replace_steps(path, loaded)
        self._want(known, loaded)
        known.loaded = loaded

    def _forget(self, path: str) -> Generator[None, None, bool]:
        known = self._known.pop(path, None)
        if known is None:
            return False
        yield from self.inventory.replace_steps(path, None)
        for ref in known.wanted:
            self.wanted.pop(ref, None)
        return True

    def _want(self, known: _Known, loaded: LoadedFile) -> None:
        wanted: dict[ResourceRef, WantedKey] = {}
        for ref, resource in loaded.resources.items():
            before = known.loaded.resources.get(ref) if known.loaded is not None else None
            same = before is not None and before.manifest == resource.manifest
            one = known.wanted.get(ref) if same else wanted_key(resource)
            if one is not None:
                wanted[ref] = one
        for ref in known.wanted:
            if ref not in wanted:
                self.wanted.pop(ref, None)
        self.wanted.update(wanted)
        known.wanted = wanted

"""Manifests that a command is given by path: every file read once, whatever leads to it."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from sluicegate.resources import Inventory, LoadedFile, load_text, unreadable_file
from sluicegate.source.scan import Fault, read, scan


def load(paths: Iterable[str]) -> dict[str, LoadedFile]:
    """Every manifest below the paths, by its path; what can't be read is a diagnostic of it."""
    return dict(_load(paths))


def inventory_of(files: dict[str, LoadedFile]) -> Inventory:
    """All objects of some files together."""
    inventory = Inventory()
    for path, loaded in files.items():
        inventory.replace(path, loaded)
    return inventory


def _load(paths: Iterable[str]) -> Iterator[tuple[str, LoadedFile]]:
    loaded: set[str] = set()  # two of the paths may lead to one file
    for path in paths:
        names = [path]
        if path and Path(path).is_dir():  # Path("") would be this folder, and its scan all of /
            seen = scan(path.rstrip("/") or "/")
            names = sorted(seen.files)
            for name, fault in seen.faults.items():
                yield name, unreadable_file(name, fault.message)
        for name in names:
            real = os.path.realpath(name)
            if real not in loaded:
                loaded.add(real)
                yield name, _load_file(name)


def _load_file(path: str) -> LoadedFile:
    content = read(path, time.time_ns())
    if content is None:
        return unreadable_file(path, "there is no such file or folder")
    if isinstance(content.text, Fault):
        return unreadable_file(path, content.text.message)
    return load_text(path, content.text, environ=os.environ)

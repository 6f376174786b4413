"""Which of xdist's workers runs which tests, and when."""

from __future__ import annotations

import zlib
from pathlib import PurePosixPath

import pytest
from xdist.scheduler import (  # pyright: ignore[reportMissingTypeStubs] -- it has types, no py.typed
    LoadScopeScheduling,
)

# Their tests wait for servers and programs more than they compute: begun first, so that no worker
# is left with them when there is nothing else to do.
_BEGUN_FIRST = ("cluster", "image")


def order(items: list[pytest.Item]) -> None:
    """Put the folders that are begun first before the others, which stay as they are."""
    items.sort(key=lambda item: _rank(item.nodeid))


def _rank(nodeid: str) -> int:
    folder = PurePosixPath(nodeid).parts[1]
    return _BEGUN_FIRST.index(folder) if folder in _BEGUN_FIRST else len(_BEGUN_FIRST)


class WholeFiles(LoadScopeScheduling):
    """A worker takes a file at a time, so what a module's tests share is made once.

    Of tests/cluster it takes a half: at most two workers start a control plane, whatever the number
    of cores. (xdist's own groups, `--dist loadgroup`, do nothing with pytest 9.2:
    github.com/pytest-dev/pytest-xdist/issues/1386.)
    """

    def _split_scope(self, nodeid: str) -> str:
        file = PurePosixPath(nodeid.partition("::")[0])
        if file.parts[1] == "cluster":
            return f"control-plane-{zlib.crc32(file.name.encode()) % 2}"
        return str(file)

"""What differs between two Configs, where most entries are the same objects."""

from __future__ import annotations

import operator
from collections.abc import Generator
from itertools import chain, compress, islice

from sluicegate.config.entries import Config

_COMPARED = 5000  # entries between two chances for the event loop: 0.1 ms


def changed_steps(before: Config, after: Config) -> Generator[None, None, set[str]]:
    """The ids of entries that were added, removed, or are other objects. Yields in between.

    An entry that is at its place, as all are that were not changed or moved, costs 20 ns.
    """
    known, changed = before.entries, set[str]()
    count = min(len(known), len(after.entries))
    others = map(operator.is_not, after.entries.values(), known.values())
    moved = chain(compress(after.entries, others), islice(after.entries, count, None))
    while batch := list(islice(moved, _COMPARED)):
        changed.update(id_ for id_ in batch if known.get(id_) is not after.entries[id_])
        yield
    if changed or len(known) != len(after.entries):
        changed.update(known.keys() - after.entries.keys())
    return changed

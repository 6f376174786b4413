"""What the Secrets of a bundle hold at present, as the operator knows it or reads it back."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from typing import NamedTuple

from msgspec import Struct

from sluicegate.bundle.index import Index, Refused, read_index
from sluicegate.bundle.layout import SHARDS
from sluicegate.bundle.reading import EMPTY, Bundle, assemble_steps, salvage_steps
from sluicegate.config import Config

_NO_NAMES: tuple[frozenset[str], ...] = (frozenset[str](),) * SHARDS


class Standing(Struct, frozen=True, eq=False, gc=False):
    """What stands in the Secrets.

    `bundle` is None where they hold no whole one; `problem` says why, and is empty where nothing is
    wrong. `config` is all that could be read, `names` the entries of each shard's Secret.
    """

    index: Index | None
    bundle: Bundle | None
    config: Config
    names: tuple[frozenset[str], ...]
    problem: str

    @staticmethod
    def nothing() -> Standing:
        """Before anything has been published."""
        return Standing(None, None, EMPTY, _NO_NAMES, "")

    def __repr__(self) -> str:
        return f"Standing({self.bundle!r}, problem={self.problem!r})"


class Stamp(NamedTuple):
    """What tells a publication from the one before. `published_at` is in Unix seconds."""

    epoch: str
    sequence: int
    published_at: float


def next_stamp(standing: Standing, *, new_epoch: str, highest_seen: int, now: float) -> Stamp:
    """The stamp of the next publication.

    `highest_seen` is the highest sequence that any gateway has told of, 0 without any: a gateway
    ignores a lower one. `new_epoch` is taken where no index stands.
    """
    index = standing.index
    epoch, sequence = (new_epoch, 0) if index is None else (index.epoch, index.sequence)
    return Stamp(epoch, max(sequence, highest_seen) + 1, now)


def standing_steps(
    index: Mapping[str, bytes] | None, shards: Sequence[Mapping[str, bytes]]
) -> Generator[None, None, Standing]:
    """Read back what was published; None: there is no index Secret.

    What is damaged is left out and told. Raises Refused for an unknown schemaVersion only: a newer
    operator has been here.
    """
    names = tuple(frozenset(data) for data in shards)
    if index is None:
        return Standing(None, None, EMPTY, names, "")
    try:
        read = read_index(index)
    except Refused as refused:
        if refused.reason == "UnknownSchemaVersion":
            raise
        return Standing(None, None, EMPTY, names, str(refused))
    contents = dict(index)
    for data in shards:
        contents.update(data)
    try:
        bundle = yield from assemble_steps(read, contents, None)
    except Refused as refused:
        config = yield from salvage_steps(read, contents)
        return Standing(read, None, config, names, str(refused))
    return Standing(read, bundle, bundle.config, names, "")

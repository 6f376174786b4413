"""From an index and the shards that it names to a Config, at the cost of what has changed."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Generator, Mapping

from msgspec import Struct

from sluicegate.bundle.index import Index, Refused, Shard, index_data
from sluicegate.bundle.layout import shard_of
from sluicegate.bundle.shards import Changes, Edition, changes_steps, unpack_steps
from sluicegate.config import Config

EMPTY = Config({}, {})
EMPTY_REVISION = "0" * 12


class Bundle(Struct, frozen=True, eq=False, gc=False):
    """A whole bundle.

    By shard, the ids of its entries and its content as stored; what has changed since those were
    written, and as it is stored; and the Config that all of it makes.
    """

    index: Index
    config: Config
    members: tuple[tuple[str, ...], ...]
    packed: tuple[bytes, ...]
    changes: Changes
    packed_changes: bytes

    def data(self) -> dict[str, bytes]:
        """The bundle in one piece, as the data of an index Secret that has all shards inside."""
        return index_data(self.index, self.shards() | self.beside())

    def shards(self) -> dict[str, bytes]:
        """The stored contents of the shards by the digests that name them."""
        return {
            shard.digest: packed
            for shard, packed in zip(self.index.shards, self.packed, strict=True)
            if shard is not None
        }

    def beside(self) -> dict[str, bytes]:
        """What has to be in the index Secret beside the index."""
        changes = self.index.changes
        found = {} if changes is None else {changes.digest: self.packed_changes}
        return found | (self.shards() if self.index.inline else {})

    def __repr__(self) -> str:
        return f"Bundle(sequence={self.index.sequence}, {self.config!r})"


def missing(index: Index, data: Collection[str], held: Bundle | None) -> tuple[int, ...]:
    """The shards to get: those whose content is neither held nor one of `data`'s entries."""
    return tuple(
        number
        for number, shard in enumerate(index.shards)
        if shard is not None
        and (held is None or held.index.shards[number] != shard)
        and shard.digest not in data
    )


def assemble_steps(
    index: Index, contents: Mapping[str, bytes], held: Bundle | None
) -> Generator[None, None, Bundle]:
    """The bundle that `index` names, of `contents` by their digests and of what is held.

    Yields where the event loop may run. Raises Refused, with the reason Torn where a content is not
    there: then this index is not the newest, or not yet.
    """
    changes: Changes = {}
    packed_changes = b""
    if index.changes is not None:
        packed_changes = _stored(contents, index.changes, "the index")
        content = yield from unpack_steps(index.changes, packed_changes)
        changes = yield from changes_steps(content)
    assembly = _Assembly(held, changes)
    for number, shard in enumerate(index.shards):
        yield from assembly.shard_steps(number, shard, contents)
    return (yield from assembly.end_steps(index, packed_changes))


class _Assembly:
    """From one bundle to the next: only what differs between the two is read."""

    def __init__(self, held: Bundle | None, changes: Changes) -> None:
        self._held = held
        self._changes = changes
        self._known: Changes = {} if held is None else held.changes
        self._edition = (
            Edition(EMPTY, EMPTY_REVISION)
            if held is None
            else Edition(held.config, held.index.revision)
        )
        self._undone: dict[int, set[str]] = {}  # no longer changed: as the shard has them
        for entry_id in self._known.keys() - changes.keys():
            self._undone.setdefault(shard_of(entry_id), set()).add(entry_id)
        self._members: list[tuple[str, ...]] = []
        self._packed: list[bytes] = []

    def shard_steps(
        self, number: int, shard: Shard | None, contents: Mapping[str, bytes]
    ) -> Generator[None, None, None]:
        """Take in a shard, unless what is held came of the same one."""
        held, undone = self._held, self._undone.get(number, set[str]())
        known = held.members[number] if held is not None else ()
        same = held is not None and held.index.shards[number] == shard
        if held is not None and same and not undone:
            self._keep(known, held.packed[number])
            return
        ids: tuple[str, ...] = ()
        octets = b""
        if shard is not None:
            kept = {shard.digest: held.packed[number]} if same and held is not None else contents
            octets = _stored(kept, shard, f"shard {number:02d}")
            content = yield from unpack_steps(shard, octets)
            ids = yield from self._edition.read_steps(content, self._changes)
        self._edition.drop(undone.union(known).difference(ids, self._changes))
        self._keep(ids, octets)
        yield

    def end_steps(self, index: Index, packed_changes: bytes) -> Generator[None, None, Bundle]:
        """The bundle, if it is what the index says."""
        edition = self._edition
        yield from edition.change_steps(self._changes, self._known)
        if edition.revision != index.revision:
            raise Refused("Corrupt", "the shards are not those of the index's revision")
        return Bundle(
            index,
            edition.result(),
            tuple(self._members),
            tuple(self._packed),
            self._changes,
            packed_changes,
        )

    def _keep(self, ids: tuple[str, ...], octets: bytes) -> None:
        self._members.append(ids)
        self._packed.append(octets)


def _stored(contents: Mapping[str, bytes], shard: Shard, where: str) -> bytes:
    octets = contents.get(shard.digest)
    if not octets:
        raise Refused("Torn", f"{where} does not hold what the index names")
    return octets


def salvage_steps(index: Index, contents: Mapping[str, bytes]) -> Generator[None, None, Config]:
    """What can be read of a bundle that is not whole."""
    edition = Edition(EMPTY, EMPTY_REVISION)
    changes: Changes = {}
    if index.changes is not None and index.changes.digest in contents:
        with contextlib.suppress(Refused):
            content = yield from unpack_steps(index.changes, contents[index.changes.digest])
            changes = yield from changes_steps(content)
    for shard in index.shards:
        if shard is not None and shard.digest in contents:
            with contextlib.suppress(Refused):
                content = yield from unpack_steps(shard, contents[shard.digest])
                yield from edition.read_steps(content, changes)
    for entry_id, text in changes.items():
        with contextlib.suppress(Refused):
            yield from edition.change_steps({entry_id: text}, {})
    return edition.result()

"""From an index and the shards that it names to a Config, at the cost of what has changed."""

from __future__ import annotations

from collections.abc import Collection, Generator, Mapping

from msgspec import Struct

from sluicegate.bundle.index import Index, Refused, index_data
from sluicegate.bundle.shards import Edition, unpack_steps
from sluicegate.config import Config

EMPTY = Config({}, {})
EMPTY_REVISION = "0" * 12


class Bundle(Struct, frozen=True, eq=False, gc=False):
    """A whole bundle: the Config, and by shard the ids of its entries and its content as stored."""

    index: Index
    config: Config
    members: tuple[tuple[str, ...], ...]
    packed: tuple[bytes, ...]

    def data(self) -> dict[str, bytes]:
        """The bundle in one piece, as the data of an index Secret that has all shards inside."""
        return index_data(self.index, self.contents())

    def contents(self) -> dict[str, bytes]:
        """The stored contents by the digests that name them."""
        return {
            shard.digest: packed
            for shard, packed in zip(self.index.shards, self.packed, strict=True)
            if shard is not None
        }

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
    if held is None:
        edition = Edition(EMPTY, EMPTY_REVISION)
    else:
        edition = Edition(held.config, held.index.revision)
    members: list[tuple[str, ...]] = []
    packed: list[bytes] = []
    for number, shard in enumerate(index.shards):
        known = held.members[number] if held is not None else ()
        if held is not None and held.index.shards[number] == shard:
            members.append(known)
            packed.append(held.packed[number])
            continue
        octets, ids = b"", ()
        if shard is not None:
            octets = contents.get(shard.digest, b"")
            if not octets:
                raise Refused("Torn", f"shard {number:02d} does not hold what the index names")
            content = yield from unpack_steps(shard, octets)
            ids = yield from edition.read_steps(content)
        edition.drop(set(known).difference(ids))
        members.append(ids)
        packed.append(octets)
        yield
    if edition.revision != index.revision:
        raise Refused("Corrupt", "the shards are not those of the index's revision")
    return Bundle(index, edition.result(), tuple(members), tuple(packed))


def salvage_steps(index: Index, contents: Mapping[str, bytes]) -> Generator[None, None, Config]:
    """What can be read of a bundle that is not whole."""
    edition = Edition(EMPTY, EMPTY_REVISION)
    for shard in index.shards:
        if shard is not None and shard.digest in contents:
            try:
                content = yield from unpack_steps(shard, contents[shard.digest])
                yield from edition.read_steps(content)
            except Refused:
                continue
    return edition.result()

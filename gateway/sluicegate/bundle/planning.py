"""What to write so that a new Config becomes the current one.

The shards come first, in any order, and the index last. A shard's Secret keeps the content that the
current index names beside the new one, so that whoever reads in between finds either bundle whole.
"""

from __future__ import annotations

from collections.abc import Collection, Generator, Iterable, Mapping

from msgspec import Struct
from msgspec.structs import replace

from sluicegate.bundle.index import Index, index_data
from sluicegate.bundle.layout import (
    CHANGES_LIMIT,
    CHANGES_OCTETS,
    INLINE_LIMIT,
    SCHEMA_VERSION,
    SHARD_LIMIT,
    SHARDS,
    shard_of,
)
from sluicegate.bundle.reading import Bundle
from sluicegate.bundle.shards import (
    GONE,
    Packed,
    changes_content,
    content_steps,
    pack_steps,
    shard_steps,
)
from sluicegate.bundle.standing import Stamp, Standing
from sluicegate.config import (
    Config,
    canonical,
    changed_steps,
    config_revision_steps,
    revision_after,
)

_SORTED = 200  # entries that are given to their shards in one slice
_NAMED = 5  # entries that an error names


class TooLarge(Exception):
    """A shard that no Secret can hold. The message names its largest entries."""

    def __init__(self, number: int, octets: int, largest: Iterable[tuple[str, int]]) -> None:
        named = ", ".join(f"{entry_id} ({size} octets)" for entry_id, size in largest)
        super().__init__(
            f"shard {number:02d} of the bundle has {octets} octets of gzip, and {SHARD_LIMIT} are "
            f"the most; its largest entries are {named}"
        )


class SecretData(Struct, frozen=True, gc=False):
    """All the data that the Secret of shard `number` is to have; None: that of the index."""

    number: int | None
    data: Mapping[str, bytes]

    def __repr__(self) -> str:
        return f"SecretData({self.number}, {len(self.data)} entries)"


class Publication(Struct, frozen=True, eq=False, gc=False):
    """Write the shards, and the index when they are written; then `standing` is what stands."""

    shards: tuple[SecretData, ...]
    index: SecretData
    standing: Standing


def plan_steps(
    standing: Standing, config: Config, stamp: Stamp, *, fold: bool = False, anew: bool = False
) -> Generator[None, None, Publication | None]:
    """The writes that make `config` current; None where it is, unless it is to be so `anew`.

    A few changes go into the index alone; when there are more, or to `fold` them, the shards are
    written with them. Entries that are the same objects as in `standing` cost nothing but their
    comparison. Yields where the event loop may run. Raises TooLarge.
    """
    before = standing.bundle
    if before is None:
        return (yield from _whole_steps(standing, config, stamp, config.entries.keys()))
    known = before.config.entries
    others = yield from changed_steps(before.config, config)
    changed = {id_ for id_ in others if known.get(id_) != config.entries.get(id_)}
    if not (changed or anew or (fold and before.changes)):
        return None
    if not (fold or before.index.inline):
        found = yield from _index_steps(standing, before, config, stamp, changed)
        if found is not None:
            return found
    return (yield from _whole_steps(standing, config, stamp, before.changes.keys() | set(changed)))


def _index_steps(
    standing: Standing, before: Bundle, config: Config, stamp: Stamp, changed: Collection[str]
) -> Generator[None, None, Publication | None]:
    """The write of the index alone; None where too much has changed since the shards' writes."""
    if len(before.changes.keys() | set(changed)) > CHANGES_LIMIT:
        return None
    changes = dict(before.changes)
    for entry_id in changed:
        entry = config.entries.get(entry_id)
        changes[entry_id] = GONE if entry is None else canonical(entry)
    content = changes_content(changes)
    packed = yield from pack_steps(content, (yield from shard_steps(content)))
    if len(packed.octets) > CHANGES_OCTETS:
        return None
    index = replace(
        before.index,
        epoch=stamp.epoch,
        sequence=stamp.sequence,
        revision=revision_after(before.index.revision, before.config, config, changed),
        published_at=stamp.published_at,
        changes=packed.shard,
    )
    bundle = replace(
        before, index=index, config=config, changes=changes, packed_changes=packed.octets
    )
    return Publication(
        shards=(),
        index=SecretData(None, index_data(index, bundle.beside())),
        standing=Standing(index, bundle, config, standing.names, ""),
    )


def _whole_steps(
    standing: Standing, config: Config, stamp: Stamp, changed: Collection[str]
) -> Generator[None, None, Publication]:
    """The writes of the shards that hold one of these entries, and of the index."""
    before = standing.bundle
    members = list(before.members if before is not None else ((),) * SHARDS)
    parts = list(_parts(before))
    for number, ids in (yield from _members_steps(members, changed, config)).items():
        members[number] = ids
        parts[number] = yield from _part_steps(number, ids, config, parts[number])
    index = Index(
        schema_version=SCHEMA_VERSION,
        epoch=stamp.epoch,
        sequence=stamp.sequence,
        revision=(yield from config_revision_steps(config)),
        published_at=stamp.published_at,
        inline=sum(len(part.octets) for part in parts if part is not None) <= INLINE_LIMIT,
        shards=tuple(part.shard if part is not None else None for part in parts),
    )
    bundle = Bundle(
        index=index,
        config=config,
        members=tuple(members),
        packed=tuple(part.octets if part is not None else b"" for part in parts),
        changes={},
        packed_changes=b"",
    )
    writes = () if index.inline else tuple(_shard_writes(before, parts))
    names = list(standing.names)
    for write in writes:
        names[write.number or 0] = frozenset(write.data)
    return Publication(
        shards=writes,
        index=SecretData(None, index_data(index, bundle.beside())),
        standing=Standing(index, bundle, config, tuple(names), ""),
    )


def tidying(standing: Standing) -> tuple[tuple[SecretData, ...], Standing]:
    """The writes that leave only what the current index names, and what stands after them.

    For when nothing has been published for a while: a reader of an older index finds it torn.
    """
    bundle = standing.bundle
    if bundle is None:
        return (), standing
    inline = bundle.index.inline
    current = [{} if inline or part is None else _stored(part) for part in _parts(bundle)]
    writes = tuple(
        SecretData(number, data)
        for number, data in enumerate(current)
        if standing.names[number] - data.keys()
    )
    return writes, replace(standing, names=tuple(frozenset(data) for data in current))


def _members_steps(
    before: list[tuple[str, ...]], changed: Collection[str], config: Config
) -> Generator[None, None, dict[int, tuple[str, ...]]]:
    """By the number of each shard with a changed entry: the ids of its entries now."""
    touched: dict[int, set[str]] = {}
    for count, entry_id in enumerate(changed, 1):
        number = shard_of(entry_id)
        if number not in touched:
            touched[number] = set(before[number])
        if entry_id in config.entries:
            touched[number].add(entry_id)
        else:
            touched[number].discard(entry_id)
        if count % _SORTED == 0:
            yield
    return {number: tuple(sorted(ids)) for number, ids in touched.items()}


def _part_steps(
    number: int, ids: tuple[str, ...], config: Config, before: Packed | None
) -> Generator[None, None, Packed | None]:
    """A shard's content as it is to be stored; None without entries. Raises TooLarge."""
    if not ids:
        return None
    content = yield from content_steps(config, ids)
    shard = yield from shard_steps(content)
    if before is not None and before.shard == shard:
        return before
    packed = yield from pack_steps(content, shard)
    if len(packed.octets) > SHARD_LIMIT:
        sizes = sorted(((len(canonical(config.entries[id_])), id_) for id_ in ids), reverse=True)
        raise TooLarge(number, len(packed.octets), [(id_, size) for size, id_ in sizes[:_NAMED]])
    return packed


def _parts(bundle: Bundle | None) -> Iterable[Packed | None]:
    if bundle is None:
        return (None,) * SHARDS
    return (
        Packed(shard, octets) if shard is not None else None
        for shard, octets in zip(bundle.index.shards, bundle.packed, strict=True)
    )


def _shard_writes(before: Bundle | None, parts: Iterable[Packed | None]) -> Iterable[SecretData]:
    """The Secrets whose content is not known to be there.

    It is known of what the current index names, and of nothing else: a publication that failed may
    have left anything.
    """
    stored = None if before is None or before.index.inline else before
    for number, (old, new) in enumerate(zip(_parts(stored), parts, strict=True)):
        if new is not None and (old is None or old.shard != new.shard):
            kept = _stored(old) if old is not None else {}
            yield SecretData(number, {**kept, **_stored(new)})


def _stored(part: Packed) -> dict[str, bytes]:
    return {part.shard.digest: part.octets}

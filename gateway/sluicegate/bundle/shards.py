"""The content of a shard: canonical JSON `{entry id: entry}`, compressed for transport.

That of changes is the same, with null for an entry that is gone.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Container, Generator, Iterable, Mapping
from typing import NamedTuple, TypeAlias

import msgspec

from sluicegate.bundle.index import Refused, Shard
from sluicegate.config import Config, Entry, canonical, entry_revision, revision_of_sum

# How much is done between two chances for the event loop to serve requests.
_ENTRIES = 25
_OCTETS = 32 * 1024
_GZIP = 31  # zlib's name for gzip with a window of 32 KiB; its header holds no time
_LEVEL = 6
# No shard of SHARD_LIMIT comes near this; what claims more is refused before it is expanded.
_LARGEST = 64 * 1024 * 1024

# The canonical JSON of changed entries by their ids, GONE for those that are there no more.
Changes: TypeAlias = Mapping[str, bytes]
GONE = b"null"

_entry_decoder = msgspec.json.Decoder(Entry)
_content_decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])
_content_encoder = msgspec.json.Encoder(order="sorted")


class Packed(NamedTuple):
    """A shard's content as it is stored, and what it is named by."""

    shard: Shard
    octets: bytes  # gzip

    def __repr__(self) -> str:
        return f"Packed({self.shard.digest})"


def content_steps(config: Config, members: Iterable[str]) -> Generator[None, None, bytes]:
    """The canonical JSON of a shard with these entries. Yields after some of them."""
    raw: dict[str, msgspec.Raw] = {}
    for count, entry_id in enumerate(members, 1):
        raw[entry_id] = msgspec.Raw(canonical(config.entries[entry_id]))
        if count % _ENTRIES == 0:
            yield
    return _content_encoder.encode(raw)


def changes_content(changes: Changes) -> bytes:
    """The canonical JSON of changes."""
    return _content_encoder.encode({id_: msgspec.Raw(text) for id_, text in changes.items()})


def changes_steps(content: bytes) -> Generator[None, None, Changes]:
    """The changes that a content holds; what is in them is not looked at. Raises Refused."""
    found: dict[str, bytes] = {}
    for count, (entry_id, text) in enumerate(_raw_entries(content).items(), 1):
        found[entry_id] = bytes(text)
        if count % _ENTRIES == 0:
            yield
    return found


def shard_steps(content: bytes) -> Generator[None, None, Shard]:
    """What names a content."""
    digest = hashlib.sha256()
    for chunk in _chunks(content):
        digest.update(chunk)
        yield
    return Shard(digest.hexdigest(), len(content))


def pack_steps(content: bytes, shard: Shard) -> Generator[None, None, Packed]:
    """A content as it is stored."""
    compressor = zlib.compressobj(_LEVEL, zlib.DEFLATED, _GZIP)
    parts: list[bytes] = []
    for chunk in _chunks(content):
        parts.append(compressor.compress(chunk))
        yield
    parts.append(compressor.flush())
    return Packed(shard, b"".join(parts))


def unpack_steps(shard: Shard, packed: bytes) -> Generator[None, None, bytes]:
    """The content that `shard` names. Raises Refused: whatever it may be, it is not that."""
    if shard.size > _LARGEST:
        raise Refused("Corrupt", f"a shard of {shard.size} octets is no shard of ours")
    expander = zlib.decompressobj(_GZIP)
    digest = hashlib.sha256()
    parts: list[bytes] = []
    size = 0
    rest = packed
    try:
        while size <= shard.size and not expander.eof:
            part = expander.decompress(rest, _OCTETS)
            rest = expander.unconsumed_tail
            if not part and not rest:
                break
            digest.update(part)
            parts.append(part)
            size += len(part)
            yield
    except zlib.error:
        raise Refused("Corrupt", "a shard can't be expanded") from None
    if not expander.eof or expander.unused_data or digest.hexdigest() != shard.digest:
        raise Refused("Corrupt", "a shard does not match its digest")
    return b"".join(parts)


class Edition:
    """A new Config made from the one before, which stays what it was.

    The entries that are equal stay the same objects, so that what is built from them costs only
    what has changed. `revision` is that of `before`.
    """

    def __init__(self, before: Config, revision: str) -> None:
        self._entries = dict(before.entries)
        self._revisions = dict(before.revisions)
        self._sum = int(revision, 16)

    @property
    def revision(self) -> str:
        """The revision of what is there now."""
        return revision_of_sum(self._sum)

    def drop(self, entry_ids: Iterable[str]) -> None:
        """Leave entries out."""
        for entry_id in entry_ids:
            if self._entries.pop(entry_id, None) is not None:
                self._sum -= int(self._revisions.pop(entry_id), 16)

    def read_steps(
        self, content: bytes, left_out: Container[str]
    ) -> Generator[None, None, tuple[str, ...]]:
        """Take in the entries of a shard's content but some, and answer all ids in it.

        Raises Refused.
        """
        raw = _raw_entries(content)
        for count, (entry_id, text) in enumerate(raw.items(), 1):
            if entry_id not in left_out:
                # A copy: what stays raw within an entry must not keep the whole shard in memory.
                self._read(entry_id, bytes(text))
            if count % _ENTRIES == 0:
                yield
        return tuple(raw)

    def change_steps(self, changes: Changes, known: Changes) -> Generator[None, None, None]:
        """Take in what is not among the changes that are `known`. Raises Refused."""
        for count, (entry_id, text) in enumerate(changes.items(), 1):
            if known.get(entry_id) == text:
                continue
            if text == GONE:
                self.drop((entry_id,))
            else:
                self._read(entry_id, text)
            if count % _ENTRIES == 0:
                yield

    def result(self) -> Config:
        """The Config; change nothing after this."""
        return Config(self._entries, self._revisions)

    def _read(self, entry_id: str, text: bytes) -> None:
        before = self._entries.get(entry_id)
        if before is not None and canonical(before) == text:
            return
        entry = self._entries[entry_id] = _entry(entry_id, text)
        revision = entry_revision(entry)
        self._sum += int(revision, 16) - int(self._revisions.get(entry_id, "0"), 16)
        self._revisions[entry_id] = revision


def _raw_entries(content: bytes) -> dict[str, msgspec.Raw]:
    try:
        return _content_decoder.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise Refused("Corrupt", "a shard is not what a shard is made of") from None


def _entry(entry_id: str, text: bytes) -> Entry:
    try:
        entry = _entry_decoder.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        # Of the message only the place: the rest may quote what the entry holds.
        _, at, place = str(error).rpartition(" - at `")
        where = f" at {place.rstrip('`')}" if at else ""
        raise Refused(
            "UnknownEntry", f"{entry_id} is of a form that this version does not know{where}"
        ) from None
    if entry.id != entry_id:
        raise Refused("Corrupt", f"{entry_id} holds the entry of another object")
    return entry


def _chunks(content: bytes) -> Iterable[memoryview]:
    view = memoryview(content)
    return (view[start : start + _OCTETS] for start in range(0, len(view), _OCTETS))

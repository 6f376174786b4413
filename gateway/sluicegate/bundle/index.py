"""The index of a bundle: what is current, and how its parts are verified."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Annotated, Literal, TypeAlias

import msgspec
from msgspec import Meta, Struct

from sluicegate.bundle.layout import SCHEMA_VERSION, SHARDS

_INDEX = "index"
_CHECKSUM = "index.sha256"

Refusal: TypeAlias = Literal[
    "NoIndex", "Corrupt", "UnknownSchemaVersion", "OlderSequence", "Torn", "UnknownEntry"
]


class Refused(Exception):
    """A bundle that must not be served, and why. The message holds nothing of its content."""

    def __init__(self, reason: Refusal, message: str) -> None:
        super().__init__(message)
        self.reason: Refusal = reason


class _Part(Struct, frozen=True, rename="camel", gc=False):
    """Members that are not known are left to the versions that know them."""


class Shard(_Part, frozen=True):
    """The content of a shard: SHA-256 (hex) and octets of its canonical JSON."""

    digest: Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
    size: Annotated[int, Meta(ge=2)]


class Index(_Part, frozen=True):
    """What a bundle consists of.

    `sequence` grows with each publication of an `epoch`, which is one life of the index Secret.
    `revision` names the content: 12 hex digits, of all entries. `published_at` is in Unix seconds.
    `inline`: the shards are in the index Secret itself. A shard without entries is None. `changes`
    is what differs from the shards: an entry or null by id. Its content lies beside the index.
    """

    schema_version: int
    epoch: str
    sequence: Annotated[int, Meta(ge=1)]
    revision: Annotated[str, Meta(pattern="^[0-9a-f]{12}$")]
    published_at: float
    inline: bool
    shards: Annotated[tuple[Shard | None, ...], Meta(min_length=SHARDS, max_length=SHARDS)]
    changes: Shard | None = None

    def same_content(self, other: Index) -> bool:
        """Whether both name the same entries."""
        return (self.revision, self.shards, self.changes) == (
            other.revision,
            other.shards,
            other.changes,
        )


class _Version(_Part, frozen=True):
    schema_version: int


_encoder = msgspec.json.Encoder(order="sorted")


def index_data(index: Index, contents: Mapping[str, bytes]) -> dict[str, bytes]:
    """The data of an index Secret, with the packed `contents` that are to be inside it."""
    text = _encoder.encode(index)
    checksum = hashlib.sha256(text).hexdigest().encode()
    return {_INDEX: text, _CHECKSUM: checksum, **contents}


def read_index(data: Mapping[str, bytes]) -> Index:
    """The index in the data of its Secret. Raises Refused."""
    text = data.get(_INDEX)
    if text is None:
        raise Refused("NoIndex", "the Secret holds no index of a bundle")
    if data.get(_CHECKSUM) != hashlib.sha256(text).hexdigest().encode():
        raise Refused("Corrupt", "the index does not match its checksum")
    try:
        version = msgspec.json.decode(text, type=_Version).schema_version
        if version != SCHEMA_VERSION:
            raise Refused(
                "UnknownSchemaVersion",
                f"the bundle has schemaVersion {version}, and this version reads {SCHEMA_VERSION}",
            )
        return msgspec.json.decode(text, type=Index)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise Refused("Corrupt", "the index is not what an index is made of") from None


def check_newer(index: Index, held: Index | None) -> bool:
    """Whether `index` is to take the place of `held`; False where it is the same one.

    Another epoch always is: its sequences began anew. Raises Refused.
    """
    if held is None or index.epoch != held.epoch or index.sequence > held.sequence:
        return True
    if index.sequence == held.sequence and index.same_content(held):
        return False
    again = " again, with another content" if index.sequence == held.sequence else ""
    raise Refused(
        "OlderSequence", f"the bundle has sequence {index.sequence}{again}; {held.sequence} serves"
    )

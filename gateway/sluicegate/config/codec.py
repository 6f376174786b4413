"""The canonical form: JSON with sorted keys, no white space.

Equal values have equal bytes and equal hashes.
"""

from __future__ import annotations

import hashlib

import msgspec

from sluicegate.config.entries import Config, Entry

_encoder = msgspec.json.Encoder(order="sorted")


def canonical(value: Entry | Config) -> bytes:
    """The canonical JSON of an entry or of a whole Config."""
    return _encoder.encode(value)


def entry_revision(entry: Entry) -> str:
    """First 12 hex digits of the SHA-256 of the entry's canonical form."""
    return hashlib.sha256(canonical(entry)).hexdigest()[:12]

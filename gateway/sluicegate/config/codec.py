"""The canonical form: JSON with sorted keys, no white space.

Equal values have equal bytes and equal hashes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Generator, Iterable

import msgspec

from sluicegate.config.entries import Config, Entry

_encoder = msgspec.json.Encoder(order="sorted")
_REVISIONS = 1 << 48
_SUMMED = 1000  # revisions that are added up between two chances for the event loop


def canonical(value: Entry | Config) -> bytes:
    """The canonical JSON of an entry or of a whole Config."""
    return _encoder.encode(value)


def entry_revision(entry: Entry) -> str:
    """First 12 hex digits of the SHA-256 of the entry's canonical form."""
    return hashlib.sha256(canonical(entry)).hexdigest()[:12]


def config_revision_steps(config: Config) -> Generator[None, None, str]:
    """12 hex digits that name the content. Yields where the event loop may run.

    It is made from the sum of the entries' revisions, so that order plays no part.
    """
    total = 0
    for count, revision in enumerate(config.revisions.values(), 1):
        total += int(revision, 16)
        if count % _SUMMED == 0:
            yield
    return revision_of_sum(total)


def revision_after(revision: str, before: Config, after: Config, changed: Iterable[str]) -> str:
    """The revision of `after`, from that of `before` and the ids of what differs between them."""
    total = int(revision, 16)
    for entry_id in changed:
        total += int(after.revisions.get(entry_id, "0"), 16)
        total -= int(before.revisions.get(entry_id, "0"), 16)
    return revision_of_sum(total)


def revision_of_sum(total: int) -> str:
    """The revision of a Config whose entries' revisions, as numbers, have this sum."""
    return f"{total % _REVISIONS:012x}"

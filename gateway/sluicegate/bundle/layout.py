"""Which Secrets a bundle is made of, and what goes into which."""

from __future__ import annotations

import hashlib

SCHEMA_VERSION = 1
SHARDS = 16
# Octets of gzip that the whole bundle may have to be inside the index: one write, one event.
INLINE_LIMIT = 64 * 1024
# Entries, and octets of gzip, that may have changed since the shards were written: each publication
# brings all of them to all gateways.
CHANGES_LIMIT = 256
CHANGES_OCTETS = 32 * 1024
# Octets of gzip that one shard may have. A Secret holds two of them, the one that the current index
# names and the next one, and the API server takes 1 MiB of data in a Secret.
SHARD_LIMIT = 500 * 1024


def secret_name(config_name: str, number: int | None) -> str:
    """The name of the Secret of shard `number`; None: of the index."""
    return config_name if number is None else f"{config_name}-{number:02d}"


def secret_names(config_name: str) -> tuple[str, ...]:
    """The names of all Secrets of a bundle, the index first."""
    return tuple(secret_name(config_name, number) for number in (None, *range(SHARDS)))


def shard_of(entry_id: str) -> int:
    """The shard of an entry: the first hex digit of the SHA-256 of its id."""
    return hashlib.sha256(entry_id.encode()).digest()[0] >> 4

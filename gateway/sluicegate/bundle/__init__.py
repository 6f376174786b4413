"""The config bundle: one Config as a set of Secrets, and back (design: "The config bundle").

The operator reads back what stands and plans what to write (`standing`, `planning`); a gateway
reads it (`index`, `reading`). Pure: who talks to the API server, and when, is decided elsewhere.
Data of Secrets goes in and out as its decoded octets.
"""

from sluicegate.bundle.index import (
    Index,
    Refusal,
    Refused,
    Shard,
    check_newer,
    index_data,
    read_index,
)
from sluicegate.bundle.layout import (
    CHANGES_LIMIT,
    CHANGES_OCTETS,
    INLINE_LIMIT,
    SCHEMA_VERSION,
    SHARD_LIMIT,
    SHARDS,
    secret_name,
    secret_names,
    shard_of,
)
from sluicegate.bundle.planning import (
    Publication,
    SecretData,
    TooLarge,
    plan_steps,
    tidying,
)
from sluicegate.bundle.reading import Bundle, assemble_steps, missing
from sluicegate.bundle.standing import Stamp, Standing, next_stamp, standing_steps

__all__ = [
    "CHANGES_LIMIT",
    "CHANGES_OCTETS",
    "INLINE_LIMIT",
    "SCHEMA_VERSION",
    "SHARDS",
    "SHARD_LIMIT",
    "Bundle",
    "Index",
    "Publication",
    "Refusal",
    "Refused",
    "SecretData",
    "Shard",
    "Stamp",
    "Standing",
    "TooLarge",
    "assemble_steps",
    "check_newer",
    "index_data",
    "missing",
    "next_stamp",
    "plan_steps",
    "read_index",
    "secret_name",
    "secret_names",
    "shard_of",
    "standing_steps",
    "tidying",
]

"""What a key, an end user, a calling namespace and a deployment may still take.

A reservation of several claims is granted whole or not at all; it is settled once it is known what
was really used. Counts are kept in memory, or in a Valkey that several gateways share.
"""

from sluicegate.limits.answers import rate_headers, refusal_error, refusals_error
from sluicegate.limits.claims import (
    Ceiling,
    Claim,
    Kind,
    Refusal,
    Reservation,
    Settlement,
    Standing,
    SubjectKind,
    ceiling_of,
    nano_usd,
)
from sluicegate.limits.limiter import Limiter, OnFailure, StoreUnavailable
from sluicegate.limits.memory import MemoryStore

__all__ = [
    "Ceiling",
    "Claim",
    "Kind",
    "Limiter",
    "MemoryStore",
    "OnFailure",
    "Refusal",
    "Reservation",
    "Settlement",
    "Standing",
    "StoreUnavailable",
    "SubjectKind",
    "ceiling_of",
    "nano_usd",
    "rate_headers",
    "refusal_error",
    "refusals_error",
]

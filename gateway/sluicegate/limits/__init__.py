"""What a key, an end user, a calling namespace and a deployment may still take.

A reservation for several subjects is granted whole or not at all; it is settled once it is known
what was really used. Counts are kept in memory, or in a Valkey that several gateways share.
"""

from sluicegate.limits.answers import rate_headers, refusal_error, refusals_error
from sluicegate.limits.limiter import Limiter, OnFailure, StoreUnavailable
from sluicegate.limits.memory import MemoryStore
from sluicegate.limits.reservations import (
    Amount,
    Ceiling,
    Kind,
    Refusal,
    Reservation,
    Standing,
    Subject,
    SubjectKind,
    ceiling_of,
    nano_usd,
)

__all__ = [
    "Amount",
    "Ceiling",
    "Kind",
    "Limiter",
    "MemoryStore",
    "OnFailure",
    "Refusal",
    "Reservation",
    "Standing",
    "StoreUnavailable",
    "Subject",
    "SubjectKind",
    "ceiling_of",
    "nano_usd",
    "rate_headers",
    "refusal_error",
    "refusals_error",
]

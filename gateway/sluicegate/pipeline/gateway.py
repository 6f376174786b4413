"""What every request of one gateway process shares."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from sluicegate.auth.upstream import Authorizer
from sluicegate.limits import Limiter, MemoryStore
from sluicegate.pipeline.account import Books
from sluicegate.pipeline.closing import Closing
from sluicegate.pipeline.live import LiveStore
from sluicegate.telemetry.metrics import Tally
from sluicegate.transport import Transport

END_USER_HEADER = "x-sluicegate-end-user"


async def _nothing_newer() -> bool:
    return False


@dataclass(frozen=True, slots=True)
class Gateway:
    """The parts a request is served with.

    `clock` gives Unix seconds, `die` a number in [0, 1). Upstream bodies that are read whole may
    have `max_answer_bytes`. `limits` counts in memory unless another is given. `look_again` looks
    at once whether a newer configuration is published, and answers whether one serves now.
    `end_user_header` says before the body whom a request is for; it is in small letters.
    """

    store: LiveStore
    transport: Transport
    tally: Tally
    allow_anonymous: bool
    clock: Callable[[], float]
    die: Callable[[], float]
    max_answer_bytes: int = 64 * 1024 * 1024
    end_user_header: str = END_USER_HEADER
    look_again: Callable[[], Awaitable[bool]] = _nothing_newer
    authorizer: Authorizer = field(default_factory=Authorizer)
    closing: Closing = field(default_factory=Closing)
    books: Books = field(default_factory=Books)
    limits: Limiter = field(default_factory=lambda: Limiter(MemoryStore(time.time)))

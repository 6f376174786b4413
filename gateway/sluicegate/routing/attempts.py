"""What follows a failed attempt.

Try the same deployment again, the next one, or tell the client. Pure.

The one place that decides it. Once an event that carries output has been written nothing is tried
again.
"""

from __future__ import annotations

from enum import StrEnum
from functools import lru_cache

import msgspec

from sluicegate.config import Retry


class Outcome(StrEnum):
    """How an attempt ended, as `x-sluicegate-attempts` and the metrics name it."""

    OK = "ok"
    CONNECT = "connect"  # DNS, TCP, TLS, or an address that is refused
    TIMEOUT = "timeout"  # nothing came in time
    LOST = "lost"  # the connection broke, or what came is not HTTP
    RATE_LIMITED = "rate_limited"
    SERVER_ERROR = "server_error"
    TOO_LARGE = "too_large"  # an answer that nobody could take; asking again would only cost more
    CREDENTIAL = "credential"  # the upstream refuses the deployment's own credential
    CLIENT_ERROR = "client_error"  # the request itself is refused: no other deployment would help
    BROKEN_STREAM = "broken_stream"  # failed after output was written
    CANCELLED = "cancelled"  # the client left

    @property
    def fails_over(self) -> bool:
        """Whether another deployment may do better."""
        return self not in _FINAL

    @property
    def repeatable(self) -> bool:
        """Whether the same deployment may do better a moment later."""
        return self in _REPEATABLE


_FINAL = frozenset(
    {
        Outcome.OK,
        Outcome.TOO_LARGE,
        Outcome.CLIENT_ERROR,
        Outcome.BROKEN_STREAM,
        Outcome.CANCELLED,
    }
)
_REPEATABLE = frozenset({Outcome.CONNECT, Outcome.LOST, Outcome.RATE_LIMITED, Outcome.SERVER_ERROR})
# 529 is Anthropic's "overloaded"; 408 and 409 are what the OpenAI SDKs retry too.
_RETRIED_STATUS = frozenset({408, 409})
_CREDENTIAL_STATUS = frozenset({401, 403})
_TOO_MANY = 429
_SERVER = 500
_REDIRECT = range(300, 400)
_SHORT_PAUSE = 1.0  # seconds; longer than this, another deployment is the better answer
_LONGEST_PAUSE = 30.0  # seconds; longer than this, the client is told to come back


class Attempt(msgspec.Struct, frozen=True):
    """One request to one deployment.

    Its outcome, the upstream's status (None: no answer), seconds it took.
    """

    deployment: str
    outcome: Outcome
    status: int | None
    seconds: float


def outcome_of_status(status: int) -> Outcome:
    """The outcome of an upstream answer that is not 2xx."""
    if status == _TOO_MANY:
        return Outcome.RATE_LIMITED
    if status in _CREDENTIAL_STATUS:
        return Outcome.CREDENTIAL
    if status >= _SERVER or status in _RETRIED_STATUS or status in _REDIRECT:
        return Outcome.SERVER_ERROR
    return Outcome.CLIENT_ERROR


def pause_before_repeat(
    retry: Retry,
    tried: int,
    outcome: Outcome,
    retry_after: float | None,
    time_left: float,
    share: float,
    *,
    last: bool,
) -> float | None:
    """Seconds to wait before the same deployment is tried again, or None: go on to the next.

    `tried` counts its attempts so far, `share` is a random number in [0, 1): full jitter over an
    exponential backoff. The upstream's own Retry-After (seconds) is the least wait. A wait that
    does not fit into `time_left` (seconds to the client's deadline) is not begun; a long one only
    where no other deployment is left (`last`).
    """
    if tried >= retry.attempts or not outcome.repeatable:
        return None
    pause = max(share * retry.backoff * 2 ** (tried - 1), retry_after or 0.0)
    return pause if pause < min(time_left, _LONGEST_PAUSE if last else _SHORT_PAUSE) else None


def describe(attempts: list[Attempt]) -> str:
    """The value of `x-sluicegate-attempts`, for one attempt or more, in order.

    As in `ns/name=server_error(503);ns/other=ok`.
    """
    first, *others = attempts
    described = _described(first.deployment, first.outcome, first.status)
    for attempt in others:
        described += ";" + _described(attempt.deployment, attempt.outcome, attempt.status)
    return described


@lru_cache(maxsize=4096)
def _described(deployment: str, outcome: Outcome, status: int | None) -> str:
    shown = f"({status})" if status and outcome is not Outcome.OK else ""
    return f"{deployment}={outcome}{shown}"

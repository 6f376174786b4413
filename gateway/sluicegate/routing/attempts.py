"""What follows a failed attempt.

Another deployment, the same one again, another pool, or an answer to the client. Pure.

The one place that decides it. Once an event that carries output has been written nothing is tried
again.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from enum import Enum, StrEnum
from functools import lru_cache
from typing import Literal, NamedTuple, TypeAlias

import msgspec

from sluicegate.config import Fallback, Retry
from sluicegate.model import ErrorBody

Cause: TypeAlias = Literal["Error", "RateLimited", "Timeout", "ContextWindow", "ContentPolicy"]

# Attempts of one request, whatever its pools and their policies say.
MOST_ATTEMPTS = 12


class Outcome(StrEnum):
    """How an attempt ended, as `x-sluicegate-attempts` and the metrics name it."""

    OK = "ok"
    CONNECT = "connect"  # DNS, TCP, TLS, or an address that is refused
    TIMEOUT = "timeout"  # nothing came in time
    LOST = "lost"  # the connection broke, or what came is not HTTP
    RATE_LIMITED = "rate_limited"
    QUOTA = "quota"  # the upstream account has nothing left: waiting a little does not help
    SERVER_ERROR = "server_error"
    INVALID_ANSWER = "invalid_answer"  # all of it came, may have cost, and can't be read
    TOO_LARGE = "too_large"  # an answer that nobody could take; asking again would only cost more
    CREDENTIAL = "credential"  # the upstream refuses the deployment's own credential
    NOT_FOUND = "not_found"  # the upstream does not know the deployment's model, or path
    CONTEXT_WINDOW = "context_window"  # the request is longer than the model can take
    CONTENT_POLICY = "content_policy"  # the upstream refuses what the request is about
    CLIENT_ERROR = "client_error"  # the request itself is refused: no other deployment would help
    BROKEN_STREAM = "broken_stream"  # failed after output was written
    CANCELLED = "cancelled"  # the client left

    @property
    def fails_over(self) -> bool:
        """Whether another deployment of the pool may do better."""
        return self not in _FINAL

    @property
    def repeatable(self) -> bool:
        """Whether the same deployment may do better a moment later."""
        return self in _REPEATABLE

    @property
    def blames(self) -> bool:
        """Whether it says something against the deployment, rather than the request."""
        return self in _BLAMES

    @property
    def lasting(self) -> bool:
        """Whether the deployment would fail the next request as well."""
        return self in _LASTING

    @property
    def cause(self) -> Cause | None:
        """The cause of a fallback that it is."""
        return _CAUSES.get(self)


class Skip(StrEnum):
    """Why a deployment was not asked, as `x-sluicegate-attempts` names it."""

    COOLDOWN = "cooldown"
    FULL = "full"  # one of its own limits is reached
    TOO_LONG = "too_long"  # the request certainly exceeds its model's context window


_LASTING = frozenset({Outcome.CREDENTIAL, Outcome.NOT_FOUND, Outcome.QUOTA})
_REPEATABLE = frozenset({Outcome.CONNECT, Outcome.LOST, Outcome.RATE_LIMITED, Outcome.SERVER_ERROR})
_ELSEWHERE = frozenset({Outcome.TIMEOUT, Outcome.INVALID_ANSWER})
_BLAMES = _LASTING | _REPEATABLE | _ELSEWHERE | {Outcome.BROKEN_STREAM}
_FINAL = frozenset(Outcome) - _LASTING - _REPEATABLE - _ELSEWHERE
_CAUSES: dict[Outcome, Cause] = {
    Outcome.CONNECT: "Error",
    Outcome.TIMEOUT: "Timeout",
    Outcome.LOST: "Error",
    Outcome.INVALID_ANSWER: "Error",
    Outcome.RATE_LIMITED: "RateLimited",
    Outcome.QUOTA: "RateLimited",
    Outcome.SERVER_ERROR: "Error",
    Outcome.CREDENTIAL: "Error",
    Outcome.NOT_FOUND: "Error",
    Outcome.CONTEXT_WINDOW: "ContextWindow",
    Outcome.CONTENT_POLICY: "ContentPolicy",
}
# 529 is Anthropic's "overloaded"; 408 and 409 are what the OpenAI SDKs retry too.
_RETRIED_STATUS = frozenset({408, 409})
_CREDENTIAL_STATUS = frozenset({401, 403})
_TOO_MANY = 429
_SERVER = 500
_REDIRECT = range(300, 400)
_BY_CODE = {
    # OpenAI's, Azure's and this gateway's own word for providers that have none.
    "context_length_exceeded": Outcome.CONTEXT_WINDOW,
    "content_policy_violation": Outcome.CONTENT_POLICY,
    "content_filter": Outcome.CONTENT_POLICY,
    "invalid_prompt": Outcome.CONTENT_POLICY,
    "image_content_policy_violation": Outcome.CONTENT_POLICY,
    "bio_policy": Outcome.CONTENT_POLICY,
    "misalignment_policy_violation": Outcome.CONTENT_POLICY,
    "model_not_found": Outcome.NOT_FOUND,
    "DeploymentNotFound": Outcome.NOT_FOUND,
    "upstream_not_found": Outcome.NOT_FOUND,  # nor the API, at the deployment's address
    "insufficient_quota": Outcome.QUOTA,
    # Some providers refuse a credential with a 400, which their folders know.
    "upstream_credential": Outcome.CREDENTIAL,
}
_SHORT_PAUSE = 1.0  # seconds; longer than this, another deployment is the better answer
_LONGEST_PAUSE = 30.0  # seconds; longer than this, the client is told to come back
_MOST_SKIPPED = 8  # that `x-sluicegate-attempts` tells one by one


class Attempt(msgspec.Struct, frozen=True):
    """One request to one deployment.

    Its outcome, the upstream's status (None: no answer), seconds it took.
    """

    deployment: str
    outcome: Outcome
    status: int | None
    seconds: float


class Skipped(msgspec.Struct, frozen=True):
    """A deployment that was not asked. `too_dear`: the budget does not allow its pool."""

    deployment: str
    reason: Skip | Literal["too_dear"]


def outcome_of_status(status: int) -> Outcome:
    """The outcome of an upstream answer that is not 2xx."""
    if status == _TOO_MANY:
        return Outcome.RATE_LIMITED
    if status in _CREDENTIAL_STATUS:
        return Outcome.CREDENTIAL
    if status >= _SERVER or status in _RETRIED_STATUS or status in _REDIRECT:
        return Outcome.SERVER_ERROR
    return Outcome.CLIENT_ERROR


def outcome_of_error(status: int, error: ErrorBody) -> Outcome:
    """The outcome of an error that has been read. `status` is the upstream's own."""
    outcome = outcome_of_status(status)
    told = _BY_CODE.get(error.code or "")
    if told is None or status >= _SERVER:
        return outcome
    # Some refuse content with 403, the status of a bad credential.
    if outcome is Outcome.CLIENT_ERROR or not told.fails_over:
        return told
    return told if outcome is Outcome.RATE_LIMITED and told is Outcome.QUOTA else outcome


class Step(Enum):
    """What to do next."""

    NEXT = "ask the next deployment of the pool that is in rotation"
    REPEAT = "wait, and ask one again that has failed"
    FALLBACK = "go on to another pool"
    LAST_RESORT = "ask the least bad of those that are out of rotation"
    RETURN = "go back to an earlier pool that has such"
    GIVE_UP = "tell the client"


class Standing(NamedTuple):
    """What is known when the next step is to be decided.

    `last` is the latest attempt's outcome in this pool, None where there was none. `pause` is the
    shortest wait (seconds) before one of the deployments may be asked again, None where none may.
    """

    attempts: int  # of this request so far
    time_left: float  # seconds to the client's deadline
    last: Outcome | None
    other: bool  # one of the pool's deployments is in rotation and has not been asked
    out: bool  # one is out of rotation and has not been asked
    pause: float | None
    fallback: bool  # a pool that has not been asked is there for what has happened
    earlier: bool  # an earlier pool has deployments out of rotation that have not been asked
    budget: bool  # the pool's retry budget allows another repetition


def next_step(standing: Standing) -> Step:
    """What follows.

    Deployments in rotation come first and at once. A repetition comes before a fallback, which is
    another model, where it needs a short wait only. Who is out of rotation is asked where nothing
    else is left. Repetitions and last resorts after a failure are what the budget pays for; going
    on to deployments in rotation needs none, because who fails half of its requests is not in
    rotation for long.
    """
    if standing.attempts >= MOST_ATTEMPTS or (standing.attempts and standing.time_left <= 0):
        return Step.GIVE_UP
    within = standing.last is None or standing.last.fails_over
    if within and standing.other:
        return Step.NEXT
    if within and standing.budget and _worth_it(standing):
        return Step.REPEAT
    if standing.fallback:
        return Step.FALLBACK
    if within and standing.out and (standing.budget or not standing.attempts):
        return Step.LAST_RESORT
    return Step.RETURN if within and standing.earlier else Step.GIVE_UP


def _worth_it(standing: Standing) -> bool:
    longest = _SHORT_PAUSE if standing.fallback or standing.out else _LONGEST_PAUSE
    return standing.pause is not None and standing.pause < min(standing.time_left, longest)


def backoff(retry: Retry, tried: int, share: float) -> float:
    """Seconds to wait after the `tried`th attempt: full jitter over an exponential backoff.

    `share` is a random number in [0, 1).
    """
    return share * retry.backoff * 2.0 ** (tried - 1)


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

    `tried` counts its attempts so far, `share` is a random number in [0, 1). The upstream's own
    Retry-After (seconds) is the least wait. A wait that does not fit into `time_left` (seconds to
    the client's deadline) is not begun; a long one only where no other deployment is left (`last`).
    """
    if tried >= retry.attempts or not outcome.repeatable:
        return None
    pause = max(backoff(retry, tried, share), retry_after or 0.0)
    return pause if pause < min(time_left, _LONGEST_PAUSE if last else _SHORT_PAUSE) else None


def serves(fallback: Fallback, causes: Collection[Cause]) -> bool:
    """Whether a fallback is meant for something that has happened."""
    return bool(causes) and (
        not fallback.causes or any(cause in causes for cause in fallback.causes)
    )


def usefulness(outcome: Outcome) -> int:
    """How much a failure tells the client, compared with others of the same request.

    First what is wrong with the request itself; then what a wait may mend, the most exact first;
    last what only the operator can mend.
    """
    return _USEFULNESS[outcome]


_USEFULNESS = {
    outcome: -rank
    for rank, outcome in enumerate(
        (
            Outcome.CLIENT_ERROR,
            Outcome.CONTEXT_WINDOW,
            Outcome.CONTENT_POLICY,
            Outcome.TOO_LARGE,
            Outcome.RATE_LIMITED,
            Outcome.SERVER_ERROR,
            Outcome.TIMEOUT,
            Outcome.LOST,
            Outcome.INVALID_ANSWER,
            Outcome.CONNECT,
            Outcome.NOT_FOUND,
            Outcome.QUOTA,
            Outcome.CREDENTIAL,
        )
    )
}


def describe(course: Sequence[Attempt | Skipped]) -> str:
    """The value of `x-sluicegate-attempts`: who was asked or skipped, in order; "" for nobody.

    As in `ns/name=server_error(503);ns/third=cooldown;ns/other=ok`.
    """
    if len(course) == 1 and isinstance(first := course[0], Attempt):
        return _described(first.deployment, first.outcome, first.status)
    told: list[str] = []
    skipped = 0
    for each in course:
        if isinstance(each, Attempt):
            told.append(_described(each.deployment, each.outcome, each.status))
            continue
        skipped += 1
        if skipped <= _MOST_SKIPPED:
            told.append(_described(each.deployment, each.reason, None))
    if skipped > _MOST_SKIPPED:
        told.append(f"skipped={skipped - _MOST_SKIPPED}")
    return ";".join(told)


@lru_cache(maxsize=4096)
def _described(deployment: str, outcome: str, status: int | None) -> str:
    shown = f"({status})" if status and outcome is not Outcome.OK else ""
    return f"{deployment}={outcome}{shown}"

"""What a client is told of its limits: errors and headers, in OpenAI's form."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TypeAlias

from sluicegate.limits.periods import WINDOW, period_end
from sluicegate.limits.reservations import Kind, Refusal, Reservation, Standing, usd
from sluicegate.model import ApiError

_SLOT_WAIT = 1.0  # seconds after which a slot may be free
_REQUESTS = (
    b"x-ratelimit-limit-requests",
    b"x-ratelimit-remaining-requests",
    b"x-ratelimit-reset-requests",
)
_TOKENS = (
    b"x-ratelimit-limit-tokens",
    b"x-ratelimit-remaining-tokens",
    b"x-ratelimit-reset-tokens",
)
_Headers: TypeAlias = tuple[tuple[bytes, bytes], ...]


def refusal_error(refusal: Refusal) -> ApiError:
    """429: which limit of which subject, and when to come again."""
    subject, standing, ceiling = refusal.subject, refusal.standing, refusal.subject.ceiling
    tokens = refusal.amount.tokens
    wait = _left(standing, refusal.now) / 1000
    match refusal.kind:
        case Kind.REQUESTS:
            most = f"requests per minute: limit {ceiling.requests}, used {standing.requests}"
            return _limited(f"Rate limit reached for {subject.words} on {most}.", "requests", wait)
        case Kind.PARALLEL:
            most = f"parallel requests: limit {ceiling.parallel}"
            return _limited(f"Rate limit reached for {subject.words} on {most}.", "requests", None)
        case Kind.TOKENS if ceiling.tokens is not None and tokens > ceiling.tokens:
            return ApiError(
                429,
                f"Request too large for {subject.words} on tokens per minute: limit "
                f"{ceiling.tokens}, this request may use {tokens}. Shorten the input or set "
                "a lower max_output_tokens.",
                type="tokens",
                code="rate_limit_exceeded",
                should_retry=False,
            )
        case Kind.TOKENS:
            most = (
                f"tokens per minute: limit {ceiling.tokens}, used {standing.tokens}, "
                f"this request may use {tokens}"
            )
            return _limited(f"Rate limit reached for {subject.words} on {most}.", "tokens", wait)
        case Kind.BUDGET:
            return _spent(refusal)


def refusals_error(model: str, refusals: Sequence[Refusal]) -> ApiError:
    """429 where every deployment of `model` has refused: all of their reasons."""
    errors = [refusal_error(refusal) for refusal in refusals]
    # The best of the news: to come again, and soon.
    best = min(errors, key=lambda error: (error.should_retry is False, error.retry_after or 0.0))
    reasons = " ".join(dict.fromkeys(error.error.message for error in errors))
    return ApiError(
        429,
        f"Model '{model}' can't take this request now. {reasons}",
        type=best.error.type,
        code=best.error.code,
        retry_after=best.retry_after,
        should_retry=best.should_retry,
    )


def rate_headers(found: Reservation | Refusal) -> _Headers:
    """`x-ratelimit-{limit,remaining,reset}-{requests,tokens}`, each of whoever has least left."""
    if len(found.subjects) == 1:
        ceiling, standing = found.subjects[0].ceiling, found.standings[0]
        reset = _duration(_left(standing, found.now))
        of_requests = _headers(_REQUESTS, ceiling.requests, standing.requests, reset)
        return of_requests + _headers(_TOKENS, ceiling.tokens, standing.tokens, reset)
    requests: list[tuple[int, int, int, int]] = []  # what is left, the limit, used, to the reset
    tokens: list[tuple[int, int, int, int]] = []
    for subject, standing in zip(found.subjects, found.standings, strict=True):
        reset, most = _left(standing, found.now), subject.ceiling.requests
        if most is not None:
            requests.append((most - standing.requests, most, standing.requests, reset))
        most = subject.ceiling.tokens
        if most is not None:
            tokens.append((most - standing.tokens, most, standing.tokens, reset))
    headers: _Headers = ()
    for names, told in ((_REQUESTS, requests), (_TOKENS, tokens)):
        if told:
            _, most, used, reset = min(told)
            headers += _headers(names, most, used, _duration(reset))
    return headers


def _headers(
    names: tuple[bytes, bytes, bytes], most: int | None, used: int, reset: bytes
) -> _Headers:
    """Those of one kind; none where there is no limit."""
    if most is None:
        return ()
    limit, remaining, again = names
    left = most - used
    told = b"%d" % left if left > 0 else b"0"
    return ((limit, b"%d" % most), (remaining, told), (again, reset))


def _limited(message: str, type_: str, wait: float | None) -> ApiError:
    if wait is not None:
        message += f" Please try again in {wait:.3f}s."
    return ApiError(
        429,
        message,
        type=type_,
        code="rate_limit_exceeded",
        retry_after=_SLOT_WAIT if wait is None else wait,
    )


def _spent(refusal: Refusal) -> ApiError:
    subject, ceiling, spent = refusal.subject, refusal.subject.ceiling, refusal.standing.money
    again = datetime.fromtimestamp(period_end(ceiling.period, refusal.now) / 1000, UTC)
    return ApiError(
        429,
        f"The budget of {subject.words} does not allow this request: {usd(spent)} of "
        f"{usd(ceiling.money or 0)} USD are spent or reserved, it may cost "
        f"{usd(refusal.amount.money)}. "
        f"Spending starts at zero again at {again:%Y-%m-%dT%H:%M:%SZ}.",
        type="insufficient_quota",
        code="insufficient_quota",
        should_retry=False,
    )


def _left(standing: Standing, now: int) -> int:
    """Milliseconds that the window still lasts; 0: none has begun. No store tells of an old one."""
    return standing.window + WINDOW - now if standing.window else 0


def _duration(milliseconds: int) -> bytes:
    """As in `1m0s`, `8.64s`, `20ms`."""
    if milliseconds >= 60_000:
        return b"%dm%gs" % (milliseconds // 60_000, milliseconds % 60_000 / 1000)
    if milliseconds >= 1000 or not milliseconds:
        return b"%gs" % (milliseconds / 1000)
    return b"%dms" % milliseconds

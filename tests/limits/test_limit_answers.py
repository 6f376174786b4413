"""The words and headers of refusals."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from limit_stores import NOON
from sluicegate.limits import (
    Amount,
    Ceiling,
    Kind,
    Refusal,
    Reservation,
    Standing,
    Subject,
    rate_headers,
    refusal_error,
    refusals_error,
)

NOW = int(NOON * 1000)
EVERYTHING = Ceiling(requests=10, tokens=1000, parallel=3, money=2_500_000_000, period="1d")


def refusal(kind: Kind, *, tokens: int = 0, words: str = "key a/b") -> Refusal:
    subject, amount = Subject("key:a/b", EVERYTHING, words=words), Amount(1, tokens, 120_000_000)
    standing = Standing(10, 900, NOW - 20_500, 3, 2_499_000_001, NOW - 1000)
    return Refusal(subject, kind, amount, (subject,), (standing,), NOW)


def told(ceiling: Ceiling, standing: Standing) -> dict[bytes, bytes]:
    subject = Subject("key:a/b", ceiling)
    return dict(rate_headers(Reservation("", (subject,), Amount(), (standing,), NOW)))


@pytest.mark.parametrize(
    ("kind", "tokens", "words", "wait", "again"),
    [
        (Kind.REQUESTS, 0, "requests per minute: limit 10, used 10", 39.5, None),
        (Kind.TOKENS, 200, "limit 1000, used 900, this request may use 200", 39.5, None),
        (Kind.TOKENS, 1001, "Request too large", None, False),
        (Kind.PARALLEL, 0, "parallel requests: limit 3", 1.0, None),
        (Kind.BUDGET, 0, "2.499000001 of 2.50 USD are spent or reserved, it may cost 0.12",
         None, False),
    ],
)  # fmt: skip
def test_it_says_which_limit_of_whom_and_when_to_come_again(
    kind: Kind, tokens: int, words: str, wait: float | None, *, again: bool | None
) -> None:
    error = refusal_error(refusal(kind, tokens=tokens))
    assert error.status == 429
    assert words in error.error.message
    assert "key a/b" in error.error.message
    assert (error.retry_after, error.should_retry) == (wait, again)


def test_of_several_the_best_news_count() -> None:
    both = (refusal(Kind.BUDGET, words="namespace x"), refusal(Kind.REQUESTS, words="deployment y"))
    error = refusals_error("gpt", both)
    assert "namespace x" in error.error.message
    assert "deployment y" in error.error.message
    assert (error.error.code, error.retry_after) == ("rate_limit_exceeded", 39.5)
    assert error.should_retry is None


@given(st.integers(0, 60_000))
def test_the_reset_is_the_rest_of_the_window(elapsed: int) -> None:
    headers = told(Ceiling(requests=10), Standing(3, window=NOW - elapsed))
    assert headers[b"x-ratelimit-remaining-requests"] == b"7"
    reset = headers[b"x-ratelimit-reset-requests"].decode()
    match = re.fullmatch(r"(?:(\d+)m)?(?:(\d+(?:\.\d+)?)s)?(?:(\d+)ms)?", reset)
    assert match is not None
    minutes, seconds, milliseconds = (float(part or 0) for part in match.groups())
    assert round(minutes * 60_000 + seconds * 1000 + milliseconds) == 60_000 - elapsed


def test_what_is_overdrawn_is_none_left() -> None:
    assert told(Ceiling(tokens=10), Standing(tokens=50, window=NOW)) == {
        b"x-ratelimit-limit-tokens": b"10",
        b"x-ratelimit-remaining-tokens": b"0",
        b"x-ratelimit-reset-tokens": b"1m0s",
    }

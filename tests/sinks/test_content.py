"""What of messages and answers is kept in records."""

from __future__ import annotations

import json
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from responses_wire import frame
from sluicegate.sinks.content import MASK, Content, Masking, content_of

NONE = Masking()
SECRETS = [
    "sk-proj-0123456789abcdef0123",
    "sk-sg-a1b2c3d4-" + "x" * 43 + "-abcdef",
    "Bearer abcdefghijklmnop.qrstuvwx",
    "AKIAIOSFODNN7EXAMPLE",
    "AIza" + "b" * 35,
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0abc.c2lnbmF0dXJl",
    "ghp_0123456789abcdefghij0123",
    "-----BEGIN RSA PRIVATE KEY-----\nabc\n-----END RSA PRIVATE KEY-----",
]


def of(given: object, output: object = None, masking: Masking = NONE) -> Content:
    body = json.dumps({"model": "m", "input": given}).encode()
    answer = json.dumps({"output": output}).encode()
    found = content_of(body, answer, masking, streamed=False)
    assert isinstance(found, Content)
    return found


@pytest.mark.parametrize("secret", SECRETS)
def test_known_kinds_of_secrets_are_masked_wherever_they_are(secret: str) -> None:
    said: list[dict[str, Any]] = [{"role": "user", "content": [{"text": f"it is {secret} now"}]}]
    content = of(said, [{"arguments": json.dumps({"key": secret}), secret: 1}])
    kept = json.dumps([content.input, content.output])
    assert secret not in kept
    assert json.dumps(secret)[1:-1] not in kept
    assert kept.count(MASK) >= 3


@pytest.mark.parametrize("secret", SECRETS)
@given(offset=st.integers(-60, 60))
def test_a_cut_lets_no_half_of_a_secret_through(secret: str, offset: int) -> None:
    text = "a" * (64 * 1024 + offset - len(secret)) + " " + secret + " " + "b" * 5000
    kept = of(text)
    assert kept.cut
    assert secret[:12] not in cast("str", kept.input)


def test_own_patterns_are_masked_and_the_password_of_a_url() -> None:
    masking = Masking([r"\b\d{3}-\d{2}-\d{4}\b"])
    content = of("123-45-6789 at https://me:secret@example.com/x", masking=masking)
    assert content.input == f"{MASK} at https://{MASK}@example.com/x"


def test_a_pattern_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="not sound"):
        Masking(["("])


def test_all_strings_share_one_bound() -> None:
    content = of(["x" * 60_000 for _ in range(50)])
    assert content.cut
    assert len(json.dumps(content.input)) < 300 * 1024


def test_many_values_are_bounded() -> None:
    empty: list[int] = []
    content = of([empty for _ in range(100_000)])
    assert content.cut
    assert len(json.dumps(content.input)) < 300 * 1024


def test_a_stream_is_read_from_its_last_event() -> None:
    event = frame({"type": "response.completed", "response": {"output": [{"type": "message"}]}})
    body = b'{"input": "hi", "instructions": "be kind"}'
    content = content_of(body, event, NONE, streamed=True)
    assert content == Content("hi", "be kind", [{"type": "message"}])


@pytest.mark.parametrize("depth", [100, 5_000])
def test_deep_values_do_no_harm(depth: int) -> None:
    body = b'{"input": ' + b"[" * depth + b"]" * depth + b"}"
    content = content_of(body, b"", NONE, streamed=False)
    assert isinstance(content, Content)
    assert content.cut == (depth > 1000)


@given(st.binary(min_size=1), st.binary(), st.booleans())
def test_any_bytes_are_taken(body: bytes, answer: bytes, streamed: bool) -> None:
    assert isinstance(content_of(body, answer, NONE, streamed=streamed), Content)


def test_without_a_body_there_is_none() -> None:
    assert content_of(b"", b"{}", NONE, streamed=False) is UNSET

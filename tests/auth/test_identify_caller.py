"""Who a caller is: known, unknown, ended and absent keys, and which models a key allows."""

import fnmatch
import re
from collections.abc import Generator
from dataclasses import FrozenInstanceError

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from sluicegate.auth.authenticate import (
    Caller,
    KeyIndex,
    authenticate,
    may_call,
    model_refused,
    presented_key,
)
from sluicegate.auth.keys import digest, key_id, mint
from sluicegate.auth.patterns import allows
from sluicegate.config import ClientKey, KeyDigest
from sluicegate.model import ApiError

NOW = 1_800_000_000
KEY = mint()
OLD_KEY = mint()
KEY_ID = str(key_id(KEY))


def held(key: str, not_after: int | None = None) -> KeyDigest:
    return KeyDigest(digest=digest(key).hex(), key_id=key_id(key) or "other", not_after=not_after)


def entry(
    name: str = "ci",
    *digests: KeyDigest,
    namespace: str = "team",
    expires_at: int | None = None,
    revoked: bool = False,
    models: tuple[str, ...] = ("*",),
) -> ClientKey:
    return ClientKey(
        namespace=namespace,
        name=name,
        digests=digests or (held(KEY),),
        expires_at=expires_at,
        revoked=revoked,
        models=models,
    )


def refusal(index: KeyIndex, key: str | None, *, anonymous: bool = False) -> ApiError:
    with pytest.raises(ApiError) as caught:
        authenticate(index, key, now=NOW, allow_anonymous=anonymous)
    error = caught.value
    assert error.status == 401
    assert error.error.code == "invalid_api_key"
    assert error.error.type == "invalid_request_error"
    assert error.should_retry is False
    assert dict(error.headers) == {b"www-authenticate": b"Bearer"}
    return error


def test_a_known_key_names_its_namespace_entry_and_id() -> None:
    key = entry()
    caller = authenticate(KeyIndex([key]), KEY, now=NOW)
    assert (caller.namespace, caller.key, caller.key_id) == ("team", key, KEY_ID)


def test_a_key_made_elsewhere_is_known_by_its_digest() -> None:
    index = KeyIndex([entry("own", held("a key of their own, 30 chars.."))])
    assert authenticate(index, "a key of their own, 30 chars..", now=NOW).key_id == "other"


@pytest.mark.parametrize("anonymous", [False, True])
@pytest.mark.parametrize(
    ("key", "word"),
    [
        (entry(revoked=True), "revoked"),
        (entry(expires_at=NOW), "expired"),
        (entry(expires_at=NOW - 1, revoked=True), "revoked"),
        (entry("ci", held(KEY, not_after=NOW)), "replaced"),
        (entry("ci", held(KEY, not_after=NOW - 9), expires_at=NOW + 9), "replaced"),
    ],
)
def test_an_ended_key_is_refused_with_the_reason_also_where_anonymous_callers_are_served(
    key: ClientKey, word: str, anonymous: bool
) -> None:
    error = refusal(KeyIndex([key]), KEY, anonymous=anonymous)
    assert word in error.error.message
    assert KEY_ID in error.error.message


def test_a_key_serves_until_the_second_it_ends() -> None:
    index = KeyIndex([entry("ci", held(KEY, not_after=NOW + 1), expires_at=NOW + 5)])
    assert authenticate(index, KEY, now=NOW + 0.99).key_id == KEY_ID
    with pytest.raises(ApiError, match="replaced"):
        authenticate(index, KEY, now=NOW + 1)


def test_in_a_rotation_both_keys_serve_until_the_overlap_ends() -> None:
    index = KeyIndex([entry("ci", held(KEY), held(OLD_KEY, not_after=NOW + 60))])
    assert authenticate(index, KEY, now=NOW + 61).key_id == KEY_ID
    assert authenticate(index, OLD_KEY, now=NOW + 59).key_id == key_id(OLD_KEY)
    with pytest.raises(ApiError, match="replaced"):
        authenticate(index, OLD_KEY, now=NOW + 61)


def test_without_any_key_configured_the_refusal_says_how_to_make_one() -> None:
    for key in (None, KEY):
        assert refusal(KeyIndex(), key).error.message == (
            "No client key is configured: apply an ApiKey with spec.client, "
            "or start with --allow-anonymous."
        )


def test_an_entry_without_digests_still_counts_as_a_configured_key() -> None:
    key = ClientKey(namespace="team", name="broken", digests=())
    assert "No client key is configured" not in refusal(KeyIndex([key]), KEY).error.message


def test_missing_mistyped_and_unknown_keys_are_told_apart_and_never_echoed() -> None:
    index = KeyIndex([entry()])
    stranger = mint()
    assert "Bearer" in refusal(index, None).error.message
    assert "checksum" in refusal(index, KEY[:-1]).error.message
    unknown = refusal(index, stranger).error.message
    assert str(key_id(stranger)) in unknown
    for presented in (KEY[:-1], stranger, "x" * 40, "schlüssel-ganz-ohne-ascii", "\udcff" * 20):
        error = refusal(index, presented)
        assert presented not in error.error.message
        assert presented.split("-")[-1] not in error.error.message


def test_what_is_longer_than_any_key_is_unknown() -> None:
    long = "k" * 513
    assert "Incorrect" in refusal(KeyIndex([entry("ci", held(long))]), long).error.message


@pytest.mark.parametrize(
    "key", [None, "unknown-key-of-a-client", KEY[:-1]], ids=["none", "unknown", "mistyped"]
)
def test_anonymous_callers_are_served_as_the_default_namespace(key: str | None) -> None:
    for index in (KeyIndex(), KeyIndex([entry()])):
        caller = authenticate(index, key, now=NOW, allow_anonymous=True)
        assert (caller.namespace, caller.key, caller.key_id) == ("default", None, None)
        assert may_call(caller, "anything")


def test_of_two_entries_with_one_digest_the_first_keeps_it() -> None:
    index = KeyIndex([entry("first"), entry("second", namespace="other")])
    assert authenticate(index, KEY, now=NOW).namespace == "team"


def test_a_caller_is_frozen() -> None:
    caller = Caller("team", None, None)
    with pytest.raises(FrozenInstanceError):
        caller.namespace = "other"  # pyright: ignore[reportAttributeAccessIssue] -- the point


def run_through(steps: Generator[None, None, KeyIndex]) -> tuple[int, KeyIndex]:
    """How often it paused, and what it came to."""
    pauses = 0
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return pauses, end.value
        pauses += 1


def test_an_index_is_made_in_slices_and_keeps_what_did_not_change() -> None:
    keys = [entry(f"k{number}", held(f"made-up-key-{number:08}")) for number in range(1201)]
    pauses, first = run_through(KeyIndex.steps(keys))
    assert pauses == 2 + 12  # to gather them, and to look at them
    assert len(first) == 1201
    changed = [*keys[:600], entry("k600", held("a-brand-new-key-600")), *keys[601:]]
    _, second = run_through(KeyIndex.steps(changed, first))
    kept = authenticate(second, "made-up-key-00000007", now=NOW)
    assert kept is authenticate(first, "made-up-key-00000007", now=NOW)
    assert authenticate(second, "a-brand-new-key-600", now=NOW).namespace == "team"
    refusal(second, "made-up-key-00000600")
    _, third = run_through(KeyIndex.steps(changed, second))
    assert third is second
    _, fewer = run_through(KeyIndex.steps(changed[:-1], third))
    refusal(fewer, "made-up-key-00001200")


@pytest.mark.parametrize(
    ("headers", "key"),
    [
        ({"Authorization": "Bearer abc"}, "abc"),
        ({"authorization": "bearer abc"}, "abc"),
        ({"AUTHORIZATION": "BEARER   abc  "}, "abc"),
        ({"api-key": "abc"}, "abc"),
        ({"Api-Key": " abc "}, "abc"),
        ({"Authorization": "Bearer abc", "api-key": "xyz"}, "abc"),
        ({"Authorization": "Basic dTpw", "api-key": "xyz"}, "xyz"),
        ({"Authorization": "Basic dTpw"}, None),
        ({"Authorization": "Bearer"}, None),
        ({"Authorization": "Bearer "}, None),
        ({"Authorization": "abc"}, None),
        ({"api-key": ""}, None),
        ({}, None),
    ],
)
def test_where_a_key_is_looked_for(headers: dict[str, str], key: str | None) -> None:
    assert presented_key(CIMultiDict(headers)) == key


@pytest.mark.parametrize(
    ("patterns", "model", "allowed"),
    [
        (("*",), "openai/o1-pro", True),
        ((), "echo", False),
        (("echo",), "echo", True),
        (("echo",), "echo2", False),
        (("claude-*", "gpt-4.1"), "claude-opus", True),
        (("claude-*", "gpt-4.1"), "gpt-4.1-mini", False),
        (("*/claude-*",), "anthropic/claude-3", True),
        (("openai/*",), "openai/*", True),
        (("a*a",), "a", False),
        (("a*a",), "aa", True),
        (("gpt-4.1",), "gpt-4x1", False),
        (("gpt-[45]",), "gpt-4", False),
        (("*a*b*c*",), "xaxbxcx", True),
        (("*a*b*c*",), "xaxcxbx", False),
    ],
)
def test_model_patterns(patterns: tuple[str, ...], model: str, allowed: bool) -> None:
    caller = authenticate(KeyIndex([entry(models=patterns)]), KEY, now=NOW)
    assert may_call(caller, model) is allowed


@given(st.text("ab*", max_size=8), st.text("ab", max_size=10))
def test_patterns_mean_what_shell_patterns_with_only_a_star_mean(pattern: str, text: str) -> None:
    assert allows((pattern,), text) == bool(re.fullmatch(fnmatch.translate(pattern), text))


def test_a_pattern_of_many_stars_is_no_way_to_hold_the_gateway() -> None:
    assert not allows(("*a" * 500 + "b",), "a" * 127)


def test_a_key_without_the_model_gets_403_and_the_models_name() -> None:
    caller = authenticate(KeyIndex([entry(models=("echo",))]), KEY, now=NOW)
    error = model_refused(caller, "gpt-4.1")
    assert (error.status, error.error.code, error.error.param) == (403, "model_not_found", "model")
    assert error.error.message == f"Key {KEY_ID} does not have access to model 'gpt-4.1'."

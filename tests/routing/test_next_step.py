"""What follows an attempt: the order of the means, and that there is an end."""

import math
import random

from hypothesis import given
from hypothesis import strategies as st

from sluicegate.config import Fallback, Retry
from sluicegate.model import ErrorBody
from sluicegate.routing.attempts import (
    MOST_ATTEMPTS,
    Attempt,
    Outcome,
    Skip,
    Skipped,
    Standing,
    Step,
    describe,
    next_step,
    outcome_of_error,
    pause_before_repeat,
    serves,
    usefulness,
)

NOTHING = Standing(
    attempts=1,
    time_left=math.inf,
    last=Outcome.SERVER_ERROR,
    other=False,
    out=False,
    pause=None,
    fallback=False,
    earlier=False,
    budget=True,
)
FAILURES = [each for each in Outcome if each not in {Outcome.OK, Outcome.CANCELLED}]


def test_the_means_in_their_order() -> None:
    rich = NOTHING._replace(other=True, pause=0.1, fallback=True, out=True)
    assert next_step(rich) is Step.NEXT
    assert next_step(rich._replace(other=False)) is Step.REPEAT
    assert next_step(rich._replace(other=False, pause=5.0)) is Step.FALLBACK
    assert next_step(rich._replace(other=False, budget=False)) is Step.FALLBACK
    lonely = rich._replace(other=False, fallback=False, pause=None)
    assert next_step(lonely) is Step.LAST_RESORT
    assert next_step(lonely._replace(budget=False)) is Step.GIVE_UP
    assert next_step(lonely._replace(budget=False, attempts=0)) is Step.LAST_RESORT
    assert next_step(NOTHING) is Step.GIVE_UP
    assert next_step(NOTHING._replace(earlier=True)) is Step.RETURN
    assert next_step(lonely._replace(earlier=True)) is Step.LAST_RESORT


def test_a_long_wait_is_begun_only_where_there_is_nothing_else() -> None:
    patient = NOTHING._replace(pause=20.0)
    assert next_step(patient) is Step.REPEAT
    assert next_step(patient._replace(pause=31.0)) is Step.GIVE_UP
    assert next_step(patient._replace(time_left=19.0)) is Step.GIVE_UP
    assert next_step(patient._replace(out=True)) is Step.LAST_RESORT


def test_what_is_wrong_with_the_request_goes_nowhere_but_to_a_fallback_for_it() -> None:
    for outcome in (Outcome.CLIENT_ERROR, Outcome.CONTEXT_WINDOW, Outcome.CONTENT_POLICY):
        refused = NOTHING._replace(last=outcome, other=True, pause=0.1, out=True, earlier=True)
        assert next_step(refused) is Step.GIVE_UP
        assert next_step(refused._replace(fallback=True)) is Step.FALLBACK


@given(
    st.builds(
        Standing,
        attempts=st.integers(0, 20),
        time_left=st.floats(-1, 100),
        last=st.none() | st.sampled_from(FAILURES),
        other=st.booleans(),
        out=st.booleans(),
        pause=st.none() | st.floats(0, 100),
        fallback=st.booleans(),
        earlier=st.booleans(),
        budget=st.booleans(),
    )
)
def test_a_step_is_possible_and_within_its_bounds(standing: Standing) -> None:
    step = next_step(standing)
    if standing.attempts >= MOST_ATTEMPTS or (standing.attempts and standing.time_left <= 0):
        assert step is Step.GIVE_UP
    if step is Step.NEXT:
        assert standing.other
    if step is Step.FALLBACK:
        assert standing.fallback
    if step is Step.LAST_RESORT:
        assert standing.out
    if step is Step.RETURN:
        assert standing.earlier
    if step is Step.REPEAT:
        assert standing.budget
        assert standing.pause is not None
        assert standing.pause < standing.time_left
    if not standing.budget and standing.attempts:
        assert step in {Step.NEXT, Step.FALLBACK, Step.RETURN, Step.GIVE_UP}


@given(
    st.builds(Retry, attempts=st.integers(1, 10), backoff=st.floats(0, 60)),
    st.integers(1, 10),
    st.sampled_from(FAILURES),
    st.none() | st.floats(0, 1e5),
    st.floats(0, 1e5),
    st.floats(0, 1, exclude_max=True),
    st.booleans(),
)
def test_a_pause_keeps_to_the_upstreams_word_and_the_clients_time(
    retry: Retry,
    tried: int,
    outcome: Outcome,
    retry_after: float | None,
    time_left: float,
    share: float,
    last: bool,
) -> None:
    pause = pause_before_repeat(retry, tried, outcome, retry_after, time_left, share, last=last)
    if pause is not None:
        assert tried < retry.attempts
        assert outcome.repeatable
        assert (retry_after or 0.0) <= pause < time_left
        jittered = share * retry.backoff * 2.0 ** (tried - 1)
        assert math.isclose(pause, max(jittered, retry_after or 0.0))


def test_errors_are_told_apart_by_their_codes() -> None:
    def outcome(status: int, code: str | None) -> Outcome:
        return outcome_of_error(status, ErrorBody("", "", None, code))

    assert outcome(400, "context_length_exceeded") is Outcome.CONTEXT_WINDOW
    assert outcome(400, "content_filter") is Outcome.CONTENT_POLICY
    assert outcome(400, "content_policy_violation") is Outcome.CONTENT_POLICY
    assert outcome(403, "content_policy_violation") is Outcome.CONTENT_POLICY
    assert outcome(403, "upstream_credential") is Outcome.CREDENTIAL
    assert outcome(400, "upstream_credential") is Outcome.CREDENTIAL
    assert outcome(404, "model_not_found") is Outcome.NOT_FOUND
    assert outcome(404, None) is Outcome.CLIENT_ERROR
    assert outcome(400, "previous_response_not_found") is Outcome.CLIENT_ERROR
    assert outcome(429, "insufficient_quota") is Outcome.QUOTA
    assert outcome(429, "rate_limit_exceeded") is Outcome.RATE_LIMITED
    assert outcome(500, "context_length_exceeded") is Outcome.SERVER_ERROR


def test_a_fallback_serves_its_causes_or_all() -> None:
    assert serves(Fallback("m"), {"Timeout"})
    assert serves(Fallback("m", ("Error", "Timeout")), {"Timeout", "RateLimited"})
    assert not serves(Fallback("m", ("Error",)), {"Timeout"})
    assert not serves(Fallback("m"), set())


def test_every_failure_has_its_place_among_the_errors_to_tell() -> None:
    told = [each for each in FAILURES if each is not Outcome.BROKEN_STREAM]
    random.Random(1).shuffle(told)
    ordered = sorted(told, key=usefulness, reverse=True)
    assert ordered[0] is Outcome.CLIENT_ERROR
    assert ordered[-1] is Outcome.CREDENTIAL
    assert ordered.index(Outcome.RATE_LIMITED) < ordered.index(Outcome.SERVER_ERROR)


def test_a_course_is_told_compactly_and_in_order() -> None:
    course: list[Attempt | Skipped] = [
        Skipped("a/one", Skip.COOLDOWN),
        Attempt("a/two", Outcome.SERVER_ERROR, 503, 0.1),
        Attempt("a/three", Outcome.OK, 200, 0.1),
    ]
    assert describe(course) == "a/one=cooldown;a/two=server_error(503);a/three=ok"
    crowd = [Skipped(f"a/{count}", Skip.FULL) for count in range(50)]
    assert describe([*crowd, course[-1]]).endswith(";a/7=full;a/three=ok;skipped=42")

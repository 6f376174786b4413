"""When a deployment is taken out of rotation, probed, and back."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.config import Cooldown
from sluicegate.routing.attempts import Outcome
from sluicegate.routing.health import (
    FORGIVEN_AFTER,
    LEAST_ATTEMPTS,
    LEAST_RETRIES,
    LONGEST_EJECTION,
    LONGEST_WAIT,
    RETRY_SHARE,
    WINDOW,
    DeploymentState,
    Latency,
    RetryBudget,
    States,
)

THRICE = Cooldown(failures=3, duration=5.0)
ERROR = Outcome.SERVER_ERROR


def fail(
    state: DeploymentState,
    now: float,
    outcome: Outcome = ERROR,
    *,
    began: float | None = None,
    wait: float | None = None,
) -> None:
    """A whole attempt that fails."""
    began = now if began is None else began
    state.begin(began, streamed=True)
    state.failed(now, began, THRICE, outcome, wait=wait)
    state.end(began, streamed=True, answered=False)


def succeed(state: DeploymentState, now: float) -> None:
    """A whole attempt that is answered at once."""
    state.begin(now, streamed=True)
    state.answered(now, now, streamed=True)
    state.succeeded(now, now)
    state.end(now, streamed=True, answered=True)


def ejected(duration: float = 5.0) -> DeploymentState:
    """One that was ejected at 0."""
    state = DeploymentState()
    state.failed(0.0, 0.0, Cooldown(failures=1, duration=duration), ERROR)
    assert state.out
    return state


def test_failures_in_a_row_take_it_out() -> None:
    state = DeploymentState()
    for now in (1.0, 2.0):
        fail(state, now)
        assert not state.out
    fail(state, 3.0)
    assert (state.out, state.until, state.cause) == (True, 8.0, ERROR)


def test_a_success_ends_the_row() -> None:
    state = DeploymentState()
    for now in range(10):
        fail(state, now)
        fail(state, now)
        succeed(state, now)
    assert not state.out


@pytest.mark.parametrize("outcome", [Outcome.CREDENTIAL, Outcome.NOT_FOUND, Outcome.QUOTA])
def test_what_lasts_takes_it_out_at_once(outcome: Outcome) -> None:
    state = DeploymentState()
    fail(state, 1.0, outcome)
    assert (state.out, state.until) == (True, 6.0)


def test_it_stays_away_as_long_as_it_asked_for() -> None:
    state = DeploymentState()
    fail(state, 1.0, Outcome.RATE_LIMITED, wait=17.0)
    assert (state.out, state.until) == (True, 18.0)
    endless = DeploymentState()
    fail(endless, 0.0, Outcome.RATE_LIMITED, wait=86_400.0)
    assert endless.until == LONGEST_WAIT


def test_half_of_its_attempts_failing_takes_it_out() -> None:
    state = DeploymentState()
    for count in range(LEAST_ATTEMPTS // 2 - 1):
        succeed(state, count * 0.1)
        fail(state, count * 0.1)
    assert not state.out
    succeed(state, 2.0)
    fail(state, 2.0)
    assert state.out


def test_failures_that_are_long_past_are_forgotten() -> None:
    state = DeploymentState()
    for count in range(30):
        now = count * WINDOW
        succeed(state, now)
        fail(state, now)
    assert not state.out


def test_one_request_probes_when_its_time_is_over() -> None:
    state = ejected()
    assert not state.due(4.9)
    assert state.due(5.0)
    state.begin(5.0, streamed=True)
    assert not state.due(5.0)
    state.answered(5.5, 5.0, streamed=True)
    assert not state.out


def test_a_probe_that_fails_doubles_the_time_up_to_a_bound() -> None:
    state = ejected()
    now, waits = 0.0, list[float]()
    for _ in range(8):
        now = state.until
        fail(state, now)
        waits.append(state.until - now)
    assert waits[:4] == [10.0, 20.0, 40.0, 60.0]
    assert set(waits[3:]) == {LONGEST_EJECTION}


def probed(state: DeploymentState, now: float) -> None:
    """A probe that has output, and is not over yet."""
    state.begin(now, streamed=True)
    state.answered(now + 0.1, now, streamed=True)
    assert not state.out


def test_a_probe_that_answers_and_then_breaks_off_takes_it_out_again() -> None:
    state = ejected()
    probed(state, 5.0)
    state.failed(6.0, 5.0, THRICE, Outcome.BROKEN_STREAM)
    assert (state.out, state.until) == (True, 16.0)


def test_a_probe_that_breaks_off_shows_nothing_once_others_have_ended_well() -> None:
    state = ejected()
    probed(state, 5.0)
    succeed(state, 6.0)
    state.failed(7.0, 5.0, THRICE, Outcome.BROKEN_STREAM)
    assert not state.out


def test_a_probe_without_a_verdict_leaves_room_for_the_next() -> None:
    state = ejected()
    state.begin(5.0, streamed=True)
    state.end(5.0, streamed=True, answered=False)
    assert state.due(5.1)
    assert state.in_flight == 0


def test_after_a_good_while_the_first_ejection_is_as_short_as_ever() -> None:
    state = ejected()
    now = state.until
    succeed(state, now)
    fail(state, now + 1, Outcome.CREDENTIAL)
    assert state.until == now + 1 + 10.0
    now = state.until
    succeed(state, now)
    fail(state, now + FORGIVEN_AFTER + 1, Outcome.CREDENTIAL)
    assert state.until == now + FORGIVEN_AFTER + 1 + 5.0


def test_attempts_from_before_say_nothing_any_more() -> None:
    """Of hundreds that hang when it is ejected, none lengthens its time or brings it back."""
    state = ejected()
    until = state.until
    fail(state, 4.0, Outcome.TIMEOUT, began=-1.0)
    state.begin(-1.0, streamed=True)
    state.answered(4.0, -1.0, streamed=True)
    state.succeeded(4.0, -1.0)
    assert (state.out, state.until) == (True, until)
    succeed(state, until)
    for _ in range(10):
        fail(state, until + 1, Outcome.TIMEOUT, began=until - 1)
    assert not state.out


def test_a_last_resort_that_fails_changes_nothing_and_one_that_succeeds_brings_it_back() -> None:
    state = ejected()
    fail(state, 1.0)
    assert (state.out, state.until) == (True, 5.0)
    succeed(state, 2.0)
    assert not state.out


def test_a_latency_follows_what_is_measured_and_old_ones_fade() -> None:
    latency = Latency()
    latency.measure(0.0, 2.0)
    assert latency.seconds == 2.0
    latency.measure(0.01, 1.0)
    assert 1.9 < latency.seconds < 2.0
    latency.measure(60.0, 0.1)
    assert latency.seconds == pytest.approx(0.1, abs=1e-4)


def test_a_silence_is_a_latency_too() -> None:
    state = DeploymentState()
    succeed(state, 0.0)
    state.streamed.seconds = 0.1
    state.begin(1.0, streamed=True)
    assert state.streamed.expected(1.05) == 0.1
    assert state.streamed.expected(2.0) == 1.0
    state.end(1.0, streamed=True, answered=False)
    assert state.streamed.expected(2.0) == 0.1


def test_a_retry_budget_is_a_share_of_the_requests_and_a_little() -> None:
    budget = RetryBudget()
    for _ in range(100):
        budget.request(0.0)
    spent = 0
    while budget.left(1.0):
        budget.repeat(1.0)
        spent += 1
    assert spent == LEAST_RETRIES + RETRY_SHARE * 100
    assert budget.left(1.0 + 3 * WINDOW)


def test_states_outlive_a_configuration_but_not_their_entry() -> None:
    states = States()
    one, other = states.deployment("md/a/one"), states.deployment("md/a/other")
    budget = states.budget("pool/a/m")
    states.keep({"md/a/one", "pool/a/m"})
    assert states.deployment("md/a/one") is one
    assert states.deployment("md/a/other") is not other
    assert states.budget("pool/a/m") is budget


EVENTS = st.lists(
    st.tuples(
        st.floats(0, 20),  # seconds since the event before
        st.floats(0, 30),  # how long the attempt has taken
        st.sampled_from([*Outcome]),
        st.none() | st.floats(0.1, 1e6),
    ),
    max_size=60,
)


@given(EVENTS, st.floats(0, 600))
def test_it_is_never_out_for_longer_than_its_bound(
    events: list[tuple[float, float, Outcome, float | None]], duration: float
) -> None:
    state = DeploymentState()
    cooldown = Cooldown(failures=2, duration=duration)
    now = 100.0
    for pause, took, outcome, wait in events:
        now += pause
        state.begin(now - took, streamed=True)
        if outcome is Outcome.OK:
            state.answered(now, now - took, streamed=True)
            state.succeeded(now, now - took)
        elif outcome.blames:
            state.failed(now, now - took, cooldown, outcome, wait=wait)
        state.end(now - took, streamed=True, answered=outcome is Outcome.OK)
        assert state.in_flight == 0
        assert state.streamed.waiting == 0
        assert not state.probing
        longest = max(duration, LONGEST_EJECTION, LONGEST_WAIT)
        assert state.until - now <= longest + 1e-6
        assert not state.out or state.due(math.inf)

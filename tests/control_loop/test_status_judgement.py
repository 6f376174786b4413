"""What a status says: the latch, the reasons, the times."""

from __future__ import annotations

from typing import Any, TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluicegate_operator.status.fleet import Fleet, Gateway
from sluicegate_operator.status.judge import Facts, Standing, plan_status
from sluicegate_operator.status.values import Status, Truth

NOW = "2027-01-01T00:00:00Z"
LATER = "2027-01-01T00:01:00Z"
Said: TypeAlias = tuple[str, Truth, str, str]
FINE: tuple[Said, ...] = (
    ("Accepted", "True", "Valid", "ok"),
    ("ResolvedRefs", "True", "Resolved", "ok"),
)


def facts(**changes: Any) -> Facts:  # noqa: ANN401 -- any field of Facts
    values: dict[str, Any] = {
        "generation": 1,
        "conditions": FINE,
        "revision": "r1",
        "held_since": 5,
    }
    return Facts(**{**values, **changes})


def fleet(*gateways: Gateway, replicas: int | None = None) -> Fleet:
    return Fleet(gateways, replicas)


def gateway(name: str, sequence: int, **more: Any) -> Gateway:  # noqa: ANN401 -- any field of it
    return Gateway(name, sequence, **more)


def judged(
    facts: Facts, fleet: Fleet, before: Status | None = None, now: str = NOW
) -> tuple[Status, str, str]:
    """The status, the reason of Programmed, and what Ready says."""
    status = plan_status(facts, before or Status(), fleet, "ns/sluicegate", now, latch=True)
    programmed, ready = status.condition("Programmed"), status.condition("Ready")
    assert programmed is not None
    assert ready is not None
    return status, programmed.reason, f"{ready.status} {ready.reason}"


def test_ready_when_every_gateway_has_acknowledged() -> None:
    status, reason, ready = judged(facts(), fleet(gateway("a", 5), gateway("b", 7)))
    assert (reason, ready) == ("Converged", "True Ready")
    assert status.gateways is not None
    assert status.gateways.summary == "2/2"
    assert status.condition("Reconciling") is None
    assert status.condition("Stalled") is None


def test_one_that_lags_is_counted_and_named() -> None:
    status, reason, ready = judged(facts(), fleet(gateway("a", 5), gateway("b", 4)))
    assert (reason, ready) == ("Waiting", "False Waiting")
    assert status.gateways is not None
    assert status.gateways.summary == "1/2"
    programmed = status.condition("Programmed")
    assert programmed is not None
    assert "b" in programmed.message
    assert status.condition("Reconciling") is not None


@pytest.mark.parametrize(
    ("gateways", "reason"),
    [
        ((), "NoGateways"),
        ((gateway("a", 0),), "Waiting"),
        ((gateway("a", 5), gateway("b", 5, voice="silent")), "GatewayUnreachable"),
        ((gateway("a", 5), gateway("b", 4, error="no such schema")), "Rejected"),
        ((gateway("a", 0, error="no such schema"),), "Rejected"),
        ((gateway("a", 5), gateway("b", 5, error="refuses a later one")), "Converged"),
        ((gateway("a", 5), gateway("b", 4, error="x", voice="silent")), "GatewayUnreachable"),
        ((gateway("a", 5), gateway("starting", 0)), "Converged"),
        ((gateway("a", 5, voice="unconfirmed"),), "Waiting"),
    ],
)
def test_programmed_has_a_reason(gateways: tuple[Gateway, ...], reason: str) -> None:
    assert judged(facts(), fleet(*gateways))[1] == reason


def test_why_a_gateway_refuses_is_said() -> None:
    status, _, ready = judged(facts(), fleet(gateway("b", 4, error="shard 03 is torn")))
    assert ready == "False Rejected"
    condition = status.condition("Ready")
    assert condition is not None
    assert "shard 03 is torn" in condition.message


def test_a_gateway_that_cannot_call_what_it_serves_is_named_with_its_reason() -> None:
    mine = facts(entry_id="md/ns/a")
    converged = judged(mine, fleet(gateway("a", 5)))[0]
    refused = {"md/ns/a": "has no credentials: set OPENAI_API_KEY"}
    for latest, reason in ((5, "Rejected"), (4, "Converged")):  # 4: the version before
        fleets = fleet(gateway("a", 5), gateway("b", latest, refused=refused))
        status, found, _ = judged(mine, fleets, converged)
        assert found == reason
    status, _, ready = judged(mine, fleet(gateway("a", 5), gateway("b", 5, refused=refused)))
    assert ready == "False Rejected"
    told = status.condition("Ready")
    assert told is not None
    assert "gateway b can't call it: has no credentials: set OPENAI_API_KEY." in told.message
    assert status.gateways is not None
    assert status.gateways.summary == "1/2"
    assert judged(facts(entry_id="md/ns/b"), fleet(gateway("b", 5, refused=refused)))[1] == (
        "Converged"
    )


def test_a_warning_makes_nothing_less_ready() -> None:
    warned = (*FINE, ("PriceUnknown", "True", "PriceUnknown", "no price is known for 'm'"))
    status, reason, ready = judged(facts(conditions=warned), fleet(gateway("a", 5)))
    assert (reason, ready) == ("Converged", "True Ready")
    warning = status.condition("PriceUnknown")
    assert warning is not None
    assert (warning.status, warning.message) == ("True", "no price is known for 'm'")
    assert status.condition("Reconciling") is None
    assert status.condition("Stalled") is None


def test_what_has_no_entry_is_not_programmed() -> None:
    broken = (("Accepted", "False", "InvalidSpec", "spec.weight: must be less"), FINE[1])
    status, reason, ready = judged(
        facts(conditions=broken, revision=None, held_since=None), fleet(gateway("a", 5))
    )
    assert (reason, ready) == ("Waiting", "False InvalidSpec")
    assert status.condition("Stalled") is not None
    assert status.condition("Reconciling") is None


def test_a_missing_reference_is_reconciling() -> None:
    missing = (FINE[0], ("ResolvedRefs", "False", "SecretNotFound", "create it"))
    status, reason, ready = judged(facts(conditions=missing), fleet(gateway("a", 5)))
    assert (reason, ready) == ("Converged", "False SecretNotFound")
    assert status.condition("Reconciling") is not None
    assert status.condition("Stalled") is None


@pytest.mark.parametrize(
    ("standing", "expected"),
    [("Suspended", "True Suspended"), ("Revoked", "True Revoked"), ("Expired", "False Expired")],
)
def test_standing_is_readys_reason_once_programmed(standing: str, expected: str) -> None:
    assert judged(facts(standing=standing), fleet(gateway("a", 5)))[2] == expected
    assert judged(facts(standing=standing), fleet(gateway("a", 4)))[2] == "False Waiting"


def test_latched_stays_true_while_a_gateway_restarts_from_an_older_copy() -> None:
    ready, _, _ = judged(facts(), fleet(gateway("a", 5), gateway("b", 5)))
    status, reason, _ = judged(facts(), fleet(gateway("a", 5), gateway("b", 3)), ready)
    assert reason == "Converged"
    assert status.gateways is not None
    assert status.gateways.summary == "1/2"


def test_a_new_revision_opens_the_latch() -> None:
    ready, _, _ = judged(facts(), fleet(gateway("a", 5)))
    newer = facts(generation=2, revision="r2", held_since=6)
    assert judged(newer, fleet(gateway("a", 5)), ready)[1] == "Waiting"
    assert judged(newer, fleet(gateway("a", 6)), ready)[1] == "Converged"


def test_a_revision_that_was_published_anew_is_to_be_acknowledged_anew() -> None:
    ready, _, _ = judged(facts(), fleet(gateway("a", 5)))
    again = facts(held_since=7)  # another one was published in between
    for latch, expected in ((True, "Converged"), (False, "Waiting")):
        behind = fleet(gateway("a", 6))
        status = plan_status(again, ready, behind, "ns/sluicegate", NOW, latch=latch)
        programmed = status.condition("Programmed")
        assert programmed is not None
        assert programmed.reason == expected


def test_a_restarted_operator_keeps_what_it_has_not_heard_otherwise() -> None:
    unheard = fleet(gateway("a", 5, voice="unconfirmed"))
    ready, _, _ = judged(facts(), fleet(gateway("a", 5)))
    assert judged(facts(), unheard, ready)[1] == "Converged"
    silent, _, _ = judged(facts(), fleet(gateway("a", 5, voice="silent")))
    assert judged(facts(), unheard, silent)[1] == "Waiting"


def test_transition_time_is_kept_while_the_status_is() -> None:
    first, _, _ = judged(facts(), fleet(gateway("a", 4)))
    second, _, _ = judged(facts(), fleet(), first, LATER)
    third, _, _ = judged(facts(), fleet(gateway("a", 5)), second, LATER)
    times = [
        condition.last_transition_time
        for status in (first, second, third)
        if (condition := status.condition("Ready")) is not None
    ]
    assert times == [NOW, NOW, LATER]


def test_desired_counts_replicas_that_have_never_started() -> None:
    status, reason, _ = judged(facts(), fleet(gateway("a", 5), replicas=3))
    assert reason == "Converged"
    assert status.gateways is not None
    assert status.gateways.summary == "1/3"


# --- any sequence of gateways and facts -----------------------------------------------------------

GATEWAYS = st.builds(
    Gateway,
    name=st.sampled_from(["a", "b", "c"]),
    sequence=st.integers(0, 6),
    error=st.sampled_from(["", "", "", "refused"]),
    voice=st.sampled_from(["live", "live", "unconfirmed", "silent"]),
    refused=st.sampled_from([{}, {}, {}, {"md/ns/a": "has no credentials"}]),
)
FLEETS = st.builds(
    Fleet, st.lists(GATEWAYS, max_size=3, unique_by=lambda gateway: gateway.name).map(tuple)
)
STANDINGS: tuple[Standing, ...] = ("Ready", "Suspended", "Expired")
FACTS = st.builds(
    Facts,
    generation=st.integers(1, 3),
    conditions=st.just(FINE),
    revision=st.sampled_from(["r1", "r2"]),
    held_since=st.none() | st.integers(1, 6),
    standing=st.sampled_from(STANDINGS),
    entry_id=st.just("md/ns/a"),
)


@given(st.lists(st.tuples(FACTS, FLEETS), min_size=1, max_size=12))
def test_the_latch_holds_over_any_history(history: list[tuple[Facts, Fleet]]) -> None:
    status = Status()
    for one, gateways in history:
        after = plan_status(one, status, gateways, "ns/sluicegate", NOW, latch=True)
        programmed = after.condition("Programmed")
        assert programmed is not None
        before = status.condition("Programmed")
        latched = before is not None and before.status == "True" and status.revision == one.revision
        serving = gateways.serving
        behind = [g for g in serving if one.held_since is None or g.sequence < one.held_since]
        silent = any(g.voice == "silent" for g in serving)
        unable = any(g.refused and g not in behind for g in serving)
        if programmed.status == "True":
            assert serving
            assert not silent
            assert not unable
            assert latched or not behind
        elif latched and one.held_since is not None:
            rejecting = any(g.error and g.sequence < one.held_since for g in gateways.gateways)
            assert not serving or silent or rejecting or unable
        assert plan_status(one, after, gateways, "ns/sluicegate", LATER, latch=True) == after
        status = after

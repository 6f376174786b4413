"""W3C trace context: what is taken from a client, and what an upstream is told."""

from __future__ import annotations

import re
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.telemetry.trace import Parent, Trace, begin, parse_parent, parse_state

SOUND = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
trace_ids = st.integers(1, 2**128 - 1).map(lambda drawn: f"{drawn:032x}")
span_ids = st.integers(1, 2**64 - 1).map(lambda drawn: f"{drawn:016x}")


@given(trace_ids, span_ids, st.integers(0, 255))
def test_every_sound_parent_is_read(trace_id: str, span_id: str, flags: int) -> None:
    value = f"00-{trace_id}-{span_id}-{flags:02x}"
    assert parse_parent(value) == Parent(trace_id, span_id, flags % 2 == 1)


@given(st.one_of(st.text(), st.text(string.hexdigits + "-", max_size=60)))
def test_what_is_read_of_any_text_is_sound(text: str) -> None:
    parent = parse_parent(text)
    if parent is not None:
        assert re.fullmatch(r"[0-9a-f]{32}", parent.trace_id)
        assert re.fullmatch(r"[0-9a-f]{16}", parent.span_id)
        assert int(parent.trace_id, 16)
        assert int(parent.span_id, 16)


@given(st.integers(0, len(SOUND) - 1), st.characters())
def test_one_other_character_is_another_parent_or_none(at: int, other: str) -> None:
    changed = SOUND[:at] + other + SOUND[at + 1 :]
    found = parse_parent(changed)
    if changed != SOUND and found is not None:
        assert other in string.hexdigits.lower()
        assert changed[:2] != "ff"


@pytest.mark.parametrize(
    "value",
    [
        None,
        "",
        SOUND + "-",
        SOUND + "\n",
        SOUND.upper(),
        SOUND.replace("00-", "ff-", 1),
        SOUND.replace("0af7651916cd43dd8448eb211c80319c", "0" * 32),
        SOUND.replace("b7ad6b7169203331", "0" * 16),
        SOUND[:-1],
        f"{SOUND},{SOUND}",
    ],
)
def test_what_is_not_of_the_form_is_left_out(value: str | None) -> None:
    assert parse_parent(value) is None


def test_a_later_version_may_have_more() -> None:
    later = "01" + SOUND[2:]
    assert parse_parent(later) == parse_parent(SOUND) == parse_parent(later + "-what-ever")


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        ("rojo=00f067aa0ba902b7,congo=t61rcWkgMzE", "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"),
        (" a=1 ,\tb=2 ", "a=1,b=2"),
        ("tenant@vendor=x", "tenant@vendor=x"),
        ("a=1,,b=2", "a=1,b=2"),
        ("a=1,a=2", ""),
        ("A=1", ""),
        ("a=b=c", ""),
        ("a=1\r\nx: y", ""),
        ("a", ""),
        (",".join(f"k{number}=1" for number in range(33)), ""),
        ("a=" + "x" * 257, ""),
        (None, ""),
    ],
)
def test_the_state_is_passed_on_if_it_is_sound(value: str | None, kept: str) -> None:
    assert parse_state(value) == kept


@given(st.text())
def test_a_state_never_ends_a_header(text: str) -> None:
    state = parse_state(text)
    assert state.isascii()
    assert state.isprintable()
    assert len(state) <= 512


@given(st.one_of(st.none(), st.text(), st.just(SOUND)), st.floats(0, 1))
def test_what_goes_out_is_sound_whatever_came_in(value: str | None, ratio: float) -> None:
    trace = begin({} if value is None else {"traceparent": value}, ratio)
    [(name, sent)] = trace.headers("00f067aa0ba902b7")
    assert name == b"traceparent"
    assert parse_parent(sent.decode()) == Parent(trace.trace_id, "00f067aa0ba902b7", trace.sampled)
    assert int(trace.span_id, 16)


def test_a_parents_decision_is_followed_and_lots_are_drawn_without_one() -> None:
    unsampled = {"traceparent": SOUND[:-1] + "0"}
    assert not begin(unsampled, 1.0).sampled
    assert begin({"traceparent": SOUND}, 0.0).sampled
    assert not any(begin({}, 0.0).sampled for _ in range(100))
    assert all(begin({}, 1.0).sampled for _ in range(100))
    some = sum(begin({}, 0.5).sampled for _ in range(1000))
    assert 300 < some < 700


def test_the_state_goes_with_its_parent_only() -> None:
    assert begin({"tracestate": "a=1"}, 1.0).state == ""
    traced = begin({"traceparent": SOUND, "tracestate": "a=1"}, 1.0)
    assert traced.headers("00f067aa0ba902b7")[1] == (b"tracestate", b"a=1")
    assert isinstance(traced, Trace)

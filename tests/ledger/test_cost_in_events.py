"""`usage.cost` is put into the last event, and every other byte stays."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.api.cost import plain, with_cost

USAGE = '"usage": {"input_tokens": 3, "output_tokens": 4 }'


def frame(response: str, *, event: str = "response.completed", end: str = "\n") -> bytes:
    data = f'{{"type": "{event}", "response": {response}, "sequence_number": 9}}'
    return f"event: {event}{end}data: {data}{end}{end}".encode()


def test_one_member_more() -> None:
    before = frame('{"id":"r", ' + USAGE + ', "output": []}')
    after = with_cost(before, Decimal("0.00120"))
    assert after == before.replace(b"4 }", b'4,"cost":0.0012 }')


def test_an_unknown_cost_is_null() -> None:
    assert b'4,"cost":null }' in with_cost(frame("{" + USAGE + "}"), None)


def test_a_cost_that_is_there_is_replaced() -> None:
    before = frame('{"usage": {"cost": 7, "input_tokens": 3}}')
    assert with_cost(before, Decimal(2)) == before.replace(b"7", b"2")


def test_words_that_look_like_a_usage_are_left_alone() -> None:
    text = json.dumps('"usage": {"input_tokens": 3}')
    before = frame('{"output": [' + text + '], "metadata": {"usage": {}}, ' + USAGE + "}")
    assert with_cost(before, Decimal(1)) == before.replace(b"4 }", b'4,"cost":1 }')


@pytest.mark.parametrize(
    "before",
    [
        frame('{"usage": null}'),
        frame("{}"),
        frame("[]"),
        frame("null"),
        frame('{"usage": {"a": 1}, "usage": {"a": 2}}'),
        b"event: response.completed\ndata: {\ndata: }\n\n",
        b"event: response.completed\ndata: {nonsense\n\n",
        b"event: response.completed\n\n",
        b"",
    ],
)
def test_what_can_not_be_changed_stays(before: bytes) -> None:
    assert with_cost(before, Decimal(1)) == before


def test_line_ends_stay() -> None:
    before = frame("{" + USAGE + "}", end="\r\n")
    assert with_cost(before, Decimal(1)) == before.replace(b"4 }", b'4,"cost":1 }')


def test_an_empty_usage() -> None:
    assert b'"usage": {"cost":1}' in with_cost(frame('{"usage": {}}'), Decimal(1))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(
    usage=st.dictionaries(st.text(), json_values, max_size=4),
    others=st.dictionaries(st.text(), json_values, max_size=4),
    cost=st.decimals(0, 1000, places=9),
)
def test_any_response(usage: dict[str, Any], others: dict[str, Any], cost: Decimal) -> None:
    response = {**others, "usage": usage}
    after = with_cost(frame(json.dumps(response)), cost)
    data = json.loads(after.partition(b"data: ")[2], parse_float=Decimal)
    assert data["response"]["usage"].pop("cost") == cost
    usage.pop("cost", None)
    assert data["response"] == {**others, "usage": usage}


@pytest.mark.parametrize(
    ("cost", "text"), [("0.00", "0"), ("1E-10", "0.0000000001"), ("1E+3", "1000"), ("2.50", "2.5")]
)
def test_costs_are_plain_numbers(cost: str, text: str) -> None:
    assert plain(Decimal(cost)) == text

"""Answers that are newer, or worse, than the package that types them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import openai
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import sluicegate
from event_grammar import JsonObject
from responses_wire import USAGE, completed, frame, frames, message, numbered, prelude, response
from scripted_upstream import answers, streams
from served_upstream import Served
from sluicegate.sdk import ResponseStream
from spoken_wires import responses_stream

MODEL = "openai/o1-pro"


def connected(upstream: Served) -> dict[str, Any]:
    return {"api_key": "k", "base_url": f"{upstream.origin}/v1", "max_retries": 0}


def opened(upstream: Served, *pieces: bytes) -> ResponseStream:
    upstream.says(streams(*pieces))
    return sluicegate.responses(MODEL, "hi", stream=True, **connected(upstream))


def test_an_event_of_a_new_type(upstream: Served) -> None:
    new = {"type": "response.brand_new", "payload": {"a": [1]}}
    told = numbered([*prelude(), new, completed([message("Hi")])])
    events = list(opened(upstream, *frames(told)))
    assert [event.type for event in events][2:] == ["response.brand_new", "response.completed"]
    assert events[2].to_dict()["payload"] == {"a": [1]}


def test_new_items_and_values(upstream: Served) -> None:
    end = completed([{"type": "brand_new_item", "id": "x"}])
    end["response"] |= {"status": "novel", "reasoning": {"effort": "ultra"}}
    answer = opened(upstream, *frames(numbered([*prelude(), end]))).get_final_response()
    body = answer.to_dict(warnings=False)
    assert body["output"] == [{"type": "brand_new_item", "id": "x"}]
    assert answer.status == "novel"


@pytest.mark.parametrize(
    "odd",
    [
        {"usage": "lots"},
        {"usage": [1]},
        {"usage": {}},
        {"usage": {**USAGE, "input_tokens": -5}},
        {"usage": {**USAGE, "input_tokens": 2.5}},
        {"output": None},
        {"model": 7},
    ],
)
@pytest.mark.parametrize("streamed", [False, True])
def test_odd_values(upstream: Served, odd: Mapping[str, object], streamed: bool) -> None:
    body = response([], more=odd)
    if streamed:
        told = [*prelude(), {"type": "response.completed", "response": body}]
        answer = opened(upstream, *frames(numbered(told))).get_final_response()
    else:
        upstream.says(answers(json.dumps(body).encode()))
        answer = sluicegate.responses(MODEL, "hi", stream=False, **connected(upstream))
    assert answer.id == "resp_upstream0001"
    assert sluicegate.cost_usd(answer) is None


@pytest.mark.parametrize(
    "data",
    [b"{nope", b"[1]", b"1", b"\xff", b'{"a":' * 5000 + b"1" + b"}" * 5000],
    ids=["no json", "array", "number", "no text", "deep"],
)
@pytest.mark.parametrize("before", [0, 5], ids=["early", "late"])
def test_events_that_are_none(upstream: Served, data: bytes, before: int) -> None:
    bad = b"event: response.output_text.delta\ndata: " + data + b"\n\n"
    pieces = responses_stream("o1-pro", events=before)
    with pytest.raises(openai.APIError):
        opened(upstream, *pieces, bad).get_final_response()


def test_a_deep_answer(upstream: Served) -> None:
    upstream.says(answers(b'{"id": ' + b"[" * 5000 + b"]" * 5000 + b"}"))
    with pytest.raises(openai.APIError):
        sluicegate.responses(MODEL, "hi", **connected(upstream))


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
keys = st.sampled_from(sorted(response()))


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=st.dictionaries(keys, values, max_size=3))
def test_any_change_of_an_answer(upstream: Served, changes: JsonObject) -> None:
    """It is typed, leniently if need be, or refused as the package would; nothing else escapes."""
    end = {"type": "response.completed", "response": response([], more=changes)}
    try:
        events = list(opened(upstream, *frames(prelude()), frame(end)))
    except openai.APIError:
        return
    assert events[-1].type == "response.completed"

"""Real exchanges with the Gemini API, replayed: what the provider said is what the client gets."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from event_grammar import check_answer
from gemini_wire import (
    FUNCTION,
    anonymous,
    answered,
    asking,
    check_said,
    cut,
    hear,
    recorded,
    recordings,
)
from google_definitions import check_body
from sluicegate.model import TERMINAL_EVENTS, UpstreamStreamError

STREAMS = [
    *recordings("gemini-stream-*.json"),
    *recordings("gemini-jsonarray-*.json"),
]
WHOLE = [
    *recordings("gemini-json-schema.json"),
    *recordings("gemini-parallel-*.json"),
    *recordings("gemini-safety-*.json"),
]


@pytest.mark.parametrize("path", STREAMS)
def test_a_recorded_stream(path: Path) -> None:
    exchange = recorded(path)
    stream = exchange["response_body"].encode()
    events = hear(asking(), stream)
    assert sum(event.type in TERMINAL_EVENTS for event in events) == 1
    response = answered(stream)
    assert response["status"] == "completed"
    check_said(exchange, response)


@pytest.mark.parametrize("path", STREAMS)
@settings(max_examples=15)
@given(places=st.lists(st.integers(0, 100_000), max_size=12))
def test_a_recorded_stream_in_any_chunks(path: Path, places: list[int]) -> None:
    stream = recorded(path)["response_body"].encode()
    entire = anonymous(answered(stream, strict=False))
    assert anonymous(answered(*cut(stream, places), strict=False)) == entire


@pytest.mark.parametrize("path", recordings("gemini-stream-*.json"))
def test_a_recorded_stream_that_is_cut_anywhere(path: Path) -> None:
    stream = recorded(path)["response_body"].encode().rstrip()
    for end in {*range(0, len(stream) - 1, 97), len(stream) - 1}:
        made = asking()
        with pytest.raises(UpstreamStreamError):
            hear(made, stream[:end])


@pytest.mark.parametrize("path", WHOLE)
def test_a_recorded_answer_that_is_not_streamed(path: Path) -> None:
    exchange = recorded(path)
    made = asking({"stream": False, "tools": [FUNCTION]})
    response = json.loads(made.answer(exchange["response_body"].encode()))
    check_answer(response)
    check_said(exchange, response)
    if "safety" in path.stem:
        assert response["incomplete_details"] == {"reason": "content_filter"}
        assert response["output"] == []
    else:
        assert response["status"] == "completed"


@pytest.mark.parametrize("path", recordings("gemini-error-429-*.json"))
def test_a_recorded_refusal_says_how_long_to_wait(path: Path) -> None:
    exchange = recorded(path)
    error = asking().error(429, {}, exchange["response_body"].encode())
    assert (error.status, error.error.code, error.retry_after) == (429, "rate_limit_exceeded", 34.4)
    assert error.error.message == "You exceeded your current quota, please check your plan."


@pytest.mark.parametrize("path", [*STREAMS, *WHOLE])
def test_recorded_requests_pass_the_judge_of_ours(path: Path) -> None:
    """So the judge is no stricter than the provider was."""
    check_body(recorded(path)["request"]["body"])

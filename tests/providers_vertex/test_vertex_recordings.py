"""Real exchanges with Vertex AI, replayed: what the provider said is what the client gets."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from event_grammar import check_answer
from gemini_wire import (
    VERTEX,
    anonymous,
    answered,
    asking,
    check_said,
    chunks_of,
    cut,
    deployment,
    recorded,
    recordings,
)
from sluicegate.model import UpstreamStreamError

STREAMS = recordings("vertex-stream-*.json")
OF = deployment(VERTEX)


@pytest.mark.parametrize("path", STREAMS)
def test_a_recorded_stream(path: Path) -> None:
    exchange = recorded(path)
    response = answered(exchange["response_body"].encode(), of=OF)
    assert response["status"] == "completed"
    check_said(exchange, response)
    assert response["service_tier"] == ("flex" if "flex" in path.stem else "default")


@pytest.mark.parametrize("path", STREAMS)
@settings(max_examples=15)
@given(places=st.lists(st.integers(0, 100_000), max_size=12))
def test_a_recorded_stream_in_any_chunks(path: Path, places: list[int]) -> None:
    stream = recorded(path)["response_body"].encode()
    entire = anonymous(answered(stream, of=OF, strict=False))
    assert anonymous(answered(*cut(stream, places), of=OF, strict=False)) == entire


@pytest.mark.parametrize("path", STREAMS)
def test_a_recorded_stream_that_is_cut_anywhere(path: Path) -> None:
    stream = recorded(path)["response_body"].encode().rstrip()
    for end in {*range(0, len(stream) - 1, 37), len(stream) - 1}:
        made = asking(of=OF)
        made.feed(stream[:end])
        with pytest.raises(UpstreamStreamError):
            made.close()


@pytest.mark.parametrize("path", recordings("vertex-stream-partial-args.json"))
def test_recorded_arguments_in_pieces(path: Path) -> None:
    response = answered(recorded(path)["response_body"].encode(), of=OF)
    calls = [item for item in response["output"] if item["type"] == "function_call"]
    assert [(item["name"], json.loads(item["arguments"])) for item in calls] == [
        ("getWeather", {"location": "Boston"}),
        ("getWeather", {"location": "San Francisco"}),
    ]


@pytest.mark.parametrize("path", recordings("vertex-promptfeedback-*.json"))
def test_a_recorded_prompt_that_was_blocked(path: Path) -> None:
    body = recorded(path)["response_body"]
    response = json.loads(asking({"stream": False}, of=OF).answer(body.encode()))
    check_answer(response)
    assert (response["status"], response["output"]) == ("incomplete", [])
    assert response["incomplete_details"] == {"reason": "content_filter"}


@pytest.mark.parametrize("path", recordings("vertex-logprobs.json"))
def test_recorded_logprobs(path: Path) -> None:
    exchange = recorded(path)
    made = asking({"stream": False, "top_logprobs": 5}, of=OF)
    response = json.loads(made.answer(exchange["response_body"].encode()))
    check_answer(response)
    check_said(exchange, response)
    (part,) = response["output"][0]["content"]
    said = chunks_of(exchange)[0]["candidates"][0]["logprobsResult"]
    assert [entry["token"] for entry in part["logprobs"]] == [
        entry["token"] for entry in said["chosenCandidates"]
    ]
    assert [len(entry["top_logprobs"]) for entry in part["logprobs"]] == [5] * 7
    assert "".join(entry["token"] for entry in part["logprobs"]) == part["text"]

"""A search that the upstream makes by itself, in the event stream."""

import json

import pytest

from event_grammar import JsonObject, read_stream
from sluicegate.api.answer import echo
from sluicegate.api.parameters import decode_parameters
from sluicegate.api.request import decode_request
from sluicegate.api.stream import ResponseStream, fold
from sluicegate.model import ApiError, Event, Usage

USAGE = Usage(1, 2, 3)
FAILURE = ApiError(502, "Gone.", type="server_error")


def stream(*, whole: bool = False) -> ResponseStream:
    request = decode_request(b'{"model":"m","input":"hi"}')
    return ResponseStream(echo(decode_parameters(request), store=False), "m", whole=whole)


def judged(events: list[Event]) -> JsonObject:
    return read_stream(event.frame for event in events)


def test_a_search_with_its_pages_and_then_text() -> None:
    told = stream()
    events = told.web_search("otters") + told.web_search_done(["https://a.example"])
    events += told.text("Found.") + told.finish(USAGE)
    search, message = judged(events)["output"]
    assert search == {
        "id": search["id"],
        "type": "web_search_call",
        "status": "completed",
        "action": {
            "type": "search",
            "query": "otters",
            "sources": [{"type": "url", "url": "https://a.example"}],
        },
    }
    assert message["content"][0]["text"] == "Found."


def test_a_search_ends_when_something_else_begins() -> None:
    told = stream()
    events = told.web_search("a") + told.web_search("b") + told.text("c") + told.finish(USAGE)
    output = judged(events)["output"]
    assert [item.get("status") for item in output] == ["completed"] * 3


def test_a_search_that_failed() -> None:
    told = stream()
    events = told.web_search("a") + told.web_search_done(failed=True) + told.finish(USAGE)
    assert judged(events)["output"][0]["status"] == "failed"


@pytest.mark.parametrize("cut", [True, False])
def test_a_search_that_is_cut_off_has_failed(*, cut: bool) -> None:
    told = stream()
    events = told.web_search("a")
    events += told.finish(USAGE, incomplete="max_output_tokens") if cut else told.fail(FAILURE)
    assert judged(events)["output"][0]["status"] == "failed"


def test_the_end_of_a_search_that_never_began() -> None:
    told = stream()
    assert told.web_search_done(["https://a.example"]) == []
    judged(told.text("a") + told.finish(USAGE))
    assert told.web_search("late") == []


def test_an_answer_wanted_whole_has_no_opening_events_and_the_same_object() -> None:
    told, whole = stream(), stream(whole=True)
    first = (told.text("a") + told.finish(USAGE))[-1]
    second = whole.text("a") + whole.finish(USAGE)
    assert "response.created" not in {event.type for event in second}
    kept = [json.loads(fold(event)) for event in (first, second[-1])]
    for response in kept:
        response["output"][0].pop("id")
        for key in ("id", "created_at", "completed_at"):
            response.pop(key)
    assert kept[0] == kept[1]

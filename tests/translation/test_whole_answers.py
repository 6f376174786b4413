"""An answer that is wanted whole is the object that the stream would have ended with."""

import json
from collections.abc import Callable

import pytest

from sluicegate.api.answer import echo
from sluicegate.api.output import LogProb, UrlCitation
from sluicegate.api.parameters import decode_parameters
from sluicegate.api.request import decode_request
from sluicegate.api.stream import ResponseStream, fold
from sluicegate.model import Usage

Told = Callable[[ResponseStream], object]


def texts_and_refusal(out: ResponseStream) -> None:
    out.text("a")
    out.text("b", [LogProb("b", -0.5)])
    out.annotation(UrlCitation("https://a.example", "A", 0, 2))
    out.refusal("no")
    out.refusal(" more")
    out.text("again")


def two_messages_around_a_call(out: ResponseStream) -> None:
    out.reasoning_summary("hm")
    out.text("first")
    out.function_call("call_1", "f")
    out.call_delta('{"a":1}')
    out.text("second")


def an_empty_part(out: ResponseStream) -> None:
    out.annotation(UrlCitation("https://a.example", "A", 0, 0))


def response(told: Told, *, whole: bool) -> object:
    parameters = decode_parameters(decode_request(b'{"model":"m","input":"hi"}'))
    out = ResponseStream(echo(parameters, store=False), "m", lambda: 0.0, whole=whole)
    told(out)
    found = json.loads(fold(out.finish(Usage(1, 2, 3))[-1]))
    found.pop("id")
    assert found["output"]
    for number, item in enumerate(found["output"]):
        assert item.pop("id").endswith(f"{number:08x}")
    return found


@pytest.mark.parametrize("told", [texts_and_refusal, two_messages_around_a_call, an_empty_part])
def test_whole_and_streamed_are_the_same_object(told: Told) -> None:
    assert response(told, whole=True) == response(told, whole=False)


def test_a_message_wanted_whole_has_no_events_of_its_own() -> None:
    parameters = decode_parameters(decode_request(b'{"model":"m","input":"hi"}'))
    out = ResponseStream(echo(parameters, store=False), "m", whole=True)
    out.text("a")
    assert [event.type for event in out.finish(None)] == ["response.completed"]

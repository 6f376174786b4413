"""An image that the model made, in the event stream."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from event_grammar import JsonObject, read_stream
from sluicegate.api.answer import echo
from sluicegate.api.output_image import NO_IMAGE, MadeImage, image_of_base64, image_of_uri
from sluicegate.api.parameters import decode_parameters
from sluicegate.api.request import decode_request
from sluicegate.api.stream import ResponseStream, fold
from sluicegate.model import ApiError, Event, Usage

USAGE = Usage(1, 2, 3)
PNG = "iVBORw0KGgo="


def stream(*, whole: bool = False) -> ResponseStream:
    request = decode_request(b'{"model":"m","input":"hi"}')
    return ResponseStream(echo(decode_parameters(request), store=False), "m", whole=whole)


def judged(events: list[Event]) -> JsonObject:
    return read_stream(event.frame for event in events)


def test_an_image_between_texts() -> None:
    told = stream()
    events = told.text("See:") + told.image(MadeImage(PNG)) + told.text("Nice.")
    before, image, after = judged(events + told.finish(USAGE))["output"]
    assert image == {
        "id": image["id"],
        "type": "image_generation_call",
        "status": "completed",
        "result": PNG,
        "output_format": "png",
    }
    assert [item["status"] for item in (before, after)] == ["completed"] * 2


def test_the_events_of_an_image() -> None:
    told = stream()
    told.in_progress()
    assert [event.type for event in told.image(MadeImage(PNG))] == [
        "response.output_item.added",
        "response.image_generation_call.in_progress",
        "response.image_generation_call.generating",
        "response.image_generation_call.completed",
        "response.output_item.done",
    ]


def test_an_image_that_can_not_be_read_has_failed() -> None:
    told = stream()
    events = told.image(NO_IMAGE)
    assert "response.image_generation_call.completed" not in {event.type for event in events}
    (image,) = judged(events + told.finish(USAGE))["output"]
    assert (image["status"], image["result"]) == ("failed", None)


def test_a_whole_image_outlives_a_failure() -> None:
    told = stream()
    events = told.image(MadeImage(PNG)) + told.fail(ApiError(502, "Gone.", type="server_error"))
    (image,) = judged(events)["output"]
    assert (image["status"], image["result"]) == ("completed", PNG)


def test_an_answer_wanted_whole_has_the_image_once() -> None:
    told = stream(whole=True)
    assert told.image(MadeImage(PNG)) == []
    (image,) = json.loads(fold(told.finish(USAGE)[-1]))["output"]
    assert image["result"] == PNG


@pytest.mark.parametrize(
    ("data", "declared", "shown"),
    [
        (PNG, "image/jpeg", "png"),  # its bytes know better
        ("/9j/4AAQ", "", "jpeg"),
        ("PHN2Zz4=", "image/svg+xml", "svg"),
        ("AAAA", "image/webp", "webp"),
        ("AAAA", "image/bmp", None),  # the SDK's type has no word for it
        ("AAAA", "", None),
    ],
)
def test_the_format_of_an_image(data: str, declared: str, shown: str | None) -> None:
    told = stream()
    events = told.image(MadeImage(data, declared)) + told.finish(USAGE)
    assert judged(events)["output"][0].get("output_format") == shown


@pytest.mark.parametrize("uri", ["", "x", "data:image/png;base64,", "data:image/png;base64,A"])
def test_a_uri_without_an_image(uri: str) -> None:
    assert image_of_uri(uri) == NO_IMAGE


def test_padding_that_was_left_out() -> None:
    assert image_of_uri("data:image/png;base64,iVBORw0KGgo") == MadeImage(PNG, "image/png")
    assert image_of_base64("iVBORw0KGgo", "image/png") == MadeImage(PNG, "image/png")


@given(st.text())
def test_any_bytes_make_an_item_that_the_sdk_reads(data: str) -> None:
    told = stream()
    judged(told.image(image_of_base64(data, "image/png")) + told.finish(USAGE))


@given(st.text() | st.text().map("data:image/png;base64,".__add__))
def test_any_uri_makes_an_item_that_the_sdk_reads(uri: str) -> None:
    told = stream()
    judged(told.image(image_of_uri(uri)) + told.finish(USAGE))

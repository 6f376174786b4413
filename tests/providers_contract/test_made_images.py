"""Images that a model makes reach the client, and go back to the model or are named as dropped."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import pytest

import aws_wire
import chat_wire
import gemini_wire
from event_grammar import JsonObject, check_answer, read_stream
from google_definitions import check_body
from sluicegate.api.request import decode_request
from sluicegate.config import (
    BedrockUpstream,
    Deployment,
    GeminiUpstream,
    OpenAIUpstream,
    SecretCredential,
    Upstream,
    VertexAIUpstream,
)
from sluicegate.model import ApiError
from sluicegate.providers import PROVIDERS
from sluicegate.providers.contract import Translator, UpstreamCall

PNG = "iVBORw0KGgoAAAANSUhEUgAA"
JPEG = "/9j/4AAQSkZJRgABAQAAAQAB"
SIGNATURE = "c2lnbmVk"
USAGE: JsonObject = {"inputTokens": 3, "outputTokens": 4, "totalTokens": 7}
ASKED = {"role": "user", "content": "Draw."}
MORE = {"role": "user", "content": "Bluer."}
CALL = {"type": "image_generation_call", "id": "ig_1", "status": "completed", "result": PNG}


class Dialect(NamedTuple):
    """The same answer, streamed and whole: a text, a PNG, a JPEG."""

    upstream: Upstream
    stream: bytes
    whole: object


def gemini(upstream: Upstream) -> Dialect:
    parts = [
        gemini_wire.text("See:"),
        gemini_wire.image(PNG, signature=SIGNATURE),
        gemini_wire.image(JPEG, "image/jpeg"),
    ]
    stream = b"".join(gemini_wire.said(part) for part in parts) + gemini_wire.END
    return Dialect(upstream, stream, gemini_wire.chunk(*parts, finish="STOP"))


def chat() -> Dialect:
    images = [chat_wire.image(PNG), chat_wire.image(JPEG, "image/jpeg")]
    message = {"role": "assistant", "content": "See:", "images": images}
    return Dialect(
        OpenAIUpstream("google/gemini-image", api="ChatCompletions"),
        chat_wire.start()
        + chat_wire.texts("See:")
        + b"".join(chat_wire.chunk({"images": [image]}) for image in images)
        + chat_wire.end(),
        {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]},
    )


def delta(index: int, said: JsonObject) -> bytes:
    return aws_wire.event("contentBlockDelta", {"contentBlockIndex": index, "delta": said})


def begun(index: int, kind: str) -> bytes:
    start = {"contentBlockIndex": index, "start": {"image": {"format": kind}}}
    return aws_wire.event("contentBlockStart", start)


def stop(index: int) -> bytes:
    return aws_wire.event("contentBlockStop", {"contentBlockIndex": index})


def ended(reason: str = "end_turn") -> bytes:
    return aws_wire.event("messageStop", {"stopReason": reason}) + aws_wire.event(
        "metadata", {"usage": USAGE, "metrics": {"latencyMs": 1}}
    )


def pieces(index: int, *data: str) -> bytes:
    return b"".join(delta(index, {"image": {"source": {"bytes": one}}}) for one in data)


def bedrock() -> Dialect:
    content = [
        {"text": "See:"},
        {"image": {"format": "png", "source": {"bytes": PNG}}},
        {"image": {"format": "jpeg", "source": {"bytes": JPEG}}},
    ]
    return Dialect(
        BedrockUpstream(model="us.amazon.nova-micro-v1:0", region="us-east-1"),
        aws_wire.event("messageStart", {"role": "assistant"})
        + delta(0, {"text": "See:"})
        + stop(0)
        + begun(1, "png")
        + pieces(1, PNG[:8], PNG[8:])
        + stop(1)
        + begun(2, "jpeg")
        + pieces(2, JPEG)
        + stop(2)
        + ended(),
        {
            "output": {"message": {"role": "assistant", "content": content}},
            "stopReason": "end_turn",
            "usage": USAGE,
        },
    )


DIALECTS = {
    "gemini": gemini(GeminiUpstream(model="gemini-3-pro-image-preview")),
    "vertexAI": gemini(
        VertexAIUpstream(model="gemini-3-pro-image-preview", project="p", location="global")
    ),
    "chat": chat(),
    "bedrock": bedrock(),
}
every_dialect = pytest.mark.parametrize("dialect", DIALECTS.values(), ids=DIALECTS.keys())
google = pytest.mark.parametrize("name", ["gemini", "vertexAI"])


def translator(upstream: Upstream, given: object = "hi", *, drop: bool = False) -> Translator:
    deployment = Deployment(
        namespace="default",
        name="d",
        model="public",
        upstream=upstream,
        credential=SecretCredential("sk-upstream-0123456789"),
        unsupported_parameters="Drop" if drop else "Reject",
    )
    connector = PROVIDERS[type(upstream)].connector(deployment, deployment.credential, {})
    body = json.dumps({"model": "public", "input": given, "stream": True}).encode()
    return connector.translator(decode_request(body), upstream.model)


def streamed(upstream: Upstream, *chunks: bytes) -> JsonObject:
    made = translator(upstream)
    made.request()
    events = [event for chunk in chunks for event in made.feed(chunk)]
    return read_stream(event.frame for event in [*events, *made.close()])


def whole(dialect: Dialect) -> JsonObject:
    made = translator(dialect.upstream)
    made.request()
    answer = json.loads(made.answer(json.dumps(dialect.whole).encode()))
    check_answer(answer)
    return answer


def sent(upstream: Upstream, *items: Mapping[str, Any]) -> JsonObject:
    call = translator(upstream, list(items)).request()
    assert isinstance(call, UpstreamCall)
    return json.loads(call.body)


def images(answer: JsonObject) -> Sequence[object]:
    return [
        (item["status"], item["result"], item.get("output_format"))
        for item in answer["output"]
        if item["type"] == "image_generation_call"
    ]


@every_dialect
def test_every_image_is_told(dialect: Dialect) -> None:
    for answer in (streamed(dialect.upstream, dialect.stream), whole(dialect)):
        assert images(answer) == [("completed", PNG, "png"), ("completed", JPEG, "jpeg")]
        assert answer["output"][0]["content"][0]["text"] == "See:"
        assert answer["usage"] is None or answer["usage"]["total_tokens"] > 0


@every_dialect
def test_an_image_is_told_at_once(dialect: Dialect) -> None:
    made = translator(dialect.upstream)
    made.request()
    seen = [event.type for byte in dialect.stream for event in made.feed(bytes([byte]))]
    assert seen.count("response.image_generation_call.completed") == 2


@google
def test_an_image_goes_back_to_google_as_it_came(name: str) -> None:
    dialect = DIALECTS[name]
    answer = streamed(dialect.upstream, dialect.stream)
    body = sent(dialect.upstream, ASKED, *answer["output"], MORE)
    check_body(body)
    contents = body["contents"]
    assert [content["role"] for content in contents] == ["user", "model", "user"]
    assert contents[1]["parts"] == [
        {"text": "See:"},
        {"inlineData": {"mimeType": "image/png", "data": PNG}, "thoughtSignature": SIGNATURE},
        {
            "inlineData": {"mimeType": "image/jpeg", "data": JPEG},
            "thoughtSignature": "skip_thought_signature_validator",
        },
    ]


@google
def test_an_image_without_a_known_type_is_what_its_item_says(name: str) -> None:
    item = CALL | {"result": "AAAA", "output_format": "webp"}
    contents = sent(DIALECTS[name].upstream, ASKED, item, MORE)["contents"]
    assert contents[1]["parts"][0]["inlineData"] == {"mimeType": "image/webp", "data": "AAAA"}


@google
def test_an_image_that_failed_says_nothing(name: str) -> None:
    item = CALL | {"status": "failed", "result": None}
    contents = sent(DIALECTS[name].upstream, ASKED, item, MORE)["contents"]
    assert [content["role"] for content in contents] == ["user"]


@google
@pytest.mark.parametrize("result", [5, "no base64!"])
def test_an_image_that_is_none_is_refused(name: str, result: object) -> None:
    with pytest.raises(ApiError) as refused:
        sent(DIALECTS[name].upstream, ASKED, CALL | {"result": result})
    assert (refused.value.status, refused.value.error.param) == (400, "input[1].result")


@pytest.mark.parametrize("name", ["chat", "bedrock"])
def test_elsewhere_an_image_is_refused_or_named(name: str) -> None:
    upstream = DIALECTS[name].upstream
    with pytest.raises(ApiError) as refused:
        sent(upstream, ASKED, CALL)
    assert refused.value.error.param == "input[1]"
    made = translator(upstream, [ASKED, CALL, MORE], drop=True)
    made.request()
    assert made.dropped == ("input[1]",)


# ------------------------------------------------------------------------------- of one dialect


@google
def test_a_draft_within_thoughts_is_no_image_of_the_answer(name: str) -> None:
    draft = gemini_wire.image(PNG) | {"thought": True}
    stream = gemini_wire.said(draft, gemini_wire.image(JPEG)) + gemini_wire.END
    answer = streamed(DIALECTS[name].upstream, stream)
    assert images(answer) == [("completed", JPEG, "jpeg")]


@google
@pytest.mark.parametrize("data", ["", "?"])
def test_googles_image_without_data_has_failed(name: str, data: str) -> None:
    stream = gemini_wire.said(gemini_wire.image(data)) + gemini_wire.END
    assert images(streamed(DIALECTS[name].upstream, stream)) == [("failed", None, None)]


@pytest.mark.parametrize(
    "image",
    [
        {"type": "image_url", "image_url": {"url": "https://a.example/a.png"}},
        {"image_url": "https://a.example/a.png"},
        "https://a.example/a.png",
    ],
)
def test_a_completions_image_that_is_elsewhere_is_a_link(image: object) -> None:
    stream = chat_wire.start() + chat_wire.chunk({"images": [image]}) + chat_wire.end()
    answer = streamed(DIALECTS["chat"].upstream, stream)
    assert answer["output"][0]["content"][0]["text"] == "![image](https://a.example/a.png)"


@pytest.mark.parametrize(
    "image", [{}, {"image_url": None}, {"image_url": {"url": "data:image/png;base64,%"}}]
)
def test_a_completions_image_that_is_none_has_failed(image: JsonObject) -> None:
    stream = chat_wire.start() + chat_wire.chunk({"images": [image]}) + chat_wire.end()
    assert images(streamed(DIALECTS["chat"].upstream, stream)) == [("failed", None, None)]


def test_a_completions_image_among_the_parts_of_the_content() -> None:
    parts = [{"type": "text", "text": "See:"}, chat_wire.image(PNG)]
    stream = chat_wire.start() + chat_wire.chunk({"content": parts}) + chat_wire.end()
    answer = streamed(DIALECTS["chat"].upstream, stream)
    assert images(answer) == [("completed", PNG, "png")]


def test_a_completions_image_waits_for_a_call_that_is_not_whole() -> None:
    stream = (
        chat_wire.start()
        + chat_wire.calls(chat_wire.piece('{"a"', name="f", id_="call_a"))
        + chat_wire.chunk({"images": [chat_wire.image(PNG)]})
        + chat_wire.calls(chat_wire.piece(":1}"))
        + chat_wire.end("tool_calls")
    )
    call, image = streamed(DIALECTS["chat"].upstream, stream)["output"]
    assert (call["arguments"], image["result"]) == ('{"a":1}', PNG)


@pytest.mark.parametrize(
    ("block", "reason"),
    [
        (pieces(0, PNG) + delta(0, {"image": {"error": {"message": "x"}}}) + stop(0), "end_turn"),
        (stop(0), "end_turn"),
        (pieces(0, PNG), "max_tokens"),
    ],
    ids=["went wrong", "empty", "cut"],
)
def test_an_image_of_bedrock_that_is_not_whole_has_failed(block: bytes, reason: str) -> None:
    upstream = DIALECTS["bedrock"].upstream
    stream = aws_wire.event("messageStart", {"role": "assistant"}) + begun(0, "png") + block
    assert images(streamed(upstream, stream + ended(reason))) == [("failed", None, None)]

"""What an upstream that speaks `generateContent` says, and translators that listen to it."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest

from event_grammar import JsonObject, read_stream
from sluicegate.api.request import decode_request
from sluicegate.config import (
    Deployment,
    GeminiUpstream,
    SecretCredential,
    Upstream,
    VertexAIUpstream,
)
from sluicegate.model import Event
from sluicegate.providers import gemini, vertex_ai
from sluicegate.providers.gemini.request import GeminiTranslator
from sluicegate.providers.vertex_ai.request import VertexContentTranslator
from sluicegate.wires.gemini_content import ContentTranslator

RECORDINGS = Path(__file__).resolve().parents[3] / "shared" / "reference" / "recordings"
SECRET = "google-key-0123456789abcdef"
FLASH_3 = "gemini-3-flash-preview"
FLASH_2 = "gemini-2.5-flash"
OLD = "gemini-1.5-flash"
NEWEST = "gemini-3.8-flash"
GEMINI = GeminiUpstream(model=FLASH_3)
VERTEX = VertexAIUpstream(model=FLASH_3, project="my-project", location="us-central1")
USAGE: JsonObject = {"promptTokenCount": 20, "candidatesTokenCount": 9, "totalTokenCount": 29}
FUNCTION = {
    "type": "function",
    "name": "weather",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
}
SIGNATURE = "c2lnbmVk"


def deployment(upstream: Upstream = GEMINI) -> Deployment:
    """A deployment with a key (or token) of its own."""
    return Deployment(
        namespace="team",
        name="google",
        model="public",
        upstream=upstream,
        credential=SecretCredential(SECRET),
    )


def dropping(upstream: Upstream = GEMINI) -> Deployment:
    """The same, which drops what it can't do."""
    return msgspec.structs.replace(
        deployment(upstream), unsupported_parameters="Drop", unsupported_tools="Drop"
    )


def translator(
    body: Mapping[str, object], model: str = FLASH_3, of: Deployment | None = None
) -> GeminiTranslator | VertexContentTranslator:
    """A fresh attempt at this request."""
    chosen = of or deployment()
    request = decode_request(json.dumps({"model": "public", **body}).encode())
    if isinstance(chosen.upstream, GeminiUpstream):
        return gemini.PROVIDER.connector(chosen, chosen.credential, {}).translator(request, model)
    connector = vertex_ai.PROVIDER.connector(chosen, chosen.credential, {})
    made = connector.translator(request, model)
    assert isinstance(made, VertexContentTranslator)
    return made


def sent(
    body: Mapping[str, object], model: str = FLASH_3, of: Deployment | None = None
) -> JsonObject:
    """The body that goes upstream."""
    return json.loads(translator(body, model, of).request().body)


def asking(
    body: Mapping[str, object] | None = None, model: str = FLASH_3, of: Deployment | None = None
) -> ContentTranslator:
    """A translator that has asked and now listens."""
    made = translator({"input": "hi", "stream": True, **(body or {})}, model, of)
    made.request()
    return made


# ------------------------------------------------------------------------------------------ frames


def frame(data: object, newline: str = "\r\n") -> bytes:
    """One event on the wire, spaced as Google does it."""
    said = json.dumps(data, separators=(",", ": "), ensure_ascii=False)
    return f"data: {said}{newline}{newline}".encode()


def chunk(
    *parts: JsonObject,
    finish: str | None = None,
    usage: JsonObject | None = None,
    **members: object,
) -> JsonObject:
    """One object of a stream, or a whole answer. `members` are the candidate's."""
    candidate: JsonObject = {"content": {"parts": list(parts), "role": "model"}, "index": 0}
    if finish is not None:
        candidate["finishReason"] = finish
    return {
        "candidates": [{**candidate, **members}],
        "usageMetadata": USAGE if usage is None else usage,
        "modelVersion": "gemini-3-flash-001",
        "responseId": "r1",
    }


def said(*parts: JsonObject, finish: str | None = None, **members: object) -> bytes:
    """A chunk in its frame."""
    return frame(chunk(*parts, finish=finish, usage=None, **members))


def text(words: str, signature: str | None = None) -> JsonObject:
    part: JsonObject = {"text": words}
    return part if signature is None else {**part, "thoughtSignature": signature}


def thought(words: str) -> JsonObject:
    return {"text": words, "thought": True}


def call(
    name: str, args: object = None, signature: str | None = None, id_: str | None = None
) -> JsonObject:
    inner: JsonObject = {"name": name}
    if args is not None:
        inner["args"] = args
    if id_ is not None:
        inner["id"] = id_
    part: JsonObject = {"functionCall": inner}
    return part if signature is None else {**part, "thoughtSignature": signature}


def piece(path: str, *, more: bool = False, **value: object) -> JsonObject:
    """A part with one value of a call's arguments."""
    argument = {"jsonPath": path, **value, **({"willContinue": True} if more else {})}
    return {"functionCall": {"partialArgs": [argument], "willContinue": True}}


def image(data: str, kind: str = "image/png", signature: str | None = None) -> JsonObject:
    part: JsonObject = {"inlineData": {"mimeType": kind, "data": data}}
    return part if signature is None else {**part, "thoughtSignature": signature}


END = said(text(""), finish="STOP")
GROUNDING: JsonObject = {
    "webSearchQueries": ["otters", "where otters swim"],
    "groundingChunks": [
        {"web": {"uri": "https://a.example", "title": "A"}},
        {"retrievedContext": {"uri": "x"}},
        {"web": {"uri": "https://b.example"}},
    ],
    "groundingSupports": [
        {
            "segment": {"startIndex": 11, "endIndex": 17, "text": "Otters"},
            "groundingChunkIndices": [0, 1, 2, 9],
        }
    ],
}

# Answers that hold one of everything, and the requests that they answer.
SCRIPTS: Mapping[str, tuple[JsonObject, bytes]] = {
    "text": ({}, said(text("Hello")) + said(text(", wörld 😀")) + END),
    "text in one chunk": ({}, said(text("Hello", SIGNATURE), finish="STOP")),
    "nothing": ({}, frame({"candidates": [{"finishReason": "STOP"}]})),
    "thoughts, text, calls": (
        {"tools": [FUNCTION], "reasoning": {"effort": "low", "summary": "auto"}},
        said(thought("Let me "))
        + said(thought("see."))
        + said(text("I look "))
        + said(text("it up."))
        + said(call("weather", {"city": "Paris"}, SIGNATURE, "up1"), call("weather"))
        + said(call("weather", {}))
        + END,
    ),
    "a signature behind the text": (
        {"include": ["reasoning.encrypted_content"]},
        said(text("Hel")) + said(text("lo")) + said(text("", SIGNATURE), finish="STOP"),
    ),
    "custom tool": (
        {"tools": [{"type": "custom", "name": "patch"}]},
        said(call("patch", {"input": "*** Begin\né"}, SIGNATURE)) + END,
    ),
    "arguments in pieces": (
        {"tools": [FUNCTION]},
        said({"functionCall": {"name": "weather", "willContinue": True}})
        + said(piece("$.city", stringValue="Par", more=True))
        + said(piece("$.city", stringValue="is", more=True))
        + said(piece("$.city", stringValue=""))
        + said(piece("$.days[1].warm", boolValue=True))
        + said(piece("$['a b']", numberValue=2.5))
        + said({"functionCall": {}})
        + said(call("weather", {"city": "Rome"}))
        + END,
    ),
    "search": (
        {"tools": [{"type": "web_search"}]},
        said(text("“Öh”! Otters "))
        + said(text("swim."), finish="STOP", groundingMetadata=GROUNDING),
    ),
    "tools of its own": (
        {"tools": [{"type": "web_search"}, FUNCTION]},
        said(
            {"toolCall": {"toolType": "GOOGLE_SEARCH_WEB", "id": "t1"}, "thoughtSignature": "c2ln"}
        )
        + said({"toolResponse": {"toolType": "GOOGLE_SEARCH_WEB", "id": "t1"}})
        + said(call("weather", {}, SIGNATURE))
        + END,
    ),
    "images": (
        {},
        said(text("Two: "), image("iVBORw0KGgo=", signature=SIGNATURE))
        + said(image("/9j/4AAQ", "image/jpeg"))
        + said(text("Done."))
        + END,
    ),
    "the reason in every chunk": (
        {},
        said(text("Hello"), finish="STOP") + said(text(" again"), finish="STOP"),
    ),
    "cut": ({"tools": [FUNCTION]}, said(text("Hel")) + said(text("lo"), finish="MAX_TOKENS")),
    "filtered": ({}, said(text("Well, ")) + frame({"candidates": [{"finishReason": "SAFETY"}]})),
    "blocked": ({}, frame({"promptFeedback": {"blockReason": "JAILBREAK"}})),
    "malformed": ({}, said(text("He")) + said(finish="MALFORMED_FUNCTION_CALL", finishMessage="x")),
    "failed": (
        {},
        said(text("He"))
        + frame({"error": {"code": 503, "message": "Overloaded", "status": "UNAVAILABLE"}}),
    ),
}
FAILED = frozenset({"malformed", "failed"})
INCOMPLETE = frozenset({"cut", "filtered", "blocked"})


# --------------------------------------------------------------------------------------- listening


def hear(made: ContentTranslator, *chunks: bytes) -> list[Event]:
    """Every event of a stream that arrives in these chunks and then ends."""
    events = [event for each in chunks for event in made.feed(each)]
    return events + made.close()


def answered(
    *chunks: bytes,
    body: Mapping[str, object] | None = None,
    model: str = FLASH_3,
    of: Deployment | None = None,
    strict: bool = True,
) -> JsonObject:
    """The Response object at the end of a stream, judged (`strict`: by openai-python too)."""
    events = hear(asking(body, model, of), *chunks)
    return read_stream((event.frame for event in events), strict=strict)


def whole(
    answer: object, body: Mapping[str, object] | None = None, model: str = FLASH_3
) -> JsonObject:
    """The Response object of an answer that is not streamed."""
    made = asking({**(body or {}), "stream": False}, model)
    return json.loads(made.answer(json.dumps(answer).encode()))


def anonymous(response: JsonObject) -> JsonObject:
    """The same without what differs from answer to answer: ids, seals of them, and times."""
    copied = json.loads(json.dumps(response))
    for key in ("id", "created_at", "completed_at"):
        copied.pop(key)
    for item in copied["output"]:
        item.pop("id")
        if item.get("call_id", "").startswith("call_"):
            item.pop("call_id")
        if "encrypted_content" in item:
            item["encrypted_content"] = len(item["encrypted_content"])
    return copied


def cut(data: bytes, places: Sequence[int]) -> Iterator[bytes]:
    """The data in chunks that end at these places."""
    begin = 0
    for place in sorted(place % (len(data) + 1) for place in places):
        yield data[begin:place]
        begin = place
    yield data[begin:]


# -------------------------------------------------------------------------------------- recordings


def recordings(pattern: str) -> list[Any]:
    """Parameters for a test: one for each recorded exchange, or one that is skipped."""
    found = sorted(RECORDINGS.glob(pattern))
    if not found:
        reason = "recordings are absent (../shared/reference/recordings); replay is skipped"
        return [pytest.param(None, marks=pytest.mark.skip(reason=reason), id="absent")]
    return [pytest.param(path, id=path.stem) for path in found]


def recorded(path: Path) -> JsonObject:
    """One exchange."""
    return cast("JsonObject", json.loads(path.read_bytes()))


def chunks_of(exchange: JsonObject) -> list[JsonObject]:
    """The objects of a recorded answer, read by the plainest means."""
    body: str = exchange["response_body"]
    if not body.startswith("data:"):
        told = json.loads(body)
        return cast("list[JsonObject]", told if isinstance(told, list) else [told])
    return [json.loads(line[5:]) for line in body.splitlines() if line.startswith("data:")]


def check_said(exchange: JsonObject, response: JsonObject) -> None:
    """Text, thoughts, calls and usage of an answer are what the recorded provider said."""
    parts = [
        part
        for each in chunks_of(exchange)
        for candidate in each.get("candidates", ())
        for part in candidate.get("content", {}).get("parts", ())
    ]
    texts = [part["text"] for part in parts if "text" in part and not part.get("thought")]
    thoughts = [part["text"] for part in parts if part.get("thought")]
    assert _joined(response, "message", "content") == "".join(texts)
    assert _joined(response, "reasoning", "summary") == "".join(thoughts)
    called = [item for item in response["output"] if item["type"] == "function_call"]
    whole_calls = [
        part["functionCall"]
        for part in parts
        if "name" in part.get("functionCall", {}) and "willContinue" not in part["functionCall"]
    ]
    if whole_calls:
        assert [(item["name"], json.loads(item["arguments"])) for item in called] == [
            (each["name"], each.get("args", {})) for each in whole_calls
        ]
        for item, each in zip(called, whole_calls, strict=True):
            assert item["call_id"] == each.get("id", item["call_id"])
    _check_usage(exchange, response)


def _joined(response: JsonObject, kind: str, key: str) -> str:
    items = [item for item in response["output"] if item["type"] == kind]
    return "".join(part["text"] for item in items for part in item[key])


def _check_usage(exchange: JsonObject, response: JsonObject) -> None:
    counted = [
        each["usageMetadata"]
        for each in chunks_of(exchange)
        if "totalTokenCount" in each.get("usageMetadata", {})
    ]
    usage = response["usage"]
    if not counted:
        assert usage is None
        return
    last = counted[-1]
    assert usage["total_tokens"] == last["totalTokenCount"]
    assert usage["input_tokens"] == last["promptTokenCount"]
    thoughts = last.get("thoughtsTokenCount", 0)
    assert usage["output_tokens"] == last.get("candidatesTokenCount", 0) + thoughts
    assert usage["output_tokens_details"]["reasoning_tokens"] == thoughts

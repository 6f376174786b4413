"""Real exchanges with Bedrock, replayed: what the provider said is what the client gets."""

import base64
import json
from itertools import pairwise
from pathlib import Path
from typing import Any, cast
from urllib.parse import unquote

import pytest
from botocore.eventstream import EventStreamBuffer
from hypothesis import given, settings
from hypothesis import strategies as st

from bedrock_calls import fed, ready, translator, whole
from converse_model import accepted
from event_grammar import JsonObject, output_texts, read_stream

RECORDINGS = Path(__file__).resolve().parents[3] / "shared" / "reference" / "recordings"
EXCHANGES: dict[str, JsonObject] = {
    path.stem: json.loads(path.read_bytes()) for path in sorted(RECORDINGS.glob("bedrock-*.json"))
}
REQUESTS = sorted((RECORDINGS / "requests").glob("*.json"))
STREAMS = [name for name, made in EXCHANGES.items() if made["response_encoding"] == "base64"]
WHOLE = [
    name
    for name, made in EXCHANGES.items()
    if name not in STREAMS and made["response_status"] == 200
]
needs_recordings = pytest.mark.skipif(
    not EXCHANGES, reason=f"recordings are absent ({RECORDINGS}); they are not replayed"
)
INCOMPLETE = {"max_tokens": "incomplete"}
# A shared refusal there carries its words under a key that is not the API's.
MALFORMED = {"assistant-history"}


def model_of(exchange: JsonObject) -> str:
    return unquote(exchange["request"]["url"].split("/model/")[1].split("/")[0])


def messages(body: bytes) -> list[tuple[str, JsonObject]]:
    """The stream as botocore cuts it."""
    buffer = EventStreamBuffer()
    buffer.add_data(body)
    found: list[tuple[str, JsonObject]] = []
    for message in buffer:
        headers = cast("dict[str, str]", message.headers)
        kind = headers.get(":event-type") or headers[":exception-type"]
        found.append((kind, json.loads(message.payload)))
    return found


def said(body: bytes) -> JsonObject:
    """What the provider said, put together by the plainest means."""
    told: JsonObject = {"text": "", "thought": "", "signed": 0, "calls": {}, "reason": ""}
    for kind, payload in messages(body):
        if kind == "contentBlockStart":
            use = payload["start"]["toolUse"]
            told["calls"][payload["contentBlockIndex"]] = [use["toolUseId"], use["name"], ""]
        elif kind == "contentBlockDelta":
            delta = payload["delta"]
            told["text"] += delta.get("text", "")
            reasoning = delta.get("reasoningContent", {})
            told["thought"] += reasoning.get("text", "")
            told["signed"] += "signature" in reasoning
            if "toolUse" in delta:
                told["calls"][payload["contentBlockIndex"]][2] += delta["toolUse"]["input"]
        elif kind == "messageStop":
            told["reason"] = payload["stopReason"]
        elif kind == "metadata":
            told["usage"] = payload["usage"]
        elif kind.endswith("Exception"):
            told["reason"] = kind
    told["calls"] = list(told["calls"].values())
    return told


def compare(response: JsonObject, told: JsonObject) -> None:
    assert "".join(output_texts(response)) == told["text"]
    items = response["output"]
    calls = [
        [item["call_id"], item["name"], item["arguments"]]
        for item in items
        if item["type"] == "function_call"
    ]
    assert [call[:2] for call in calls] == [call[:2] for call in told["calls"]]
    for mine, theirs in zip(calls, told["calls"], strict=True):
        assert json.loads(mine[2]) == json.loads(theirs[2] or "{}")
    reasoning = [item for item in items if item["type"] == "reasoning"]
    summaries = "".join(part["text"] for item in reasoning for part in item["summary"])
    assert summaries == told["thought"]
    assert sum("encrypted_content" in item for item in reasoning) == told["signed"]
    if told["reason"].endswith("Exception"):
        assert (response["status"], response["usage"]) == ("failed", None)
        return
    assert response["status"] == INCOMPLETE.get(told["reason"], "completed")
    usage = told["usage"]
    cached = usage.get("cacheReadInputTokens", 0) + usage.get("cacheWriteInputTokens", 0)
    assert response["usage"]["input_tokens"] == usage["inputTokens"] + cached
    assert response["usage"]["output_tokens"] == usage["outputTokens"]
    assert response["usage"]["total_tokens"] == usage["totalTokens"]


@needs_recordings
@pytest.mark.parametrize("name", STREAMS)
def test_streams(name: str) -> None:
    exchange = EXCHANGES[name]
    body = base64.b64decode(exchange["response_body"])
    tools = [{"type": "function", "name": call[1]} for call in said(body)["calls"]]
    events = fed(ready({"tools": tools}, model_of(exchange)), [body])
    compare(read_stream(event.frame for event in events), said(body))


@needs_recordings
@settings(max_examples=20)
@given(cuts=st.lists(st.integers(0, 10_000), max_size=30), data=st.data())
def test_streams_in_any_pieces(cuts: list[int], data: st.DataObject) -> None:
    exchange = EXCHANGES[data.draw(st.sampled_from(STREAMS or [""]))]
    body = base64.b64decode(exchange["response_body"])
    edges = sorted({0, len(body), *(cut % len(body) for cut in cuts)})
    chunks = [body[start:end] for start, end in pairwise(edges)]
    events = fed(ready({}, model_of(exchange)), chunks)
    compare(read_stream(event.frame for event in events), said(body))


@needs_recordings
@pytest.mark.parametrize("name", WHOLE)
def test_whole_answers(name: str) -> None:
    exchange = EXCHANGES[name]
    body = json.loads(exchange["response_body"])
    told: JsonObject = {"text": "", "thought": "", "signed": 0, "calls": []}
    for block in body["output"]["message"]["content"]:
        told["text"] += block.get("text", "")
        if "toolUse" in block:
            use = block["toolUse"]
            told["calls"].append([use["toolUseId"], use["name"], json.dumps(use["input"])])
        reasoning = block.get("reasoningContent", {}).get("reasoningText", {})
        told["thought"] += reasoning.get("text", "")
        told["signed"] += "signature" in reasoning
    response = whole(body, {}, model_of(exchange))
    compare(response, told | {"reason": body["stopReason"], "usage": body["usage"]})
    assert response["service_tier"] == body.get("serviceTier", {}).get("type", "default")


@needs_recordings
def test_a_refused_model() -> None:
    exchange = EXCHANGES["bedrock-error-400-model"]
    made = ready({}, model_of(exchange))
    body = exchange["response_body"].encode()
    error = made.error(exchange["response_status"], exchange["response_headers"], body)
    assert (error.status, error.error.message) == (400, "The provided model identifier is invalid.")


@needs_recordings
@pytest.mark.parametrize("path", REQUESTS, ids=lambda path: path.stem)
def test_requests_of_other_projects_are_accepted(path: Path) -> None:
    fields = cast("dict[str, Any]", json.loads(path.read_bytes()))
    if path.stem in MALFORMED:
        for part in fields["input"][0]["content"]:
            if part["type"] == "refusal":
                part["refusal"] = part.pop("text")
    accepted(translator(fields).request().body)

"""What an upstream that speaks the Messages API says, and a translator that listens to it."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import pytest

from event_grammar import JsonObject, read_stream
from sluicegate.api.request import decode_request
from sluicegate.config import AnthropicUpstream, Deployment, SecretCredential
from sluicegate.model import Event
from sluicegate.providers.anthropic.request import PROVIDER, AnthropicTranslator

RECORDINGS = Path(__file__).resolve().parents[3] / "shared" / "reference" / "recordings"
SECRET = "sk-ant-0123456789abcdef"
SONNET = "claude-sonnet-4-5"
USAGE = {"input_tokens": 20, "output_tokens": 1, "service_tier": "standard"}
FUNCTION = {
    "type": "function",
    "name": "weather",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
}


def deployment(model: str = SONNET) -> Deployment:
    """A deployment of Anthropic's with a key of its own."""
    return Deployment(
        namespace="team",
        name="claude",
        model="public",
        upstream=AnthropicUpstream(model=model),
        credential=SecretCredential(SECRET),
    )


def translator(
    body: Mapping[str, object], model: str = SONNET, of: Deployment | None = None
) -> AnthropicTranslator:
    """A fresh attempt at this request."""
    chosen = of or deployment(model)
    connector = PROVIDER.connector(chosen, chosen.credential, {})
    request = decode_request(json.dumps({"model": "public", **body}).encode())
    return connector.translator(request, model)


def sent(
    body: Mapping[str, object], model: str = SONNET, of: Deployment | None = None
) -> JsonObject:
    """The body that goes upstream."""
    return json.loads(translator(body, model, of).request().body)


def asking(
    body: Mapping[str, object] | None = None, model: str = SONNET, of: Deployment | None = None
) -> AnthropicTranslator:
    """A translator that has asked and now listens."""
    made = translator({"input": "hi", "stream": True, **(body or {})}, model, of)
    made.request()
    return made


# ------------------------------------------------------------------------------------------ frames


def frame(event: JsonObject, newline: str = "\n") -> bytes:
    """One event on the wire, with the padding that the API adds."""
    data = json.dumps(event, separators=(",", ":"))
    return f"event: {event['type']}{newline}data: {data}   {newline}{newline}".encode()


def start(usage: JsonObject | None = None, **members: object) -> bytes:
    """`message_start`."""
    message: JsonObject = {
        "id": "msg_01",
        "type": "message",
        "role": "assistant",
        "model": "claude-sonnet-4-5-20250929",
        "content": [],
        "stop_reason": None,
        "usage": USAGE if usage is None else usage,
        **members,
    }
    return frame({"type": "message_start", "message": message})


def block(index: int, content: JsonObject, *deltas: JsonObject, stop: bool = True) -> bytes:
    """A block: its start, its deltas, its end."""
    frames = [frame({"type": "content_block_start", "index": index, "content_block": content})]
    frames += [
        frame({"type": "content_block_delta", "index": index, "delta": delta}) for delta in deltas
    ]
    if stop:
        frames.append(frame({"type": "content_block_stop", "index": index}))
    return b"".join(frames)


def text_block(index: int, *texts: str, stop: bool = True) -> bytes:
    """A text in pieces."""
    deltas = [{"type": "text_delta", "text": text} for text in texts]
    return block(index, {"type": "text", "text": ""}, *deltas, stop=stop)


def call_block(index: int, name: str, *fragments: str, stop: bool = True, id_: str = "") -> bytes:
    """A call with its input in pieces."""
    content: JsonObject = {
        "type": "tool_use",
        "id": id_ or f"toolu_{index}",
        "name": name,
        "input": {},
    }
    deltas = [{"type": "input_json_delta", "partial_json": piece} for piece in fragments]
    return block(index, content, *deltas, stop=stop)


def thinking_block(index: int, *texts: str, signature: str = "c2lnbmVk") -> bytes:
    """Thinking in pieces, then its signature."""
    deltas: list[JsonObject] = [{"type": "thinking_delta", "thinking": text} for text in texts]
    deltas.append({"type": "signature_delta", "signature": signature})
    return block(index, {"type": "thinking", "thinking": "", "signature": ""}, *deltas)


def end(reason: str = "end_turn", usage: JsonObject | None = None, **delta: object) -> bytes:
    """`message_delta` and `message_stop`."""
    counted = {"output_tokens": 9} if usage is None else usage
    stopped = {"stop_reason": reason, "stop_sequence": None, **delta}
    return frame({"type": "message_delta", "delta": stopped, "usage": counted}) + frame(
        {"type": "message_stop"}
    )


PING = frame({"type": "ping"})

# Answers that hold one of everything; the first names the request that they answer.
SCRIPTS: Mapping[str, tuple[JsonObject, bytes]] = {
    "text": ({}, start() + PING + text_block(0, "Hello", ", wörld 😀") + end()),
    "nothing": ({}, start() + end()),
    "thinking, text, calls": (
        {"tools": [FUNCTION], "reasoning": {"effort": "low"}},
        start()
        + thinking_block(0, "Let me ", "see.")
        + text_block(1, "I look it up.")
        + call_block(2, "weather", "", '{"city": "Par', 'is"}')
        + call_block(3, "weather", "")
        + end("tool_use"),
    ),
    "redacted thinking": (
        {},
        start()
        + block(0, {"type": "redacted_thinking", "data": "b3BhcXVl"})
        + text_block(1, "Done.")
        + end(),
    ),
    "custom tool": (
        {"tools": [{"type": "custom", "name": "patch"}]},
        start()
        + call_block(0, "patch", '{"inp', 'ut": "*** Be', 'gin\\n\\u00e9"}')
        + end("tool_use"),
    ),
    "search": (
        {"tools": [{"type": "web_search"}]},
        start()
        + block(
            0,
            {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {}},
            {"type": "input_json_delta", "partial_json": '{"query": "otters"}'},
        )
        + block(
            1,
            {
                "type": "web_search_tool_result",
                "tool_use_id": "srvtoolu_1",
                "content": [
                    {"type": "web_search_result", "url": "https://a.example", "title": "A"}
                ],
            },
        )
        + text_block(2, "Otters ")
        + block(
            3,
            {"type": "text", "text": "", "citations": []},
            {
                "type": "citations_delta",
                "citation": {
                    "type": "web_search_result_location",
                    "url": "https://a.example",
                    "title": "A",
                    "cited_text": "swim",
                    "encrypted_index": "x",
                },
            },
            {"type": "text_delta", "text": "swim"},
        )
        + text_block(4, ".")
        + end(),
    ),
    "schema by a tool": (
        {"text": {"format": {"type": "json_schema", "name": "n", "schema": {"type": "array"}}}},
        start() + call_block(0, "final_answer", '{"value":', " [1, 2]}") + end("tool_use"),
    ),
    "cut in a call": (
        {"tools": [FUNCTION]},
        start() + call_block(0, "weather", '{"city": "Pa', stop=False) + end("max_tokens"),
    ),
    "refused": (
        {},
        start()
        + text_block(0, "Well, ")
        + end("refusal", stop_details={"type": "refusal", "explanation": "Not that."}),
    ),
    "failed": (
        {},
        start()
        + text_block(0, "He", stop=False)
        + frame({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}),
    ),
}


# --------------------------------------------------------------------------------------- listening


def hear(made: AnthropicTranslator, *chunks: bytes) -> list[Event]:
    """Every event of a stream that arrives in these chunks and then ends."""
    events = [event for chunk in chunks for event in made.feed(chunk)]
    return events + made.close()


def answered(
    *chunks: bytes,
    body: Mapping[str, object] | None = None,
    model: str = SONNET,
    of: Deployment | None = None,
    strict: bool = True,
) -> JsonObject:
    """The Response object at the end of a stream, judged (`strict`: by openai-python too)."""
    events = hear(asking(body, model, of), *chunks)
    return read_stream((event.frame for event in events), strict=strict)


def anonymous(response: JsonObject) -> JsonObject:
    """The same without what differs from answer to answer: ids and times."""
    copied = json.loads(json.dumps(response))
    for key in ("id", "created_at", "completed_at"):
        copied.pop(key)
    for item in copied["output"]:
        item.pop("id")
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

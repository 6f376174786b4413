"""A short answer on the wire of each provider, whole and streamed, after whatever was asked.

Each says "Hello there" and counts 20 input and 9 output tokens.
"""

from __future__ import annotations

import json

import anthropic_wire
import aws_wire
import gemini_wire
from responses_wire import answer_body, frames, message, numbered, prelude, response, text_events
from scripted_upstream import Call

_USAGE = {
    "input_tokens": 20,
    "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
    "output_tokens": 9,
    "output_tokens_details": {"reasoning_tokens": 0},
    "total_tokens": 29,
}
_GOOGLE_USAGE = {"promptTokenCount": 20, "candidatesTokenCount": 9, "totalTokenCount": 29}


def responses_stream(model: str, *, events: int | None = None) -> list[bytes]:
    """The frames of a Responses stream (the first `events`)."""
    texts = ["Hello", " there"]
    done = response([message("Hello there")], usage=_USAGE, more={"model": model})
    told = [*prelude(), *text_events(texts), {"type": "response.completed", "response": done}]
    return frames(numbered(told))[:events]


async def openai(call: Call) -> None:
    model = call.json()["model"]
    if not call.streamed:
        more = {"model": model, "usage": _USAGE}
        call.answer(answer_body(more=more), headers=[("x-request-id", "req_1")])
        return
    _stream(call, responses_stream(model))


async def anthropic_at_vertex(call: Call) -> None:
    await anthropic(call, "claude-3-5-sonnet-20240620")


async def anthropic(call: Call, model: str | None = None) -> None:
    model = model or call.json()["model"]
    if not call.streamed:
        call.answer(
            json.dumps(
                {
                    "id": "msg_01",
                    "type": "message",
                    "role": "assistant",
                    "model": model,
                    "content": [{"type": "text", "text": "Hello there"}],
                    "stop_reason": "end_turn",
                    "stop_sequence": None,
                    "usage": {"input_tokens": 20, "output_tokens": 9},
                }
            ).encode(),
            headers=[("request-id", "req_2")],
        )
        return
    start = anthropic_wire.start({"input_tokens": 20, "output_tokens": 1}, model=model)
    text = anthropic_wire.text_block(0, "Hello", " there")
    _stream(call, [start, text, anthropic_wire.end()])


async def google(call: Call) -> None:
    """Gemini and Vertex AI, and Google's token endpoint."""
    if call.target == "/token":
        call.answer(b'{"access_token": "ya29.x", "expires_in": 3599, "token_type": "Bearer"}')
        return
    model = call.target.partition("models/")[2].partition(":")[0]
    texts = [gemini_wire.text("Hello"), gemini_wire.text(" there")]
    whole = gemini_wire.chunk(*texts, finish="STOP", usage=_GOOGLE_USAGE)
    whole["modelVersion"] = model
    if "streamGenerateContent" not in call.target:
        call.answer(json.dumps(whole).encode())
        return
    _stream(call, [gemini_wire.said(texts[0]), gemini_wire.frame(whole | _last(texts[1]))])


def _last(text: object) -> dict[str, object]:
    content = {"parts": [text], "role": "model"}
    return {"candidates": [{"content": content, "index": 0, "finishReason": "STOP"}]}


async def bedrock(call: Call) -> None:
    if call.target.endswith("/converse"):
        call.answer(
            json.dumps(
                {
                    "output": {
                        "message": {"role": "assistant", "content": [{"text": "Hello there"}]}
                    },
                    "stopReason": "end_turn",
                    "usage": {"inputTokens": 20, "outputTokens": 9, "totalTokens": 29},
                }
            ).encode(),
            headers=[("x-amzn-RequestId", "req_3")],
        )
        return
    at = {"contentBlockIndex": 0}
    call.head(
        200,
        [
            ("Content-Type", "application/vnd.amazon.eventstream"),
            ("Transfer-Encoding", "chunked"),
        ],
    )
    usage = {"inputTokens": 20, "outputTokens": 9, "totalTokens": 29}
    for event, payload in (
        ("messageStart", {"role": "assistant"}),
        ("contentBlockDelta", {**at, "delta": {"text": "Hello"}}),
        ("contentBlockDelta", {**at, "delta": {"text": " there"}}),
        ("contentBlockStop", at),
        ("messageStop", {"stopReason": "end_turn"}),
        ("metadata", {"usage": usage, "metrics": {"latencyMs": 1}}),
    ):
        call.chunk(aws_wire.event(event, payload))
    call.end()


def _stream(call: Call, pieces: list[bytes]) -> None:
    call.begin()
    for piece in pieces:
        call.chunk(piece)
    call.end()

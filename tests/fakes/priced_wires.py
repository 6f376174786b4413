"""The same tokens of every kind on the wire of each provider, whole and streamed.

18 input tokens, 3 of them read from a cache and, where the provider tells, 2 written to one; 7
output tokens, 5 of them reasoning where the provider tells.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

import anthropic_wire
import aws_wire
import gemini_wire
from responses_wire import answer_body, frames, message, numbered, prelude, response, text_events
from scripted_upstream import Call

Json = dict[str, Any]
TEXTS = ["Hello", " there"]
RESPONSES_USAGE: Json = {
    "input_tokens": 18,
    "input_tokens_details": {"cached_tokens": 3, "cache_write_tokens": 2},
    "output_tokens": 7,
    "output_tokens_details": {"reasoning_tokens": 5},
    "total_tokens": 25,
}
CHAT_USAGE: Json = {
    "prompt_tokens": 18,
    "prompt_tokens_details": {"cached_tokens": 3},
    "completion_tokens": 7,
    "completion_tokens_details": {"reasoning_tokens": 5},
    "total_tokens": 25,
}
MESSAGES_USAGE: Json = {
    "input_tokens": 13,
    "cache_read_input_tokens": 3,
    "cache_creation_input_tokens": 2,
    "output_tokens": 7,
}
CONTENT_USAGE: Json = {
    "promptTokenCount": 18,
    "cachedContentTokenCount": 3,
    "candidatesTokenCount": 2,
    "thoughtsTokenCount": 5,
    "totalTokenCount": 25,
}
CONVERSE_USAGE: Json = {
    "inputTokens": 13,
    "cacheReadInputTokens": 3,
    "cacheWriteInputTokens": 2,
    "outputTokens": 7,
    "totalTokens": 25,
}
# Of Google's token endpoint, for Vertex AI.
TOKEN = b'{"access_token": "ya29.x", "expires_in": 3599, "token_type": "Bearer"}'

Wire = Callable[[Call], Awaitable[None]]


async def responses(call: Call) -> None:
    model = {"model": call.json()["model"]}
    done = response([message("Hello there")], usage=RESPONSES_USAGE, more=model)
    if not call.streamed:
        call.answer(answer_body(more={**model, "usage": RESPONSES_USAGE}))
        return
    end = {"type": "response.completed", "response": done}
    _stream(call, frames(numbered([*prelude(), *text_events(TEXTS), end])))


async def chat(call: Call) -> None:
    head = {"id": "c1", "object": "chat.completion", "created": 1, "model": call.json()["model"]}
    if not call.streamed:
        said = {"role": "assistant", "content": "Hello there"}
        choice = {"index": 0, "message": said, "finish_reason": "stop"}
        call.answer(json.dumps({**head, "choices": [choice], "usage": CHAT_USAGE}).encode())
        return
    head["object"] = "chat.completion.chunk"
    pieces: list[Json] = [{"delta": {"content": text}, "index": 0} for text in TEXTS]
    pieces.append({"delta": {}, "index": 0, "finish_reason": "stop"})
    chunks: list[Json] = [{**head, "choices": [piece]} for piece in pieces]
    chunks.append({**head, "choices": [], "usage": CHAT_USAGE})
    said_all = [b"data: %b\n\n" % json.dumps(chunk).encode() for chunk in chunks]
    _stream(call, [*said_all, b"data: [DONE]\n\n"])


async def messages(call: Call) -> None:
    if call.target == "/token":
        call.answer(TOKEN)
        return
    model = call.json().get("model", "claude-3-5-sonnet-20240620")
    if not call.streamed:
        answer = {
            "id": "msg_01",
            "type": "message",
            "role": "assistant",
            "model": model,
            "content": [{"type": "text", "text": "Hello there"}],
            "stop_reason": "end_turn",
            "stop_sequence": None,
            "usage": MESSAGES_USAGE,
        }
        call.answer(json.dumps(answer).encode())
        return
    start = anthropic_wire.start({**MESSAGES_USAGE, "output_tokens": 1}, model=model)
    end = anthropic_wire.end(usage={"output_tokens": 7})
    _stream(call, [start, anthropic_wire.text_block(0, *TEXTS), end])


async def content(call: Call) -> None:
    if call.target == "/token":
        call.answer(TOKEN)
        return
    model = call.target.partition("models/")[2].partition(":")[0]
    parts = [gemini_wire.text(text) for text in TEXTS]
    whole = gemini_wire.chunk(*parts, finish="STOP", usage=CONTENT_USAGE)
    whole["modelVersion"] = model
    if "streamGenerateContent" not in call.target:
        call.answer(json.dumps(whole).encode())
        return
    _stream(call, [gemini_wire.said(parts[0]), gemini_wire.frame(whole)])


async def converse(call: Call) -> None:
    if call.target.endswith("/converse"):
        said = {"role": "assistant", "content": [{"text": "Hello there"}]}
        answer = {
            "output": {"message": said},
            "stopReason": "end_turn",
            "usage": CONVERSE_USAGE,
        }
        call.answer(json.dumps(answer).encode())
        return
    call.head(
        200,
        [
            ("Content-Type", "application/vnd.amazon.eventstream"),
            ("Transfer-Encoding", "chunked"),
        ],
    )
    at = {"contentBlockIndex": 0}
    call.chunk(aws_wire.event("messageStart", {"role": "assistant"}))
    for text in TEXTS:
        call.chunk(aws_wire.event("contentBlockDelta", {**at, "delta": {"text": text}}))
    call.chunk(aws_wire.event("contentBlockStop", at))
    call.chunk(aws_wire.event("messageStop", {"stopReason": "end_turn"}))
    call.chunk(aws_wire.event("metadata", {"usage": CONVERSE_USAGE}))
    call.end()


def _stream(call: Call, pieces: list[bytes]) -> None:
    call.begin()
    for piece in pieces:
        call.chunk(piece)
    call.end()

"""What a server for chat completions says, and a translator that listens to it."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from event_grammar import JsonObject, read_stream
from sluicegate.api.request import decode_request
from sluicegate.config import Deployment, OpenAIUpstream, SecretCredential
from sluicegate.model import Event
from sluicegate.providers.openai import PROVIDER
from sluicegate.providers.openai.chat import ChatConnector, ChatTranslator

SECRET = "sk-compatible-0123456789"
MODEL = "qwen3-32b"
USAGE: JsonObject = {"prompt_tokens": 20, "completion_tokens": 9, "total_tokens": 29}
FUNCTION: JsonObject = {
    "type": "function",
    "name": "weather",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
}
CUSTOM: JsonObject = {"type": "custom", "name": "patch"}
NAMESPACE: JsonObject = {
    "type": "namespace",
    "name": "crm",
    "tools": [{**FUNCTION, "name": "find"}],
}
DONE = b"data: [DONE]\n\n"


def deployment(
    base_url: str = "http://vllm.internal:8000/v1",
    **changes: Any,  # noqa: ANN401 - any field
) -> Deployment:
    """A deployment of a compatible server with a key of its own."""
    made = Deployment(
        namespace="team",
        name="qwen",
        model="public",
        upstream=OpenAIUpstream(model=MODEL, base_url=base_url, api="ChatCompletions"),
        credential=SecretCredential(SECRET),
    )
    return msgspec.structs.replace(made, **changes)


COMPATIBLE = deployment()
OPENAI = deployment("https://api.openai.com/v1")
DROPPING = deployment(unsupported_parameters="Drop", unsupported_tools="Drop")


def translator(
    body: Mapping[str, object], of: Deployment = COMPATIBLE, model: str = MODEL
) -> ChatTranslator:
    """A fresh attempt at this request."""
    connector = PROVIDER.connector(of, of.credential, {})
    assert isinstance(connector, ChatConnector)
    request = decode_request(json.dumps({"model": "public", "input": "hi", **body}).encode())
    return connector.translator(request, model)


def sent(body: Mapping[str, object], of: Deployment = COMPATIBLE, model: str = MODEL) -> JsonObject:
    """The body that goes upstream."""
    return json.loads(translator(body, of, model).request().body)


def asking(body: Mapping[str, object] | None = None, of: Deployment = COMPATIBLE) -> ChatTranslator:
    """A translator that has asked and now listens."""
    made = translator({"stream": True, **(body or {})}, of)
    made.request()
    return made


# ------------------------------------------------------------------------------------------ chunks


def frame(data: JsonObject, newline: str = "\n") -> bytes:
    """One event on the wire."""
    return f"data: {json.dumps(data)}{newline}{newline}".encode()


def chunk(delta: JsonObject | None = None, reason: str | None = None, **members: object) -> bytes:
    """A chunk with one choice; `members` are those of the choice."""
    choice = {"index": 0, "delta": delta or {}, "finish_reason": reason, **members}
    return frame(
        {
            "id": "chatcmpl-1",
            "object": "chat.completion.chunk",
            "created": 1_760_000_000,
            "model": "qwen3-32b-awq",
            "choices": [choice],
            "usage": None,
        }
    )


def usage(tokens: JsonObject | None = None) -> bytes:
    """The chunk with the usage, which has no choices."""
    counted = USAGE if tokens is None else tokens
    return frame(
        {"object": "chat.completion.chunk", "model": MODEL, "choices": [], "usage": counted}
    )


def start() -> bytes:
    """A chunk that tells only the role."""
    return chunk({"role": "assistant", "content": ""})


def texts(*pieces: str) -> bytes:
    """Content in pieces."""
    return b"".join(chunk({"content": piece}) for piece in pieces)


def thoughts(*pieces: str, member: str = "reasoning_content") -> bytes:
    """Reasoning in pieces."""
    return b"".join(chunk({member: piece, "content": None}) for piece in pieces)


def piece(
    fragment: str | None = None,
    *,
    index: int | None = 0,
    name: str | None = None,
    id_: str | None = None,
) -> JsonObject:
    """A piece of a call, with the members that it has."""
    function: JsonObject = {}
    if name is not None:
        function["name"] = name
    if fragment is not None:
        function["arguments"] = fragment
    said: JsonObject = {"function": function}
    if index is not None:
        said["index"] = index
    if id_ is not None:
        said |= {"id": id_, "type": "function"}
    return said


def calls(*pieces: JsonObject) -> bytes:
    """A chunk for each piece of a call."""
    return b"".join(chunk({"tool_calls": [one]}) for one in pieces)


def image(data: str, kind: str = "image/png") -> JsonObject:
    """An image as OpenRouter sends it."""
    return {"type": "image_url", "image_url": {"url": f"data:{kind};base64,{data}"}}


def call(index: int, name: str, *fragments: str, id_: str = "") -> bytes:
    """A call as OpenAI sends it: id and name first, then the arguments in pieces."""
    first = piece("", index=index, name=name, id_=id_ or f"call_{index}")
    return calls(first, *(piece(fragment, index=index) for fragment in fragments))


def end(reason: str = "stop", tokens: JsonObject | None = None) -> bytes:
    """The last chunk of the answer, its usage, and the end of the stream."""
    return chunk({}, reason) + usage(tokens) + DONE


COMMENT = b": OPENROUTER PROCESSING\n\n"

# Answers that hold one of everything; the first names the request that they answer.
SCRIPTS: Mapping[str, tuple[JsonObject, bytes]] = {
    "text": ({}, start() + COMMENT + texts("Hello", ", wörld 😀") + end()),
    "nothing": ({}, start() + end()),
    "reasoning, text, calls": (
        {"tools": [FUNCTION], "reasoning": {"effort": "low"}},
        start()
        + thoughts("Let me ", "see.")
        + texts("I look it up.")
        + call(0, "weather", '{"city": "Par', 'is"}')
        + call(1, "weather", "{}")
        + end("tool_calls"),
    ),
    "calls in turn": (
        {"tools": [FUNCTION, CUSTOM]},
        start()
        + calls(
            piece("", name="weather", id_="call_a"),
            piece("", index=1, name="patch", id_="call_b"),
            piece('{"city"'),
            piece('{"input":', index=1),
            piece(': "A"}'),
            piece(' "B"}', index=1),
        )
        + end("tool_calls"),
    ),
    "custom tool": (
        {"tools": [CUSTOM]},
        start() + call(0, "patch", '{"inp', 'ut": "*** Be', 'gin\\n\\u00e9"}') + end("tool_calls"),
    ),
    "images": (
        {},
        start()
        + texts("Two: ")
        + chunk({"content": "", "images": [image("iVBORw0KGgo="), image("iVBORw0KGgo=")]})
        + texts("Done.")
        + end(),
    ),
    "refused": ({}, start() + chunk({"refusal": "Not "}) + chunk({"refusal": "that."}) + end()),
    "logprobs": (
        {"top_logprobs": 1},
        start()
        + chunk(
            {"content": "Hi"},
            logprobs={
                "content": [
                    {
                        "token": "Hi",
                        "logprob": -0.5,
                        "bytes": [72, 105],
                        "top_logprobs": [{"token": "Hi", "logprob": -0.5, "bytes": None}],
                    }
                ],
                "refusal": None,
            },
        )
        + end(),
    ),
    "citation": (
        {},
        start()
        + texts("Otters swim.")
        + chunk(
            {
                "content": "",
                "annotations": [
                    {
                        "type": "url_citation",
                        "url_citation": {
                            "url": "https://a.example",
                            "title": "A",
                            "start_index": 7,
                            "end_index": 11,
                        },
                    }
                ],
            }
        )
        + end(),
    ),
    "cut in a call": (
        {"tools": [FUNCTION]},
        start() + call(0, "weather", '{"city": "Pa') + end("length"),
    ),
    "failed": (
        {},
        start() + texts("He") + frame({"error": {"message": "Out of memory", "code": 500}}) + DONE,
    ),
}


# --------------------------------------------------------------------------------------- listening


def hear(made: ChatTranslator, *chunks: bytes) -> list[Event]:
    """Every event of a stream that arrives in these chunks and then ends."""
    events = [event for data in chunks for event in made.feed(data)]
    return events + made.close()


def answered(
    *chunks: bytes,
    body: Mapping[str, object] | None = None,
    of: Deployment = COMPATIBLE,
    strict: bool = True,
) -> JsonObject:
    """The Response object at the end of a stream, judged (`strict`: by openai-python too)."""
    events = hear(asking(body, of), *chunks)
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

"""A frame that can't be read, behind good ones: the same with every provider."""

import json
from typing import Any, NamedTuple

import pytest

import aws_wire
from sluicegate.api.request import decode_request
from sluicegate.config import (
    AnthropicUpstream,
    BedrockUpstream,
    Deployment,
    GeminiUpstream,
    OpenAIUpstream,
    SecretCredential,
    Upstream,
)
from sluicegate.model import TERMINAL_EVENTS, ApiError, UpstreamStreamError
from sluicegate.providers import PROVIDERS
from sluicegate.providers.contract import Translator

MESSAGE: dict[str, Any] = {
    "id": "m",
    "type": "message",
    "role": "assistant",
    "model": "claude",
    "content": [],
    "usage": {"input_tokens": 1, "output_tokens": 1},
}
COMMENT = b": " + b"x" * 2**20 + b"\n\n"


class Case(NamedTuple):
    upstream: Upstream
    good: bytes
    bad: bytes
    quiet: bytes  # a frame that says nothing, any number of times


def event(name: str, value: dict[str, Any]) -> bytes:
    return f"event: {name}\ndata: {json.dumps(value)}\n\n".encode()


CASES = {
    "openai": Case(
        OpenAIUpstream("gpt-5"),
        event("response.created", {"type": "response.created", "response": {}}),
        b"data: {\n\n",
        b"",
    ),
    "chat": Case(
        OpenAIUpstream("qwen", api="ChatCompletions"),
        b'data: {"choices": [{"index": 0, "delta": {"content": "Hi"}}]}\n\n',
        b"data: {\n\n",
        COMMENT,
    ),
    "anthropic": Case(
        AnthropicUpstream("claude-sonnet-4-5"),
        event("message_start", {"type": "message_start", "message": MESSAGE}),
        b"data: {\n\n",
        COMMENT,
    ),
    "gemini": Case(
        GeminiUpstream("gemini-3-flash-preview"),
        b'data: {"candidates": [{"content": {"parts": [{"text": "Hi"}]}}]}\r\n\r\n',
        b"data: {\r\n\r\n",
        COMMENT,
    ),
    "bedrock": Case(
        BedrockUpstream("amazon.nova-pro-v1:0", region="us-east-1"),
        aws_wire.event("messageStart", {"role": "assistant"}),
        aws_wire.event("contentBlockDelta", {"delta": 7}),
        aws_wire.event("later", {"filler": "x" * 2**20}),
    ),
}
every_case = pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
limited = pytest.mark.parametrize("name", [name for name in CASES if CASES[name].quiet])


def translator(case: Case) -> Translator:
    credential = SecretCredential("sk-upstream-0123456789")
    deployment = Deployment(
        namespace="team", name="it", model="m", upstream=case.upstream, credential=credential
    )
    connector = PROVIDERS[type(case.upstream)].connector(deployment, credential, {})
    request = decode_request(b'{"model": "m", "input": "hi", "stream": true}')
    made = connector.translator(request, case.upstream.model)
    made.request()
    return made


@every_case
def test_what_came_before_it_in_one_chunk_is_told(case: Case) -> None:
    apart, together = translator(case), translator(case)
    expected = [each.type for each in apart.feed(case.good)]
    with pytest.raises(UpstreamStreamError, match="team/it"):
        apart.feed(case.bad)
    assert [each.type for each in together.feed(case.good + case.bad + case.good)] == expected
    assert expected


@every_case
def test_then_it_is_told_at_whatever_comes_next(case: Case) -> None:
    first, second = translator(case), translator(case)
    for made in (first, second):
        made.feed(case.good + case.bad)
    with pytest.raises(UpstreamStreamError, match="team/it"):
        first.feed(case.good)
    with pytest.raises(UpstreamStreamError, match="team/it"):
        second.close()
    ends = second.fail(ApiError(502, "It broke.", type="server_error"))
    assert [each.type for each in ends if each.type in TERMINAL_EVENTS] == ["response.failed"]


@every_case
def test_alone_it_is_told_at_once(case: Case) -> None:
    with pytest.raises(UpstreamStreamError, match="team/it"):
        translator(case).feed(case.bad)


@limited
def test_an_answer_without_end_is_broken_off(name: str) -> None:
    case = CASES[name]
    made = translator(case)
    for _ in range(63):
        assert not made.feed(case.quiet)
    made.feed(case.quiet[:2000])
    with pytest.raises(UpstreamStreamError, match="team/it"):
        made.feed(case.quiet)


@pytest.mark.parametrize(
    ("name", "body"),
    [
        (
            "chat",
            {"choices": [{"index": 0, "message": {"content": "Hi"}, "finish_reason": "stop"}]},
        ),
        (
            "gemini",
            [{"candidates": [{"content": {"parts": [{"text": "Hi"}]}, "finishReason": "STOP"}]}],
        ),
    ],
)
@pytest.mark.parametrize("space", [b"", b" ", b"\n\n", b"\r\n \n"])
def test_an_answer_that_is_json_after_all_however_it_begins(
    name: str, body: object, space: bytes
) -> None:
    made = translator(CASES[name])
    events = [*made.feed(space), *made.feed(json.dumps(body, indent=2).encode()), *made.close()]
    assert events[-1].type == "response.completed"

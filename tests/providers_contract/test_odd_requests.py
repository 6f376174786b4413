"""Requests at the edge: every translated dialect judges them alike."""

import json
from typing import Any

import pytest

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
from sluicegate.model import LocalAnswer
from sluicegate.providers import PROVIDERS

TRANSLATED: list[Upstream] = [
    OpenAIUpstream("qwen", api="ChatCompletions"),
    OpenAIUpstream("gpt-5", api="ChatCompletions", base_url="https://api.openai.com/v1"),
    AnthropicUpstream("claude-sonnet-4-5"),
    GeminiUpstream("gemini-3-flash-preview"),
    BedrockUpstream("us.amazon.nova-micro-v1:0", region="us-east-1"),
]
SILENT: list[dict[str, Any]] = [
    {},
    {"input": ""},
    {"input": []},
    {"input": [], "instructions": "Be kind."},
    {"input": [{"role": "system", "content": "Be kind."}]},
    {"input": [{"role": "user", "content": ""}]},
    {"input": [{"role": "user", "content": []}]},
]
every_dialect = pytest.mark.parametrize("upstream", TRANSLATED)


def sent(upstream: Upstream, **fields: object) -> str:
    credential = SecretCredential("sk-upstream-0123456789")
    deployment = Deployment(
        namespace="team", name="it", model="m", upstream=upstream, credential=credential
    )
    connector = PROVIDERS[type(upstream)].connector(deployment, credential, {})
    request = decode_request(json.dumps({"model": "m", **fields}).encode())
    call = connector.translator(request, upstream.model).request()
    assert not isinstance(call, LocalAnswer)
    return call.body.decode()


@every_dialect
@pytest.mark.parametrize("fields", SILENT)
def test_a_conversation_in_which_nobody_has_spoken_begins(
    upstream: Upstream, fields: dict[str, Any]
) -> None:
    assert sent(upstream, **fields).count("(The conversation begins.)") == 1


@every_dialect
def test_words_of_the_system_at_the_end_are_no_beginning(upstream: Upstream) -> None:
    items = [{"role": "user", "content": "hi"}, {"role": "developer", "content": "Be kind."}]
    assert "begins" not in sent(upstream, input=items)


@every_dialect
@pytest.mark.parametrize(
    "arguments", ["{", "[1]", "null", "1", '"x"', "{} {}", '{"a":}', '{"a":' * 5000]
)
def test_arguments_of_a_call_that_are_no_object_are_one_members_text(
    upstream: Upstream, arguments: str
) -> None:
    call = {"type": "function_call", "call_id": "c1", "name": "f", "arguments": arguments}
    output = {"type": "function_call_output", "call_id": "c1", "output": "no JSON"}
    asked = [{"role": "user", "content": "hi"}, call, output]
    tools: Any = [{"type": "function", "name": "f", "parameters": {}}]
    body = sent(upstream, input=asked, tools=tools)
    told = json.dumps({"INVALID_JSON": arguments}, separators=(",", ":"))
    assert told in body or json.dumps(told) in body


@every_dialect
def test_a_tool_that_is_named_like_one_of_a_namespace(upstream: Upstream) -> None:
    tools: Any = [
        {"type": "function", "name": "mail__send", "parameters": {}},
        {"type": "namespace", "name": "mail", "tools": [{"type": "function", "name": "send"}]},
    ]
    assert sent(upstream, input="hi", tools=tools).count("mail__send") == 2

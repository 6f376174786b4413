"""What holds for each provider of the table; a new one is judged by being listed there."""

import json
from collections.abc import Sequence
from typing import Any

import pytest

from event_grammar import read_frames, read_stream
from sluicegate.api.outcome import terminal_outcome
from sluicegate.api.request import decode_request
from sluicegate.api.stream import fold
from sluicegate.config import (
    AnthropicUpstream,
    BedrockUpstream,
    Deployment,
    EchoUpstream,
    GeminiUpstream,
    OpenAIUpstream,
    SecretCredential,
    Upstream,
    VertexAIUpstream,
)
from sluicegate.model import ApiError, Event, LocalAnswer
from sluicegate.providers import PROVIDERS
from sluicegate.providers.contract import (
    Connector,
    Translator,
    UpstreamCall,
    UpstreamStreamError,
)

SECRET = "sk-upstream-0123456789"
EXAMPLES: Sequence[Upstream] = (
    OpenAIUpstream(model="upstream-model"),
    OpenAIUpstream(model="upstream-model", api="ChatCompletions"),
    AnthropicUpstream(model="claude-sonnet-4-5"),
    BedrockUpstream(model="anthropic.claude-sonnet-4-20250514-v1:0", region="us-west-2"),
    GeminiUpstream(model="gemini-3-flash-preview"),
    VertexAIUpstream(model="gemini-3-flash-preview", project="p", location="us-central1"),
    VertexAIUpstream(model="claude-sonnet-4-5", project="p", location="eu", publisher="anthropic"),
    EchoUpstream(),
)
FAILURE = ApiError(504, "It took too long.", type="server_error", code="upstream_timeout")

FUNCTION = {
    "type": "function",
    "name": "weather",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
}
IMAGE = {"type": "input_image", "image_url": "data:image/png;base64,AA=="}
# Requests that every provider can express.
REQUESTS: dict[str, dict[str, Any]] = {
    "text": {"input": "Hello there, world."},
    "items": {
        "instructions": "Be kind.",
        "input": [
            {"role": "system", "content": "s"},
            {"role": "developer", "content": "d"},
            {"role": "user", "content": [{"type": "input_text", "text": "é 🎉"}, IMAGE]},
            {"type": "message", "role": "assistant", "content": "said"},
            {"role": "user", "content": "and now?"},
        ],
    },
    "unasked tool": {"input": "hi", "tools": [FUNCTION]},
    "no tool": {"input": "hi", "tools": [FUNCTION], "tool_choice": "none"},
    "any tool": {"input": "hi", "tools": [FUNCTION], "tool_choice": "required"},
    "named tool": {
        "input": "hi",
        "tools": [FUNCTION | {"name": "other"}, FUNCTION],
        "tool_choice": {"type": "function", "name": "weather"},
    },
    "tool turn": {
        "input": [
            {"role": "user", "content": "weather?"},
            {"type": "function_call", "call_id": "c1", "name": "weather", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "c1", "output": "sunny"},
        ],
        "tools": [FUNCTION],
    },
    "reasoning": {"input": "hi", "reasoning": {"effort": "low", "summary": "auto"}},
    "schema": {
        "input": "hi",
        "text": {
            "format": {
                "type": "json_schema",
                "name": "n",
                "strict": True,
                "schema": {
                    "type": "object",
                    "properties": {"a": {"type": "string"}},
                    "required": ["a"],
                    "additionalProperties": False,
                },
            }
        },
    },
    "short": {"input": "word " * 100, "max_output_tokens": 16},
    "settings": {"input": "hi", "temperature": 0.5, "metadata": {"k": "v"}, "user": "u"},
}


def connector(upstream: Upstream) -> Connector:
    credential = SecretCredential(SECRET)
    deployment = Deployment(
        namespace="default", name="d", model="public", upstream=upstream, credential=credential
    )
    return PROVIDERS[type(upstream)].connector(deployment, credential, {})


def translator(upstream: Upstream, **fields: object) -> Translator:
    body = json.dumps({"model": "public", **fields}).encode()
    return connector(upstream).translator(decode_request(body), upstream.model)


def is_local(upstream: Upstream) -> bool:
    return isinstance(translator(upstream, input="hi").request(), LocalAnswer)


every_provider = pytest.mark.parametrize(
    "upstream", EXAMPLES, ids=[type(example).__name__ for example in EXAMPLES]
)
every_request = pytest.mark.parametrize("fields", REQUESTS.values(), ids=REQUESTS.keys())
LOCAL = [example for example in EXAMPLES if is_local(example)]
REMOTE = [example for example in EXAMPLES if not is_local(example)]


def test_every_provider_of_the_table_is_judged_here() -> None:
    assert {type(example) for example in EXAMPLES} == PROVIDERS.keys()


@pytest.mark.parametrize("upstream", REMOTE, ids=lambda example: type(example).__name__)
@every_request
def test_a_call_is_ready_for_the_transport(upstream: Upstream, fields: dict[str, Any]) -> None:
    call = translator(upstream, **fields).request()
    assert isinstance(call, UpstreamCall)
    assert call.base_url.startswith(("http://", "https://"))
    assert call.target.startswith("/")
    assert call.method == "POST"
    assert all(name == name.lower() for name, _ in call.headers)
    assert isinstance(json.loads(call.body), dict)


@every_provider
def test_nothing_is_left_out_of_a_plain_request(upstream: Upstream) -> None:
    made = translator(upstream, input="hi")
    made.request()
    assert made.dropped == ()


@every_provider
def test_no_repr_shows_the_credential(upstream: Upstream) -> None:
    made = translator(upstream, input="hi")
    shown = repr((connector(upstream), made, made.request()))
    assert SECRET not in shown


@every_provider
def test_a_wrong_kind_of_deployment_is_a_mistake_of_ours(upstream: Upstream) -> None:
    other = next(example for example in EXAMPLES if type(example) is not type(upstream))
    credential = SecretCredential(SECRET)
    deployment = Deployment(
        namespace="default", name="d", model="public", upstream=other, credential=credential
    )
    with pytest.raises(TypeError):
        PROVIDERS[type(upstream)].connector(deployment, credential, {})


@pytest.mark.parametrize("upstream", REMOTE, ids=lambda example: type(example).__name__)
def test_a_stream_that_ends_before_it_began_is_broken(upstream: Upstream) -> None:
    made = translator(upstream, input="hi", stream=True)
    made.request()
    with pytest.raises(UpstreamStreamError):
        made.close()


@every_provider
@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"<html>", b"\xff\x00"])
def test_a_body_that_is_no_answer_is_broken(upstream: Upstream, body: bytes) -> None:
    made = translator(upstream, input="hi")
    made.request()
    with pytest.raises(UpstreamStreamError):
        made.answer(body)


@every_provider
@pytest.mark.parametrize("status", [301, 400, 401, 404, 429, 500, 503, 529])
@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"error":5}', b"\xff", b"[" * 100_000])
def test_any_refusal_of_an_upstream_is_an_error_for_the_client(
    upstream: Upstream, status: int, body: bytes
) -> None:
    made = translator(upstream, input="hi")
    made.request()
    error = made.error(status, {"content-type": "text/html"}, body)
    assert 400 <= error.status < 600
    assert error.error.message
    assert SECRET not in error.error.message


@pytest.mark.parametrize("upstream", REMOTE, ids=lambda example: type(example).__name__)
@pytest.mark.parametrize("status", [404, 405])
@pytest.mark.parametrize(
    "body", [b"", b"404 page not found", b"<html>", b'{"detail":"Not Found"}', b"[]", b"\xff"]
)
def test_a_path_that_nobody_knows_is_the_deployments_mistake(
    upstream: Upstream, status: int, body: bytes
) -> None:
    made = translator(upstream, input="hi")
    made.request()
    error = made.error(status, {"content-type": "text/html"}, body)
    assert (error.status, error.error.code) == (502, "upstream_not_found")
    assert "default/d" in error.error.message


# ------------------------------------------------------------------------------ answers of our own


def told(made: Translator) -> list[Event]:
    answer = made.request()
    assert isinstance(answer, LocalAnswer)
    return [event for _, events in answer.steps for event in events]


@pytest.mark.parametrize("upstream", LOCAL, ids=lambda example: type(example).__name__)
@every_request
def test_a_local_answer_obeys_the_grammar(upstream: Upstream, fields: dict[str, Any]) -> None:
    events = told(translator(upstream, **fields, stream=True))
    response = read_stream(event.frame for event in events)
    assert response["status"] in {"completed", "incomplete"}
    assert response["output"]
    assert json.loads(fold(events[-1])) == response
    usage = terminal_outcome(events[-1].frame).usage
    assert usage is not None
    assert usage.total_tokens == usage.input_tokens + usage.output_tokens > 0


@pytest.mark.parametrize("upstream", LOCAL, ids=lambda example: type(example).__name__)
@every_request
def test_a_local_answer_may_fail_at_any_event(upstream: Upstream, fields: dict[str, Any]) -> None:
    whole = len(told(translator(upstream, **fields)))
    steps = 0
    while True:
        made = translator(upstream, **fields)
        answer = made.request()
        assert isinstance(answer, LocalAnswer)
        events = [
            event
            for _, (_, part) in zip(range(steps), answer.steps, strict=False)
            for event in part
        ]
        ended = len(events) == whole
        events += made.fail(FAILURE)
        if ended:
            assert len(events) == whole
            return
        response = read_stream(event.frame for event in events)
        assert (response["status"], response["error"]["message"]) == ("failed", "It took too long.")
        assert [data["type"] for data in read_frames(event.frame for event in events[-2:])] == [
            "error",
            "response.failed",
        ]
        steps += 1

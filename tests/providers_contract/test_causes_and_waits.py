"""Why a request was refused and how long to wait, in the forms that the services themselves use."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.api.request import decode_request
from sluicegate.config import (
    AnthropicUpstream,
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
from sluicegate.wires.waiting import LONGEST_WAIT, duration, retry_after

SECRET = "sk-upstream-0123456789"
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Service(NamedTuple):
    upstream: Upstream
    body: Callable[[int, str], object]  # of a refusal


def openai_body(_: int, text: str) -> object:
    return {"error": {"message": text, "type": "invalid_request_error", "code": None}}


def vllm_body(status: int, text: str) -> object:
    return {"object": "error", "message": text, "type": "BadRequestError", "code": status}


def anthropic_body(_: int, text: str) -> object:
    return {"type": "error", "error": {"type": "invalid_request_error", "message": text}}


def google_body(status: int, text: str) -> object:
    return {"error": {"code": status, "status": "INVALID_ARGUMENT", "message": text}}


def aws_body(_: int, text: str) -> object:
    return {"__type": "ValidationException", "message": text}


OPENAI = Service(OpenAIUpstream("gpt-5"), openai_body)
NATIVE_VLLM = Service(OpenAIUpstream("qwen"), vllm_body)
CHAT = Service(OpenAIUpstream("gpt-5", api="ChatCompletions"), openai_body)
VLLM = Service(OpenAIUpstream("qwen", api="ChatCompletions"), vllm_body)
ANTHROPIC = Service(AnthropicUpstream("claude-sonnet-4-5"), anthropic_body)
GEMINI = Service(GeminiUpstream("gemini-3-flash-preview"), google_body)
VERTEX = Service(
    VertexAIUpstream("gemini-3-flash-preview", project="p", location="eu"), google_body
)
VERTEX_CLAUDE = Service(
    VertexAIUpstream("claude-sonnet-4-5", project="p", location="eu", publisher="anthropic"),
    anthropic_body,
)
BEDROCK = Service(BedrockUpstream("amazon.nova-pro-v1:0", region="us-east-1"), aws_body)
ALL = [OPENAI, NATIVE_VLLM, CHAT, VLLM, ANTHROPIC, GEMINI, VERTEX, VERTEX_CLAUDE, BEDROCK]


def refused(
    service: Service, status: int, body: object, headers: dict[str, str] | None = None
) -> ApiError:
    credential = SecretCredential(SECRET)
    deployment = Deployment(
        namespace="team",
        name="it",
        model="public",
        upstream=service.upstream,
        credential=credential,
    )
    connector = PROVIDERS[type(service.upstream)].connector(deployment, credential, {})
    request = decode_request(b'{"model": "public", "input": "hi"}')
    translator = connector.translator(request, service.upstream.model)
    translator.request()
    return translator.error(status, headers or {}, json.dumps(body).encode())


TOO_LONG = [
    (OPENAI, "Your input exceeds the context window of this model. Please adjust your input."),
    (OPENAI, "Input tokens exceed the configured limit of 272000 tokens. Yours has 300000."),
    (NATIVE_VLLM, "This model's maximum context length is 4096 tokens. However, you asked for 9."),
    (CHAT, "This model's maximum context length is 131072 tokens. However, you requested more."),
    (CHAT, "This model's maximum prompt length is 131072 but the request contains 537812 tokens."),
    (CHAT, "Please reduce the length of the messages or completion."),
    (CHAT, "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 2048."),
    (CHAT, "Prompt contains 40000 tokens, too large for model with 32768 maximum context length"),
    (VLLM, "The decoder prompt (length 9000) is longer than the maximum model length of 4096."),
    (VLLM, "The input (9000 tokens) is longer than the model's context length (4096 tokens)."),
    (ANTHROPIC, "prompt is too long: 210000 tokens > 200000 maximum"),
    (ANTHROPIC, "input length and `max_tokens` exceed context limit: 197208 + 21333 > 200000"),
    (GEMINI, "The input token count (1196265) exceeds the maximum number of tokens allowed (9)."),
    (
        VERTEX,
        (
            "Unable to submit request because the input token count is 1132121 but model only "
            "supports up to 1048576. Reduce the input token count and try again."
        ),
    ),
    (VERTEX_CLAUDE, "prompt is too long: 210000 tokens > 200000 maximum"),
    (BEDROCK, "Input is too long for requested model."),
    (BEDROCK, "The model returned the following errors: prompt is too long: 9 tokens > 8 maximum"),
    (BEDROCK, "Input Tokens Exceeded: Number of input tokens exceeds maximum length."),
    (BEDROCK, "400 Bad Request: Too many input tokens. Max input tokens: 8192, request: 20000"),
    (BEDROCK, "This model's maximum context length is 8192 tokens. Please reduce the prompt."),
]
AGAINST_POLICY = [
    (OPENAI, "Invalid prompt: your prompt was flagged as potentially violating our usage policy."),
    (OPENAI, "Your request was rejected as a result of our safety system."),
    (
        CHAT,
        (
            "The response was filtered due to the prompt triggering Azure OpenAI's content "
            "management policy. Please modify your prompt and retry."
        ),
    ),
    (CHAT, "Content Exists Risk"),
    (VLLM, "Input data may contain inappropriate content."),
    (ANTHROPIC, "Output blocked by content filtering policy"),
    (
        VERTEX,
        (
            "The prompt could not be submitted. This prompt contains sensitive words that violate "
            "Google's Responsible AI practices."
        ),
    ),
    (VERTEX_CLAUDE, "Output blocked by content filtering policy"),
    (
        BEDROCK,
        (
            "This request has been blocked by our content filters. Our filters flagged "
            "this prompt because it may conflict our AUP or AWS Responsible AI Policy."
        ),
    ),
]
NEITHER = [
    "max_tokens: 99999 > 64000, which is the maximum allowed number of output tokens",
    "max_tokens is too large: 10000. This model supports at most 4096 completion tokens.",
    "messages.0.content.1.image.source: bad",
    "Invalid value for 'content': expected a string.",
    "",
]


@pytest.mark.parametrize(("service", "text"), TOO_LONG, ids=range(len(TOO_LONG)))
def test_a_request_that_does_not_fit_the_context(service: Service, text: str) -> None:
    error = refused(service, 400, service.body(400, text))
    assert (error.status, error.error.code) == (400, "context_length_exceeded")
    assert error.error.message == text


@pytest.mark.parametrize(("service", "text"), AGAINST_POLICY, ids=range(len(AGAINST_POLICY)))
def test_a_request_that_the_providers_policy_refuses(service: Service, text: str) -> None:
    error = refused(service, 400, service.body(400, text))
    assert (error.status, error.error.code) == (400, "content_policy_violation")
    assert error.error.message == text


@pytest.mark.parametrize("service", ALL)
@pytest.mark.parametrize("text", NEITHER)
def test_other_refusals_have_neither_cause(service: Service, text: str) -> None:
    code = refused(service, 400, service.body(400, text)).error.code
    assert code not in {"context_length_exceeded", "content_policy_violation"}


@pytest.mark.parametrize("service", ALL)
@pytest.mark.parametrize("status", [413, 429])
def test_a_limit_of_tokens_a_minute_is_no_context(service: Service, status: int) -> None:
    text = "Request too large on tokens per minute (TPM): Limit 6000, too many tokens: 7000."
    error = refused(service, status, service.body(status, text))
    assert error.error.code != "context_length_exceeded"


@pytest.mark.parametrize("code", ["content_filter", "invalid_prompt"])
def test_codes_of_openai_and_azure_for_content(code: str) -> None:
    said = {
        "message": "It triggered our content management policy.",
        "code": code,
        "param": "prompt",
    }
    assert refused(OPENAI, 400, {"error": said}).error.code == code
    assert refused(CHAT, 400, {"error": said}).error.code == "content_policy_violation"


@pytest.mark.parametrize("service", [OPENAI, CHAT])
def test_content_that_is_refused_with_403_is_no_bad_credential(service: Service) -> None:
    text = "Content violates usage guidelines. Failed check: SAFETY_CHECK_TYPE_BIO"
    error = refused(service, 403, {"error": text})
    assert (error.status, error.error.code) == (400, "content_policy_violation")
    assert refused(service, 403, {"error": "No."}).error.code == "upstream_credential"


# ------------------------------------------------------------------------------------------- waits


@pytest.mark.parametrize("service", ALL)
@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "7"}, 7),
        ({"retry-after": "1e9"}, LONGEST_WAIT),
        ({"retry-after-ms": "1500", "retry-after": "7"}, 1.5),
        ({"retry-after-ms": "x", "retry-after": "7"}, 7),
        ({"retry-after": "Sun, 01 Mar 2026 12:00:30 GMT"}, 30),
        ({"retry-after": "Sunday, 01-Mar-26 12:00:30 GMT"}, 30),
        ({"retry-after": "Sun Mar  1 12:00:30 2026"}, 30),
        ({"retry-after": "Sun, 01 Mar 2026 11:00:00 GMT"}, 0),
        ({"retry-after": "Fri, 31 Dec 2100 23:59:59 GMT"}, LONGEST_WAIT),
        ({"retry-after": "Fri, 99 Mar 2026 12:00:00 GMT"}, None),
        ({"retry-after": "soon"}, None),
        ({}, None),
    ],
)
def test_every_provider_reads_every_form(
    service: Service, headers: dict[str, str], seconds: float | None
) -> None:
    dated = {**headers, "date": format_datetime(NOW, usegmt=True)}
    assert refused(service, 429, service.body(429, "Slow."), dated).retry_after == seconds


def test_a_date_counts_from_our_own_clock_where_the_answer_has_none() -> None:
    until = format_datetime(NOW + timedelta(seconds=20), usegmt=True)
    assert retry_after({"retry-after": until}, NOW.timestamp) == 20


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("34.4s", 34.4), ("0s", 0), ("99999999999999s", LONGEST_WAIT), ("-1s", None), (None, None)],
)
def test_durations(text: str | None, seconds: float | None) -> None:
    assert duration(text) == seconds


DATES = st.datetimes(timezones=st.just(UTC)).map(format_datetime)
SAID = (
    st.text(max_size=40) | DATES | st.floats().map(str) | st.from_regex(r"[0-9A-Za-z,: +-]{9,40}")
)


@given(said=SAID, milliseconds=SAID, date=SAID)
def test_whatever_is_said_a_wait_is_none_or_a_day_at_most(
    said: str, milliseconds: str, date: str
) -> None:
    found = retry_after({"retry-after": said, "retry-after-ms": milliseconds, "date": date})
    assert found is None or 0 <= found <= LONGEST_WAIT

"""Whole answers, refusals of the upstream, and where a call goes."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from bedrock_calls import (
    CLAUDE_3,
    CLAUDE_4,
    CLAUDE_37,
    SECRET,
    deployment,
    ready,
    translator,
    whole,
)
from event_grammar import JsonObject, output_texts
from sluicegate.api.request import decode_request
from sluicegate.config import (
    AmbientCredential,
    AwsCredential,
    BedrockUpstream,
    Credential,
    Deployment,
    GoogleCredential,
    Parameters,
)
from sluicegate.model import ApiError
from sluicegate.providers.bedrock import PROVIDER
from sluicegate.providers.bedrock.errors import Source
from sluicegate.providers.contract import AwsSigning, UpstreamCall, UpstreamStreamError
from sluicegate.routing.snapshot import Unavailable

USAGE = {"inputTokens": 3, "outputTokens": 4, "totalTokens": 7}


def answered(*blocks: JsonObject, reason: str = "end_turn", **more: object) -> JsonObject:
    message = {"role": "assistant", "content": list(blocks)}
    return {"output": {"message": message}, "stopReason": reason, "usage": USAGE, **more}


def test_every_kind_of_block() -> None:
    tools: JsonObject = {
        "tools": [{"type": "function", "name": "f"}, {"type": "custom", "name": "patch"}]
    }
    cited = {
        "content": [{"text": "It is so."}],
        "citations": [{"title": "T", "location": {"web": {"url": "https://example.com"}}}],
    }
    response = whole(
        answered(
            {"text": ""},
            {"reasoningContent": {"reasoningText": {"text": "hm", "signature": "s"}}},
            {"reasoningContent": {"redactedContent": "AAAA"}},
            {"somethingNew": {}},
            {"citationsContent": cited},
            {"toolUse": {"toolUseId": "t1", "name": "f", "input": {}}},
            {"toolUse": {"toolUseId": "t2", "name": "patch", "input": {"input": "text"}}},
            {"toolUse": {"toolUseId": "t3", "name": "s", "input": {}, "type": "server_tool_use"}},
            {"toolResult": {"toolUseId": "t3", "content": []}},
            reason="tool_use",
        ),
        tools,
    )
    assert [item["type"] for item in response["output"]] == [
        "reasoning",
        "reasoning",
        "message",
        "function_call",
        "custom_tool_call",
    ]
    assert output_texts(response) == ["It is so."]
    assert response["output"][2]["content"][0]["annotations"][0]["title"] == "T"
    assert response["output"][4]["input"] == "text"


@pytest.mark.parametrize("use", [{}, {"input": None}, {"input": {}}])
def test_a_call_without_input_has_empty_arguments(use: JsonObject) -> None:
    tools: JsonObject = {"tools": [{"type": "function", "name": "f"}]}
    told = answered({"toolUse": {"toolUseId": "t", "name": "f", **use}}, reason="tool_use")
    (item,) = whole(told, tools)["output"]
    assert item["arguments"] == "{}"


def test_an_answer_as_a_tool_is_text() -> None:
    body = answered({"toolUse": {"toolUseId": "t", "name": "json_answer", "input": {"a": 1}}})
    form: JsonObject = {"text": {"format": {"type": "json_object"}}}
    assert json.loads(output_texts(whole(body, form, CLAUDE_37))[0]) == {"a": 1}


def test_an_answer_tool_called_without_input_answers_with_an_empty_object() -> None:
    body = answered({"toolUse": {"toolUseId": "t", "name": "json_answer", "input": {}}})
    form: JsonObject = {"text": {"format": {"type": "json_object"}}}
    assert output_texts(whole(body, form, CLAUDE_37)) == ["{}"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"null",
        b'{"Output":{"__type":"com.amazon.coral.service#UnknownOperationException"}}',
        b'{"output":{"message":{"content":5}},"stopReason":"end_turn"}',
        b'{"output":{"message":{"content":[{"toolUse":{"toolUseId":"t"}}]}},"stopReason":"tool_use"}',
        b'{"output":{"message":{"content":[]}}}',
        b"[" * 100_000,
    ],
)
def test_a_body_without_an_answer_is_broken(body: bytes) -> None:
    made = ready()
    with pytest.raises(UpstreamStreamError):
        made.answer(body)


def test_a_malformed_answer_is_an_error() -> None:
    made = ready()
    body = answered({"text": "x"}, reason="malformed_model_output")
    with pytest.raises(ApiError) as error:
        made.answer(json.dumps(body).encode())
    assert error.value.status >= 500


@given(body=st.binary(max_size=60))
def test_any_bytes_are_an_answer_or_broken(body: bytes) -> None:
    with pytest.raises(UpstreamStreamError):
        ready().answer(body)


# ---------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("status", "kind", "message", "client_status", "code"),
    [
        (400, "ValidationException", "Malformed input.", 400, None),
        (400, "ValidationException", "Input is too long.", 400, "context_length_exceeded"),
        (400, "ServiceQuotaExceededException", "Quota.", 429, "insufficient_quota"),
        (403, "AccessDeniedException", "Secret detail.", 502, "upstream_credential"),
        (403, "", "Bearer token expired", 502, "upstream_credential"),
        (400, "UnrecognizedClientException", "The token.", 502, "upstream_credential"),
        (403, "InvalidSignatureException", "Signature expired", 502, "upstream_credential"),
        (404, "ResourceNotFoundException", "No such model.", 404, "model_not_found"),
        (
            400,
            "ValidationException",
            "The provided model identifier is invalid.",
            404,
            "model_not_found",
        ),
        (
            400,
            "ValidationException",
            "Invocation of model ID x with on-demand throughput isn\u2019t supported. Retry.",
            404,
            "model_not_found",
        ),
        (408, "ModelTimeoutException", "Late.", 504, "server_error"),
        (424, "ModelErrorException", "Model.", 502, "server_error"),
        (429, "ThrottlingException", "Slow.", 429, "rate_limit_exceeded"),
        (429, "ModelNotReadyException", "Wait.", 429, "rate_limit_exceeded"),
        (500, "InternalServerException", "Oops.", 500, "server_error"),
        (503, "ServiceUnavailableException", "Busy.", 503, "server_error"),
        (413, "", "Too large.", 413, None),
        (302, "", "", 502, "server_error"),
    ],
)
def test_errors_before_the_stream(
    status: int, kind: str, message: str, client_status: int, code: str | None
) -> None:
    headers = {"x-amzn-errortype": f"{kind}:http://internal.amazon.com/coral/"} if kind else {}
    body = json.dumps({"message": message}).encode()
    error = ready().error(status, headers, body)
    assert (error.status, error.error.code) == (client_status, code)
    if code == "upstream_credential":
        assert "team/sonnet" in error.error.message
        assert message not in error.error.message
        assert error.should_retry is False
    elif message:
        assert error.error.message == message


def test_the_kind_may_stand_in_the_body_and_the_message_may_be_capital() -> None:
    body = b'{"__type":"com.amazonaws.bedrock#ThrottlingException","Message":"Slow down."}'
    error = ready().error(400, {"retry-after": "7"}, body)
    assert (error.status, error.error.message, error.retry_after) == (429, "Slow down.", 7.0)


def test_text_that_repeats_the_key_is_not_shown() -> None:
    error = ready().error(400, {}, json.dumps({"message": f"bad {SECRET}"}).encode())
    assert SECRET not in error.error.message
    assert SECRET not in repr(Source("a/b", (SECRET,)))


# ----------------------------------------------------------------------------------------- calls


def call_of(made: Deployment, credential: Credential, **environ: str) -> UpstreamCall:
    request = decode_request(b'{"model":"m","input":"hi"}')
    connector = PROVIDER.connector(made, credential, environ)
    return connector.translator(request, made.upstream.model).request()


def test_a_single_key_is_a_bearer_token() -> None:
    made = deployment(headers=(("X-Team", "a"),))
    call = call_of(made, made.credential)
    assert call.base_url == "https://bedrock-runtime.us-east-1.amazonaws.com"
    assert call.authorization is None
    assert call.headers == (
        (b"content-type", b"application/json"),
        (b"authorization", b"Bearer " + SECRET.encode()),
        (b"x-team", b"a"),
    )
    assert SECRET not in repr(call)


def test_everything_else_is_signed() -> None:
    keys = AwsCredential(access_key_id="AKIA", secret_access_key="secret")
    for credential in (keys, AmbientCredential()):
        call = call_of(deployment(), credential)
        assert call.authorization == AwsSigning(credential, "us-east-1", "bedrock")
        assert call.headers == ((b"content-type", b"application/json"),)


def test_the_ambient_bearer_token_goes_first() -> None:
    call = call_of(deployment(), AmbientCredential(), AWS_BEARER_TOKEN_BEDROCK="token")
    assert (call.authorization, dict(call.headers)[b"authorization"]) == (None, b"Bearer token")


def test_other_credentials_do_not_fit() -> None:
    with pytest.raises(Unavailable):
        call_of(deployment(), GoogleCredential(json="{}"))


@pytest.mark.parametrize(
    ("model", "path"),
    [
        (CLAUDE_3, "anthropic.claude-3-sonnet-20240229-v1%3A0"),
        (
            "arn:aws:bedrock:eu-west-1:123456789012:inference-profile/eu.anthropic.claude-x",
            "arn%3Aaws%3Abedrock%3Aeu-west-1%3A123456789012%3Ainference-profile%2Feu.anthropic.claude-x",
        ),
    ],
)
def test_the_model_is_one_segment_of_the_path(model: str, path: str) -> None:
    assert translator({}, model).request().target == f"/model/{path}/converse"
    assert translator({"stream": True}, model).request().target == f"/model/{path}/converse-stream"


@pytest.mark.parametrize(
    ("upstream", "environ", "base_url", "target", "region"),
    [
        (
            BedrockUpstream(model="m", region="cn-north-1"),
            {},
            "https://bedrock-runtime.cn-north-1.amazonaws.com.cn",
            "/model/m/converse",
            "cn-north-1",
        ),
        (
            BedrockUpstream(
                model="arn:aws:bedrock:eu-west-1:123456789012:inference-profile/x",
                region="us-east-1",
            ),
            {},
            "https://bedrock-runtime.eu-west-1.amazonaws.com",
            "/model/arn%3Aaws%3Abedrock%3Aeu-west-1%3A123456789012%3Ainference-profile%2Fx/converse",
            "eu-west-1",
        ),
        (
            BedrockUpstream(model="m", region="us-east-1", base_url="https://proxy.example/aws/"),
            {"AWS_ENDPOINT_URL_BEDROCK_RUNTIME": "https://other.example"},
            "https://proxy.example/aws/",
            "/aws/model/m/converse",
            "us-east-1",
        ),
        (
            BedrockUpstream(model="m", region="us-east-1"),
            {"AWS_ENDPOINT_URL_BEDROCK_RUNTIME": "https://vpce.example"},
            "https://vpce.example",
            "/model/m/converse",
            "us-east-1",
        ),
    ],
)
def test_where_a_call_goes(
    upstream: BedrockUpstream, environ: dict[str, str], base_url: str, target: str, region: str
) -> None:
    made = Deployment(
        namespace="n", name="d", model="p", upstream=upstream, credential=AmbientCredential()
    )
    call = call_of(made, made.credential, **environ)
    assert (call.base_url, call.target) == (base_url, target)
    assert call.authorization == AwsSigning(AmbientCredential(), region, "bedrock")


def test_an_endpoint_that_is_no_url_is_said_when_it_is_configured() -> None:
    with pytest.raises(Unavailable, match="AWS_ENDPOINT_URL_BEDROCK_RUNTIME"):
        call_of(deployment(), AmbientCredential(), AWS_ENDPOINT_URL_BEDROCK_RUNTIME="vpce.example")


def test_the_account_in_an_arn_is_not_shown_to_clients() -> None:
    arn = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc"
    assert whole(answered({"text": "x"}), {}, arn)["model"] == "abc"


@pytest.mark.parametrize("model", [".", ".."])
def test_a_model_that_would_be_a_path_of_dots_does_not_exist(model: str) -> None:
    with pytest.raises(ApiError) as error:
        translator({}, model).request()
    assert error.value.error.code == "model_not_found"


def test_the_deployments_parameters_are_merged_in() -> None:
    made = deployment(CLAUDE_4, parameters=Parameters(defaults={"max_output_tokens": Raw(b"99")}))
    body = json.loads(call_of(made, made.credential).body)
    assert body["inferenceConfig"] == {"maxTokens": 99}

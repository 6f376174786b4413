"""A Bedrock deployment behind a whole gateway: signed calls, streams, credentials that fail."""

import json
import threading
from datetime import datetime

import botocore.auth
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from aws_services import AwsService, sts_error
from aws_wire import event, exception
from event_grammar import output_texts, read_stream
from gateway_rig import Rig
from responses_wire import answer_body
from running_gateway import AUTHORIZED, ONCE, key_entry, openai_entry
from scripted_upstream import Call, answers, streams
from sluicegate.config import (
    AwsCredential,
    BedrockUpstream,
    Credential,
    Deployment,
    SecretCredential,
)

MODEL = "us.anthropic.claude-sonnet-4-20250514-v1:0"
KEYS = AwsCredential(
    access_key_id="AKIDEXAMPLE", secret_access_key="aws-secret", session_token="session"
)
ROLE = AwsCredential(
    access_key_id="AKIDEXAMPLE",
    secret_access_key="aws-secret",
    role_arn="arn:aws:iam::123456789012:role/r",
)
STREAM = b"".join(
    [
        event("messageStart", {"role": "assistant"}),
        event("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": "Hello"}}),
        event("contentBlockStop", {"contentBlockIndex": 0}),
        event("messageStop", {"stopReason": "end_turn"}),
        event("metadata", {"usage": {"inputTokens": 1, "outputTokens": 2}}),
    ]
)
WHOLE = {
    "output": {"message": {"role": "assistant", "content": [{"text": "Hello"}]}},
    "stopReason": "end_turn",
    "usage": {"inputTokens": 1, "outputTokens": 2, "totalTokens": 3},
}
ASKED = {"model": "gpt-test", "input": "hi", "tools": [{"type": "web_search"}]}


def bedrock_entry(
    base_url: str, credential: Credential = KEYS, *, name: str = "claude", priority: int = 0
) -> Deployment:
    upstream = BedrockUpstream(model=MODEL, region="us-west-2", base_url=base_url)
    return Deployment(
        namespace="default",
        name=name,
        model="gpt-test",
        upstream=upstream,
        credential=credential,
        priority=priority,
        retry=ONCE,
    )


def is_signed(call: Call, base_url: str, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether AWS would accept it: botocore signs the same bytes alike."""
    stamp = call.header("x-amz-date") or ""

    def then(**_options: bool) -> datetime:
        return datetime.strptime(stamp, "%Y%m%dT%H%M%SZ")  # noqa: DTZ007 - botocore wants it naive

    monkeypatch.setattr(botocore.auth, "get_current_datetime", then)
    host = base_url.removesuffix("/v1")
    headers = {"Content-Type": call.header("content-type") or ""}
    request = AWSRequest("POST", f"{host}{call.target}", data=call.body, headers=headers)
    keys = Credentials("AKIDEXAMPLE", "aws-secret", "session")
    SigV4Auth(keys, "bedrock", "us-west-2").add_auth(request)
    token = request.headers["X-Amz-Security-Token"] == call.header("x-amz-security-token")
    return token and request.headers["Authorization"] == call.header("authorization")


async def test_a_streamed_call_is_signed_and_told_in_events(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    upstream = await rig.upstream(streams(STREAM[:50], STREAM[50:]))
    gateway = await rig.gateway(key_entry(), bedrock_entry(upstream.base_url))
    answer = await gateway.post(json.dumps({**ASKED, "stream": True}).encode())
    assert answer.status == 200
    body = answer.body.removesuffix(b"data: [DONE]\n\n")
    assert body != answer.body
    response = read_stream(frame + b"\n\n" for frame in body.split(b"\n\n")[:-1])
    assert output_texts(response) == ["Hello"]
    assert answer.headers["x-sluicegate-dropped"] == "tools.web_search"
    assert upstream.last.target == f"/v1/model/{MODEL.replace(':', '%3A')}/converse-stream"
    assert is_signed(upstream.last, upstream.base_url, monkeypatch)


async def test_a_whole_answer_with_a_bearer_token(rig: Rig) -> None:
    upstream = await rig.upstream(answers(json.dumps(WHOLE).encode()))
    entry = bedrock_entry(upstream.base_url, SecretCredential("token"))
    gateway = await rig.gateway(key_entry(), entry)
    answer = await gateway.post(json.dumps(ASKED).encode())
    assert (answer.status, output_texts(answer.json())) == (200, ["Hello"])
    assert upstream.last.header("authorization") == "Bearer token"


async def test_a_credential_that_cannot_be_had_fails_over(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = await rig.upstream(answers(answer_body()))
    spare = openai_entry(other.base_url, name="spare", priority=1)
    body = json.dumps(ASKED).encode()
    refusing = AwsService(lambda _asked: (403, sts_error("AccessDenied", "aws-secret is bad")))
    with refusing.listening():
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", refusing.url)
        gateway = await rig.gateway(key_entry(), bedrock_entry("http://127.0.0.1:9", ROLE), spare)
        answer = await gateway.post(body)
        assert answer.status == 200
        attempts = "default/claude=credential;default/spare=ok"
        assert answer.headers["x-sluicegate-attempts"] == attempts
        gateway.publish(key_entry(), bedrock_entry("http://127.0.0.1:9", ROLE))
        answer = await gateway.post(body)
    assert answer.status == 502
    assert answer.error["code"] == "upstream_credential"
    assert "default/claude" in answer.error["message"]
    assert "aws-secret" not in answer.body.decode()


async def test_the_clients_deadline_holds_while_credentials_are_looked_up(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    silent = AwsService(lambda _asked: (500, ""), hold=threading.Event())
    with silent.listening():
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", silent.url)
        gateway = await rig.gateway(key_entry(), bedrock_entry("http://127.0.0.1:9", ROLE))
        headers = {**AUTHORIZED, "x-sluicegate-timeout": "0.2"}
        answer = await gateway.post(json.dumps(ASKED).encode(), headers)
    assert (answer.status, answer.error["code"]) == (504, "upstream_timeout")


async def test_throttling_inside_the_stream_before_output_fails_over(rig: Rig) -> None:
    throttled = event("messageStart", {"role": "assistant"}) + exception(
        "throttlingException", b'{"message":"Too many requests."}'
    )
    first = await rig.upstream(streams(throttled))
    second = await rig.upstream(streams(STREAM))
    gateway = await rig.gateway(
        key_entry(),
        bedrock_entry(first.base_url, name="busy"),
        bedrock_entry(second.base_url, name="idle", priority=1),
    )
    answer = await gateway.post(json.dumps({**ASKED, "stream": True}).encode())
    assert b"Hello" in answer.body
    attempts = answer.headers["x-sluicegate-attempts"]
    assert attempts.startswith("default/busy=rate_limited(429);default/idle")


async def test_a_refused_signature_names_the_deployment(rig: Rig) -> None:
    refusal = b'{"message":"The security token aws-secret included in the request is invalid."}'
    kind = [("x-amzn-errortype", "UnrecognizedClientException")]
    upstream = await rig.upstream(answers(refusal, 403, kind))
    gateway = await rig.gateway(key_entry(), bedrock_entry(upstream.base_url))
    answer = await gateway.post(json.dumps(ASKED).encode())
    assert (answer.status, answer.error["code"]) == (502, "upstream_credential")
    assert "default/claude" in answer.error["message"]
    assert answer.headers["x-should-retry"] == "false"


async def test_a_whole_answer_that_is_malformed_fails_over(rig: Rig) -> None:
    malformed = json.dumps({**WHOLE, "stopReason": "malformed_model_output"}).encode()
    first = await rig.upstream(answers(malformed))
    second = await rig.upstream(answers(json.dumps(WHOLE).encode()))
    gateway = await rig.gateway(
        key_entry(),
        bedrock_entry(first.base_url, name="broken"),
        bedrock_entry(second.base_url, name="sound", priority=1),
    )
    answer = await gateway.post(json.dumps(ASKED).encode())
    assert output_texts(answer.json()) == ["Hello"]
    attempts = "default/broken=server_error(502);default/sound=ok"
    assert answer.headers["x-sluicegate-attempts"] == attempts

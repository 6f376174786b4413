"""Where requests go at Vertex AI, with which credential, for both publishers."""

import json
from typing import Any

import msgspec
import pytest

from event_grammar import JsonObject, output_texts, read_stream
from gemini_wire import FLASH_3, SECRET, deployment, said, text
from google_definitions import check_body
from sluicegate.api.request import decode_request
from sluicegate.config import (
    AmbientCredential,
    AwsCredential,
    Credential,
    Deployment,
    GeminiUpstream,
    GoogleCredential,
    SecretCredential,
    VertexAIUpstream,
)
from sluicegate.model import UpstreamStreamError
from sluicegate.providers.contract import GoogleToken, Translator, UpstreamCall
from sluicegate.providers.vertex_ai import PROVIDER
from sluicegate.routing.snapshot import Unavailable

CLAUDE = "claude-sonnet-4-5@20250929"
GOOGLE = GoogleCredential('{"type":"service_account","private_key":"hush-hush"}')


def attempt(
    upstream: VertexAIUpstream,
    body: JsonObject | None = None,
    credential: Credential = GOOGLE,
    of: Deployment | None = None,
) -> Translator:
    chosen = msgspec.structs.replace(of or deployment(), upstream=upstream)
    connector = PROVIDER.connector(chosen, credential, {})
    assert connector.provider == "vertex_ai"
    request = decode_request(json.dumps({"model": "m", "input": "hi", **(body or {})}).encode())
    return connector.translator(request, upstream.model)


def called(
    upstream: VertexAIUpstream, body: JsonObject | None = None, credential: Credential = GOOGLE
) -> UpstreamCall:
    call = attempt(upstream, body, credential).request()
    assert isinstance(call, UpstreamCall)
    return call


def gemini_at(location: str, **more: Any) -> VertexAIUpstream:  # noqa: ANN401 - fields of a struct
    return VertexAIUpstream(model=FLASH_3, project="my-project", location=location, **more)


def claude_at(location: str, **more: Any) -> VertexAIUpstream:  # noqa: ANN401 - fields of a struct
    return VertexAIUpstream(
        model=CLAUDE, project="my-project", location=location, publisher="anthropic", **more
    )


@pytest.mark.parametrize(
    ("location", "host"),
    [
        ("us-central1", "https://us-central1-aiplatform.googleapis.com"),
        ("europe-west4", "https://europe-west4-aiplatform.googleapis.com"),
        ("global", "https://aiplatform.googleapis.com"),
        ("us", "https://aiplatform.us.rep.googleapis.com"),
        ("eu", "https://aiplatform.eu.rep.googleapis.com"),
    ],
)
def test_locations(location: str, host: str) -> None:
    place = f"/v1/projects/my-project/locations/{location}/publishers"
    gemini, claude = called(gemini_at(location)), called(claude_at(location))
    assert (gemini.base_url, claude.base_url) == (host, host)
    assert gemini.target == f"{place}/google/models/{FLASH_3}:generateContent"
    assert claude.target == f"{place}/anthropic/models/{CLAUDE}:rawPredict"


def test_streams_have_other_methods() -> None:
    body = {"stream": True}
    assert called(gemini_at("eu"), body).target.endswith(":streamGenerateContent?alt=sse")
    assert called(claude_at("eu"), body).target.endswith(":streamRawPredict")


@pytest.mark.parametrize("at", [gemini_at, claude_at])
def test_another_address(at: Any) -> None:  # noqa: ANN401 - one of two functions
    call = called(at("us-central1", base_url="http://127.0.0.1:9/psc/"))
    assert call.base_url == "http://127.0.0.1:9/psc/"
    assert call.target.startswith("/psc/v1/projects/my-project/locations/us-central1/publishers/")


@pytest.mark.parametrize(
    ("model", "path"),
    [
        ("endpoints/123", "endpoints/123"),
        ("../../../x", "publishers/google/models/..%2F..%2F..%2Fx"),
        ("endpoints/../../y?z", "endpoints/..%2F..%2Fy%3Fz"),
    ],
)
def test_a_models_name_is_one_segment(model: str, path: str) -> None:
    upstream = msgspec.structs.replace(gemini_at("eu"), model=model)
    target = called(upstream).target
    assert target == f"/v1/projects/my-project/locations/eu/{path}:generateContent"


def test_a_project_of_a_domain() -> None:
    upstream = msgspec.structs.replace(gemini_at("eu"), project="example.com:mine")
    assert "/projects/example.com:mine/" in called(upstream).target


# -------------------------------------------------------------------------------------- credential


@pytest.mark.parametrize("credential", [GOOGLE, AmbientCredential()])
@pytest.mark.parametrize("upstream", [gemini_at("eu"), claude_at("eu")])
def test_a_token_is_to_be_had(
    upstream: VertexAIUpstream, credential: GoogleCredential | AmbientCredential
) -> None:
    call = called(upstream, credential=credential)
    assert call.authorization == GoogleToken(credential)
    assert dict(call.headers) == {b"content-type": b"application/json"}


def test_a_token_that_somebody_else_renews() -> None:
    call = called(gemini_at("eu"), credential=SecretCredential(SECRET))
    assert call.authorization is None
    assert dict(call.headers)[b"authorization"] == f"Bearer {SECRET}".encode()


@pytest.mark.parametrize("credential", [AwsCredential(role_arn="r"), SecretCredential("a\nb")])
def test_a_credential_that_does_not_fit(credential: Credential) -> None:
    with pytest.raises(Unavailable):
        PROVIDER.connector(deployment(gemini_at("eu")), credential, {})


@pytest.mark.parametrize("upstream", [gemini_at("eu"), claude_at("eu")])
@pytest.mark.parametrize("credential", [GOOGLE, SecretCredential(SECRET)])
def test_nothing_shows_the_credential(upstream: VertexAIUpstream, credential: Credential) -> None:
    connector = PROVIDER.connector(deployment(upstream), credential, {})
    call = called(upstream, credential=credential)
    shown = repr((connector, attempt(upstream, credential=credential), call, call.authorization))
    assert "hush-hush" not in shown
    assert SECRET not in shown


def test_another_provider_is_a_mistake_of_ours() -> None:
    with pytest.raises(TypeError):
        PROVIDER.connector(deployment(GeminiUpstream(model="m")), GOOGLE, {})


# ----------------------------------------------------------------------------------------- bodies


def test_a_body_of_googles() -> None:
    body = json.loads(called(gemini_at("eu"), {"instructions": "Be kind."}).body)
    check_body(body)
    assert body["systemInstruction"] == {"parts": [{"text": "Be kind."}]}


def test_a_body_of_anthropics() -> None:
    image = {"type": "input_image", "image_url": "data:image/png;base64,iVBORw0KGgoAAAANSUhEUg=="}
    fields = {"stream": True, "input": [{"role": "user", "content": [image]}]}
    body = json.loads(called(claude_at("eu"), fields).body)
    assert body["anthropic_version"] == "vertex-2023-10-16"
    assert body["stream"] is True
    assert "model" not in body
    assert body["messages"][0]["content"][0]["source"]["media_type"] == "image/png"


def test_headers_of_the_deployment() -> None:
    of = msgspec.structs.replace(deployment(), headers=(("X-Goog-User-Project", "billing"),))
    call = attempt(claude_at("eu"), of=of).request()
    assert isinstance(call, UpstreamCall)
    assert dict(call.headers)[b"x-goog-user-project"] == b"billing"


# ---------------------------------------------------------------------------------------- answers


def test_both_publishers_answer() -> None:
    gemini = attempt(gemini_at("eu"), {"stream": True})
    gemini.request()
    events = gemini.feed(said(text("Hello"), finish="STOP")) + gemini.close()
    assert output_texts(read_stream(event.frame for event in events)) == ["Hello"]
    claude = attempt(claude_at("eu"))
    claude.request()
    content = [{"type": "text", "text": "Hello"}]
    message = {"type": "message", "model": "claude", "content": content, "stop_reason": "end_turn"}
    assert output_texts(json.loads(claude.answer(json.dumps(message).encode()))) == ["Hello"]
    with pytest.raises(UpstreamStreamError):
        claude.answer(b'{"candidates":[]}')


THROTTLED = {"error": {"code": 429, "message": "Quota.", "status": "RESOURCE_EXHAUSTED"}}
RETRY = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "3s"}


@pytest.mark.parametrize(
    ("status", "body", "said_status", "code", "wait"),
    [
        (429, THROTTLED, 429, "rate_limit_exceeded", None),
        (
            429,
            [{"error": {**THROTTLED["error"], "details": [RETRY]}}],
            429,
            "rate_limit_exceeded",
            3,
        ),
        (
            403,
            {"error": {"code": 403, "message": "x", "status": "PERMISSION_DENIED"}},
            502,
            None,
            None,
        ),
        (
            400,
            {
                "type": "error",
                "error": {"type": "invalid_request_error", "message": "max_tokens: x"},
            },
            400,
            None,
            None,
        ),
        (
            529,
            {"type": "error", "error": {"type": "overloaded_error", "message": "x"}},
            503,
            None,
            None,
        ),
    ],
)
def test_errors_of_googles_and_of_anthropics(
    status: int, body: object, said_status: int, code: str | None, wait: float | None
) -> None:
    made = attempt(claude_at("eu"))
    made.request()
    error = made.error(status, {}, json.dumps(body).encode())
    assert error.status == said_status
    assert code is None or error.error.code == code
    assert error.retry_after == wait


def test_an_overloaded_claude_breaks_off() -> None:
    made = attempt(claude_at("eu"), {"stream": True})
    made.request()
    error = b'{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}'
    events = made.feed(b"event: error\ndata: " + error + b"\n\n")
    response = read_stream(event.frame for event in events)
    assert (response["status"], response["error"]["message"]) == ("failed", "Overloaded")

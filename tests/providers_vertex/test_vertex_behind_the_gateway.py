"""A gateway before Vertex AI: a token is fetched, presented, and kept for the next request."""

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from gateway_rig import Rig
from gemini_wire import FLASH_3, chunk, text
from running_gateway import key_entry
from scripted_upstream import Call, ScriptedUpstream
from sluicegate.config import Deployment, GoogleCredential, Retry, VertexAIUpstream

CLAUDE = {
    "type": "message",
    "model": "claude",
    "content": [{"type": "text", "text": "Hello"}],
    "stop_reason": "end_turn",
}


@pytest.fixture
async def rig(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Rig]:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    async with AsyncExitStack() as stack:
        yield Rig(stack)


async def google(call: Call) -> None:
    """Token endpoint and both publishers in one."""
    if call.target == "/token":
        answer: dict[str, Any] = {"access_token": "ya29.x", "expires_in": 3599}
    else:
        answer = CLAUDE if "rawPredict" in call.target else chunk(text("Hello"), finish="STOP")
    call.answer(json.dumps(answer).encode())


async def refusing(call: Call) -> None:
    call.answer(b'{"error": "invalid_grant", "error_description": "hush"}', 400)


def credential(upstream: ScriptedUpstream) -> GoogleCredential:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    info = {
        "type": "service_account",
        "client_email": "robot@p.iam.gserviceaccount.com",
        "private_key": pem.decode(),
        "token_uri": f"http://127.0.0.1:{upstream.port}/token",
    }
    return GoogleCredential(json.dumps(info))


def deployment(upstream: ScriptedUpstream, publisher: Any = "google") -> Deployment:  # noqa: ANN401 - one of two words
    return Deployment(
        namespace="default",
        name=publisher,
        model=publisher,
        upstream=VertexAIUpstream(
            model=FLASH_3 if publisher == "google" else "claude-sonnet-4-5@20250929",
            project="my-project",
            location="europe-west4",
            publisher=publisher,
            base_url=f"http://127.0.0.1:{upstream.port}",
        ),
        credential=credential(upstream),
        retry=Retry(attempts=1),
    )


@pytest.mark.parametrize(
    ("publisher", "model"),
    [
        ("google", "google/models/gemini-3-flash-preview:generateContent"),
        ("anthropic", "anthropic/models/claude-sonnet-4-5@20250929:rawPredict"),
    ],
)
async def test_a_service_accounts_token(rig: Rig, publisher: str, model: str) -> None:
    upstream = await rig.upstream(google)
    gateway = await rig.gateway(key_entry(), deployment(upstream, publisher))
    body = json.dumps({"model": publisher, "input": "hi"}).encode()
    for _ in range(3):
        answer = await gateway.post(body)
        assert answer.status == 200
        assert b'"text":"Hello"' in answer.body
    path = f"/v1/projects/my-project/locations/europe-west4/publishers/{model}"
    assert [call.target for call in upstream.calls] == ["/token", path, path, path]
    assert upstream.last.header("authorization") == "Bearer ya29.x"


async def test_a_token_that_can_not_be_had(rig: Rig) -> None:
    upstream = await rig.upstream(refusing)
    gateway = await rig.gateway(key_entry(), deployment(upstream))
    answer = await gateway.post(b'{"model":"google","input":"hi"}')
    error = json.loads(answer.body)["error"]
    assert (answer.status, error["code"]) == (502, "upstream_credential")
    assert "default/google" in error["message"]
    assert "invalid_grant" in error["message"]
    assert "hush" not in answer.body.decode()
    assert {call.target for call in upstream.calls} == {"/token"}

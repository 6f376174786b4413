"""What a reasoning item carries for its maker comes back to its maker only."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.api.request import decode_request
from sluicegate.api.sealed import seal, unseal, without_sealed
from sluicegate.config import Deployment, GeminiUpstream, SecretCredential
from sluicegate.providers.gemini import PROVIDER

DEPLOYMENT = Deployment(
    namespace="team",
    name="google",
    model="public",
    upstream=GeminiUpstream(model="gemini-2.5-flash"),
    credential=SecretCredential("google-key"),
)
CONNECTOR = PROVIDER.connector(DEPLOYMENT, DEPLOYMENT.credential, {})


@given(provider=st.text(), model=st.text(), payload=st.binary())
def test_the_payload_comes_back_to_the_same_provider_and_model(
    provider: str, model: str, payload: bytes
) -> None:
    assert unseal(seal(provider, model, payload), provider, model) == payload


@pytest.mark.parametrize(("provider", "model"), [("gemini", "m"), ("bedrock", "other"), ("", "")])
def test_another_provider_or_model_gets_nothing(provider: str, model: str) -> None:
    assert unseal(seal("bedrock", "m", b"signature"), provider, model) is None


@given(st.one_of(st.none(), st.text(), st.text().map("sg1.".__add__)))
def test_foreign_content_is_left_out(content: str | None) -> None:
    assert unseal(content, "bedrock", "m") is None


@given(st.data())
def test_a_damaged_envelope_never_raises(data: st.DataObject) -> None:
    sealed = seal("bedrock", "m", b"signature")
    at = data.draw(st.integers(0, len(sealed) - 1))
    unseal(sealed[:at] + data.draw(st.characters()) + sealed[at + 1 :], "bedrock", "m")
    unseal(sealed[:at], "bedrock", "m")


def test_an_upstream_that_seals_its_own_gets_none_of_ours() -> None:
    own: dict[str, object] = {
        "type": "reasoning",
        "id": "rs_1",
        "encrypted_content": "gAAAAB",
        "summary": [],
    }
    foreign = {**own, "id": "rs_2", "encrypted_content": seal("anthropic", "m", b"signature")}
    said = {"role": "user", "content": 'my "sg1. text'}
    body = json.dumps({"model": "m", "input": [own, foreign, said], "store": False}).encode()
    left = without_sealed(body)
    assert json.loads(left) == {"model": "m", "input": [own, said], "store": False}
    assert without_sealed(left) == left


def test_an_upstream_that_looks_reasoning_up_by_its_id_gets_none_that_nobody_signed() -> None:
    shown = CONNECTOR.translator(decode_request(b'{"model":"m","input":"hi"}'), "gemini-2.5-flash")
    shown.request()
    parts = [{"text": "Let me see.", "thought": True}, {"text": "Hi."}]
    whole = {"candidates": [{"content": {"parts": parts}, "finishReason": "STOP"}]}
    reasoning, message = json.loads(shown.answer(json.dumps(whole).encode()))["output"]
    assert reasoning["type"] == "reasoning"
    assert "encrypted_content" not in reasoning
    own: dict[str, object] = {
        "type": "reasoning",
        "id": "rs_1",
        "summary": [],
    }  # of the upstream, which kept it
    body = json.dumps({"model": "m", "input": [own, reasoning, message]}).encode()
    assert json.loads(without_sealed(body)) == {"model": "m", "input": [own, message]}


@pytest.mark.parametrize(
    "body",
    [
        b'{"model":"m","input":"\\"sg1."}',
        b'{"model":"m","input":"hi","metadata":{"a":"sg1."}}',
        b'{"model":"m","input":["sg1.",7,null,{"type":"reasoning","encrypted_content":{}}]}',
        b'{"model":"m","input":null,"user":"sg1."}',
        b'{"model":"m","user":"sg1."}',
        b'{"model":"m","input":[{"type":"item_reference","id":"rs_sg1_0"},{"id":"rs_sg1_0"}]}',
    ],
)
def test_a_body_without_sealed_reasoning_keeps_its_bytes(body: bytes) -> None:
    assert without_sealed(body) == body

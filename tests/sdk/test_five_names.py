"""The same call for five providers: blocking or not, streamed or not, by variables or keywords."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from openai._models import validate_type  # the SDK's strict validation, which has no public name
from openai.types.responses import Response, ResponseStreamEvent

import sluicegate
import spoken_wires
from scripted_upstream import Call, Script
from served_upstream import Served

STREAM_EVENT = cast("type[object]", ResponseStreamEvent)  # a union, which pyright tells from a type


@dataclass(frozen=True)
class Case:
    """A provider: what says who calls, and what of it the upstream must see."""

    model: str
    script: Script
    environment: Mapping[str, str]
    keywords: Mapping[str, str]
    seen: Callable[[Call], bool]
    target: str  # the beginning of the path, of a call that is not streamed
    cost: str  # of 20 input and 9 output tokens


def bearer(token: str) -> Callable[[Call], bool]:
    return lambda call: call.header("authorization") == f"Bearer {token}"


def signed(call: Call) -> bool:
    said = call.header("authorization") or ""
    return said.startswith("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/") and "/us-west-2/" in said


CASES = [
    Case(
        "openai/o1-pro",
        spoken_wires.openai,
        {"OPENAI_API_KEY": "sk-test"},
        {"api_key": "sk-test"},
        bearer("sk-test"),
        "/v1/responses",
        "0.0084",
    ),
    Case(
        "anthropic/claude-3-5-sonnet-20240620",
        spoken_wires.anthropic,
        {"ANTHROPIC_API_KEY": "sk-ant"},
        {"api_key": "sk-ant"},
        lambda call: call.header("x-api-key") == "sk-ant",
        "/v1/messages",
        "0.000195",
    ),
    Case(
        "vertex_ai/gemini-1.5-pro",
        spoken_wires.google,
        {
            "VERTEXAI_PROJECT": "my-project",
            "VERTEXAI_LOCATION": "us-central1",
            "GOOGLE_APPLICATION_CREDENTIALS": "<file>",
        },
        {
            "vertex_project": "my-project",
            "vertex_location": "us-central1",
            "vertex_credentials": "<file>",
        },
        bearer("ya29.x"),
        "/v1/projects/my-project/locations/us-central1/publishers/google/models/gemini-1.5-pro:",
        "0.00007",
    ),
    Case(
        "bedrock/anthropic.claude-3-sonnet-20240229-v1:0",
        spoken_wires.bedrock,
        {
            "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
            "AWS_SECRET_ACCESS_KEY": "aws-secret",
            "AWS_REGION_NAME": "us-west-2",
        },
        {
            "aws_access_key_id": "AKIDEXAMPLE",
            "aws_secret_access_key": "aws-secret",
            "aws_region_name": "us-west-2",
        },
        signed,
        "/model/anthropic.claude-3-sonnet-20240229-v1%3A0/converse",
        "0.000195",
    ),
    Case(
        "gemini/gemini-1.5-flash",
        spoken_wires.google,
        {"GEMINI_API_KEY": "AIza-test"},
        {"api_key": "AIza-test"},
        lambda call: call.header("x-goog-api-key") == "AIza-test",
        "/v1beta/models/gemini-1.5-flash:",
        "0.0000042",
    ),
]
by_name = pytest.mark.parametrize("case", CASES, ids=lambda case: cast("Case", case).model)


@pytest.fixture(scope="module")
def private_key() -> str:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()


@pytest.fixture
def credential_file(private_key: str, upstream: Served, tmp_path: Path) -> str:
    info = {
        "type": "service_account",
        "client_email": "robot@my-project.iam.gserviceaccount.com",
        "private_key": private_key,
        "token_uri": f"{upstream.origin}/token",
    }
    path = tmp_path / "credential.json"
    path.write_text(json.dumps(info))
    return str(path)


@pytest.fixture
def connection(
    case: Case,
    keywords: bool,
    upstream: Served,
    credential_file: str,
    monkeypatch: pytest.MonkeyPatch,
) -> dict[str, Any]:
    """The keywords of a call of the case, after the environment is set."""
    upstream.says(case.script)
    # Only openai's base URL holds the version, as in the providers' own SDKs.
    base_url = upstream.origin + ("/v1" if case.model.startswith("openai/") else "")
    given = case.keywords if keywords else case.environment
    filled = {name: value.replace("<file>", credential_file) for name, value in given.items()}
    if keywords:
        return {**filled, "base_url": base_url}
    for name, value in filled.items():
        monkeypatch.setenv(name, value)
    return {"base_url": base_url}


def judge(case: Case, upstream: Served, response: Response) -> None:
    validate_type(type_=Response, value=response.to_dict(mode="json"))
    assert response.status == "completed"
    assert response.output_text == "Hello there"
    assert response.usage is not None
    assert (response.usage.input_tokens, response.usage.output_tokens) == (20, 9)
    assert sluicegate.cost_usd(response) == Decimal(case.cost)
    assert json.loads(response.to_json())["usage"]["cost"] == float(case.cost)
    call = upstream.last
    assert case.seen(call), call.headers
    assert call.target.startswith(case.target)


def judge_event(event: ResponseStreamEvent) -> None:
    again = validate_type(type_=STREAM_EVENT, value=event.to_dict(mode="json"))
    assert type(again) is type(event)


@by_name
@pytest.mark.parametrize("keywords", [False, True], ids=["environment", "keywords"])
class TestEachProvider:
    def test_whole(self, case: Case, connection: dict[str, Any], upstream: Served) -> None:
        answer = sluicegate.responses(model=case.model, input="hi", stream=False, **connection)
        judge(case, upstream, answer)

    def test_streamed(self, case: Case, connection: dict[str, Any], upstream: Served) -> None:
        deltas: list[str] = []
        with sluicegate.responses(case.model, "hi", stream=True, **connection) as stream:
            assert stream.final is None
            for event in stream:
                judge_event(event)
                if event.type == "response.output_text.delta":
                    deltas.append(event.delta)
            assert list(stream) == []
        assert deltas == ["Hello", " there"]
        assert stream.final is not None
        judge(case, upstream, stream.final)

    async def test_whole_async(
        self, case: Case, connection: dict[str, Any], upstream: Served
    ) -> None:
        answer = await sluicegate.aresponses(case.model, "hi", stream=False, **connection)
        judge(case, upstream, answer)

    async def test_streamed_async(
        self, case: Case, connection: dict[str, Any], upstream: Served
    ) -> None:
        events: list[ResponseStreamEvent] = []
        stream = await sluicegate.aresponses(case.model, "hi", stream=True, **connection)
        async with stream:
            async for event in stream:
                judge_event(event)
                events.append(event)
        assert events[0].type == "response.created"
        assert [event.sequence_number for event in events] == list(range(len(events)))
        assert stream.final is not None
        judge(case, upstream, stream.final)


def test_the_region_has_a_second_variable(
    upstream: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    upstream.says(spoken_wires.bedrock)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "aws-secret")
    monkeypatch.setenv("AWS_REGION", "us-west-2")
    sluicegate.responses(CASES[3].model, "hi", base_url=upstream.origin)
    assert signed(upstream.last)


def test_a_bearer_token_for_bedrock(upstream: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    upstream.says(spoken_wires.bedrock)
    monkeypatch.setenv("AWS_BEARER_TOKEN_BEDROCK", "aws-bearer")
    sluicegate.responses(
        CASES[3].model, "hi", base_url=upstream.origin, aws_region_name="us-west-2"
    )
    assert upstream.last.header("authorization") == "Bearer aws-bearer"


def test_anthropics_models_at_vertex_ai(upstream: Served) -> None:
    upstream.says(spoken_wires.anthropic_at_vertex)
    answer = sluicegate.responses(
        "vertex_ai/claude-3-5-sonnet@20240620",
        "hi",
        base_url=upstream.origin,
        api_key="ya29.given",
        vertex_project="my-project",
        vertex_location="us-east5",
    )
    assert "/publishers/anthropic/models/claude-3-5-sonnet@20240620:rawPredict" in (
        upstream.last.target
    )
    assert bearer("ya29.given")(upstream.last)
    assert sluicegate.cost_usd(answer) == Decimal("0.000195")


def test_the_request_id_is_told(upstream: Served) -> None:
    upstream.says(spoken_wires.openai)
    answer = sluicegate.responses(
        "openai/o1-pro", "hi", api_key="k", base_url=f"{upstream.origin}/v1"
    )
    assert answer._request_id == "req_1"  # noqa: SLF001  # pyright: ignore[reportPrivateUsage] - public, says openai-python

"""For every provider, streamed and not: cost is tokens times price, and all who tell it agree."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

import genai_prices
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

import priced_wires
from gateway_rig import Rig
from ledger_records import until_rows
from responses_wire import sent_events
from running_gateway import AUTHORIZED, key_entry
from scripted_upstream import ScriptedUpstream
from sluicegate.config import (
    AnthropicUpstream,
    AwsCredential,
    BedrockUpstream,
    Credential,
    Deployment,
    GeminiUpstream,
    GoogleCredential,
    OpenAIUpstream,
    Pricing,
    SecretCredential,
    Upstream,
    VertexAIUpstream,
)
from sluicegate.server.process import ServerSettings

OWN = Pricing(input="1", cached_input="0.1", cache_write="1.25", output="5", reasoning="7")
NANO = Decimal("1e-9")


class Case(NamedTuple):
    """A deployment, and what its provider tells of 18 input and 7 output tokens."""

    provider: str
    catalogue: str
    model: str
    upstream: Callable[[str, str], Upstream]  # of a model at an origin
    wire: priced_wires.Wire
    written: int
    reasoned: int


def _openai(model: str, url: str) -> Upstream:
    return OpenAIUpstream(model, f"{url}/v1")


def _chat(model: str, url: str) -> Upstream:
    return OpenAIUpstream(model, f"{url}/v1", api="ChatCompletions")


def _anthropic(model: str, url: str) -> Upstream:
    return AnthropicUpstream(model, url)


def _gemini(model: str, url: str) -> Upstream:
    return GeminiUpstream(model, url)


def _vertex_google(model: str, url: str) -> Upstream:
    return VertexAIUpstream(model, "my-project", "us-east5", "google", url)


def _vertex_anthropic(model: str, url: str) -> Upstream:
    return VertexAIUpstream(model, "my-project", "us-east5", "anthropic", url)


def _bedrock(model: str, url: str) -> Upstream:
    return BedrockUpstream(model, "us-west-2", url)


CASES = {
    "openai": Case(
        "openai",
        "openai",
        "gpt-4o",
        _openai,
        priced_wires.responses,
        2,
        5,
    ),
    "chat": Case(
        "openai",
        "openai",
        "gpt-4o",
        _chat,
        priced_wires.chat,
        0,
        5,
    ),
    "anthropic": Case(
        "anthropic",
        "anthropic",
        "claude-sonnet-4-5",
        _anthropic,
        priced_wires.messages,
        2,
        0,
    ),
    "gemini": Case("gemini", "google", "gemini-2.5-flash", _gemini, priced_wires.content, 0, 5),
    "vertex_ai": Case(
        "vertex_ai", "google", "gemini-2.5-flash", _vertex_google, priced_wires.content, 0, 5
    ),
    "vertex_ai, Anthropic": Case(
        "vertex_ai",
        "google",
        "claude-3-5-sonnet@20240620",
        _vertex_anthropic,
        priced_wires.messages,
        2,
        0,
    ),
    "bedrock": Case(
        "bedrock",
        "aws",
        "us.anthropic.claude-3-7-sonnet-20250219-v1:0",
        _bedrock,
        priced_wires.converse,
        2,
        0,
    ),
}


@pytest.fixture(scope="module")
def private_key() -> str:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8)
    return key.private_bytes(*form, serialization.NoEncryption()).decode()


def credential(case: Case, upstream: ScriptedUpstream, private_key: str) -> Credential:
    if case.provider == "vertex_ai":
        info = {
            "type": "service_account",
            "client_email": "robot@p.iam.gserviceaccount.com",
            "private_key": private_key,
            "token_uri": f"http://127.0.0.1:{upstream.port}/token",
        }
        return GoogleCredential(json.dumps(info))
    if case.provider == "bedrock":
        return AwsCredential(access_key_id="AKIDEXAMPLE", secret_access_key="aws-secret")
    return SecretCredential("sk-upstream-0123456789abcdef")


def own_cost(case: Case) -> Decimal:
    plain, said = 18 - 3 - case.written, 7 - case.reasoned
    millionths = (
        plain * Decimal(1)
        + 3 * Decimal("0.1")
        + case.written * Decimal("1.25")
        + said * Decimal(5)
        + case.reasoned * Decimal(7)
    )
    return millionths / 10**6


def catalogue_cost(case: Case) -> Decimal:
    tokens = genai_prices.Usage(
        input_tokens=18, output_tokens=7, cache_read_tokens=3, cache_write_tokens=case.written
    )
    return genai_prices.calc_price(
        tokens,
        case.model,
        provider_id=case.catalogue,
        genai_request_timestamp=datetime.fromtimestamp(time.time(), UTC),
    ).total_price


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("own", [False, True], ids=["catalogue", "own"])
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
async def test_header_event_metric_and_ledger_agree(
    rig: Rig,
    settings: ServerSettings,
    tmp_path: Path,
    private_key: str,
    case: Case,
    *,
    own: bool,
    streamed: bool,
) -> None:
    upstream = await rig.upstream(case.wire)
    deployment = Deployment(
        namespace="default",
        name="primary",
        model="public",
        upstream=case.upstream(case.model, f"http://127.0.0.1:{upstream.port}"),
        credential=credential(case, upstream, private_key),
        pricing=OWN if own else None,
    )
    gateway = await rig.gateway(key_entry(), deployment, settings=settings)
    asked = json.dumps({"model": "public", "input": "hi", "stream": streamed}).encode()
    answer = await gateway.post(asked, {**AUTHORIZED, "x-sluicegate-cost": "true"})
    assert answer.status == 200, answer.body
    expected = own_cost(case) if own else catalogue_cost(case)
    assert expected > 0

    if streamed:
        told = re.search(rb'"cost":([0-9.]+)}', answer.body)
        assert told is not None
        assert sent_events(answer.body)[-1]["response"]["usage"]["cost"] == float(told[1])
        cost = Decimal(told[1].decode())
        assert "x-sluicegate-cost-usd" not in answer.headers
    else:
        cost = Decimal(answer.headers["x-sluicegate-cost-usd"])
    assert abs(cost - expected) < NANO

    [row] = await until_rows(1, tmp_path / "state")
    assert abs(Decimal(row["cost_usd"]) - expected) < NANO
    kinds = ("input", "cached", "cache_write", "output", "reasoning")
    tokens = [row[f"{kind}_tokens"] for kind in kinds]
    assert tokens == [18, 3, case.written, 7, case.reasoned]
    assert (row["provider"], row["upstream_model"]) == (case.provider, case.model)
    assert (row["status"], row["estimated"], row["streamed"]) == ("completed", 0, int(streamed))
    assert row["price_source"] == ("deployment" if own else "catalogue")
    assert row["catalogue"].startswith("genai-prices ")

    labels = {"model": "public", "deployment": "default/primary", "provider": case.provider}
    spent = await gateway.metric("sluicegate_spend_usd_total", **labels)
    assert abs(Decimal(repr(spent)) - expected) < NANO
    names = ("input", "cached_input", "cache_write", "output", "reasoning")
    assert tokens == [
        await gateway.metric("sluicegate_tokens_total", kind=kind, **labels) for kind in names
    ]
    assert await gateway.metric("sluicegate_unpriced_total", **labels) == 0

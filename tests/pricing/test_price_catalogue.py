"""What an answer costs: the catalogue's own sums, our own prices, and never a made-up zero."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime
from decimal import Decimal

import genai_prices
import pytest
from genai_prices.data_snapshot import get_snapshot
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.config import Pricing
from sluicegate.model import InputTokensDetails, OutputTokensDetails, Usage
from sluicegate.pricing import (
    CATALOGUE,
    MINUTE,
    Priced,
    Rates,
    answer_cost,
    own_rates,
    steps_of,
)

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
PROVIDERS = {
    "openai": "openai",
    "anthropic": "anthropic",
    "gemini": "google",
    "vertex_ai": "google",
    "bedrock": "aws",
}
MODELS = [
    (ours, theirs, info.id)
    for ours, theirs in PROVIDERS.items()
    for provider in get_snapshot().providers
    if provider.id == theirs
    for info in provider.models
]


def usage(
    input_tokens: int, output_tokens: int, *, cached: int = 0, written: int = 0, reasoned: int = 0
) -> Usage:
    return Usage(
        input_tokens,
        output_tokens,
        input_tokens + output_tokens,
        InputTokensDetails(cached, written),
        OutputTokensDetails(reasoned),
    )


def cost(provider: str, model: str, tokens: Usage, tier: str | None = None) -> Decimal | None:
    return answer_cost(Priced(provider, model), tokens, at=NOW.timestamp(), service_tier=tier)


@given(
    model=st.sampled_from(MODELS),
    fresh=st.sampled_from([1, 1000, 127_900, 199_989, 199_990, 200_001, 272_001, 3_000_000]),
    cached=st.integers(0, 100),
    written=st.integers(0, 10),
    output=st.integers(0, 10_000),
    tier=st.sampled_from([None, "default", "flex", "priority"]),
)
def test_the_same_sum_as_the_catalogues_own(  # the fast way against the official one
    *,
    model: tuple[str, str, str],
    fresh: int,
    cached: int,
    written: int,
    output: int,
    tier: str | None,
) -> None:
    ours, theirs, name = model
    tokens = usage(fresh + cached + written, output, cached=cached, written=written)
    mine = cost(ours, name, tokens, tier)
    try:
        official = genai_prices.calc_price(
            genai_prices.Usage(
                input_tokens=tokens.input_tokens,
                output_tokens=output,
                cache_read_tokens=cached,
                cache_write_tokens=written,
            ),
            name,
            provider_id=theirs,
            genai_request_timestamp=NOW,
            price_context=None if tier is None else {"service_tier": tier},
        )
    except LookupError:
        assert mine is None
        return
    price = official.model_price
    if price.input_mtok is None or (output and price.output_mtok is None):
        assert mine is None  # what has no price per token is not free
    else:
        assert mine == official.total_price


@pytest.mark.parametrize(
    ("provider", "model", "expected"),
    [
        ("openai", "o1-pro", "0.21"),
        ("anthropic", "claude-3-5-sonnet-20240620", "0.0045"),
        ("vertex_ai", "gemini-1.5-pro", "0.00175"),
        ("vertex_ai", "claude-3-5-sonnet@20240620", "0.0045"),
        ("bedrock", "anthropic.claude-3-sonnet-20240229-v1:0", "0.0045"),
        ("bedrock", "us.anthropic.claude-3-7-sonnet-20250219-v1:0", "0.0045"),
        ("gemini", "gemini-1.5-flash", "0.000105"),
        ("gemini", "GEMINI-1.5-flash", "0.000105"),
    ],
)
def test_known_prices(provider: str, model: str, expected: str) -> None:
    assert cost(provider, model, usage(1000, 100)) == Decimal(expected)


@pytest.mark.parametrize(
    ("provider", "model"),
    [("openai", "my-own-model"), ("openai", ""), ("echo", "gpt-4o"), ("nobody", "gpt-4o")],
)
def test_unknown_prices(provider: str, model: str) -> None:
    assert cost(provider, model, usage(1000, 100)) is None


def test_names_that_were_asked_for_are_not_kept() -> None:
    for number in range(5000):
        cost("openai", f"made-up-{number}", usage(1, 1))
    assert "made-up" not in repr(vars(get_snapshot()))


def test_the_catalogue_has_a_version() -> None:
    name, version = CATALOGUE.split(" ")
    assert name == "genai-prices"
    assert version[0].isdigit()


@pytest.mark.parametrize(
    ("pricing", "expected"),
    [
        (Pricing(input="2", output="10"), "0.003000"),
        (Pricing(input="2", output="10", cached_input="0.5"), "0.002400"),
        (Pricing(input="2", output="10", cache_write="4"), "0.003200"),
        (Pricing(input="2", output="10", reasoning="0"), "0.002500"),
        (Pricing(input="0", output="0"), "0"),
        (Pricing(input="2"), None),
        (Pricing(output="10"), None),
        (Pricing(), None),
    ],
)
def test_own_prices(pricing: Pricing, expected: str | None) -> None:
    tokens = usage(1000, 100, cached=400, written=100, reasoned=50)
    assert own_rates(pricing).cost(tokens) == (None if expected is None else Decimal(expected))


@pytest.mark.parametrize(
    ("own", "expected"),
    [
        (Pricing(), "0.21"),  # 150 and 600 USD in the catalogue
        (Pricing(output="1000"), "0.25"),
        (Pricing(input="0"), "0.06"),
        (Pricing(reasoning="0"), "0.18"),
        (Pricing(output="1000", input="1"), "0.101"),
    ],
)
def test_what_a_deployment_does_not_price_comes_from_the_catalogue(
    own: Pricing, expected: str
) -> None:
    tokens = usage(1000, 100, reasoned=50)
    found = answer_cost(Priced("openai", "o1-pro", own), tokens, at=NOW.timestamp())
    assert found == Decimal(expected)


def test_kinds_without_a_price_follow_whoever_prices_their_group() -> None:
    below = Rates(*map(Decimal, (10, 1, 12, 50)))
    assert Rates(input=Decimal(2)).above(below) == Rates(Decimal(2), None, None, Decimal(50))
    assert Rates(cached_input=Decimal(2)).above(below) == below._replace(cached_input=Decimal(2))


def test_an_unknown_model_has_its_deployments_prices() -> None:
    mine = Priced("openai", "my-own-model", Pricing(input="1", output="2"))
    assert answer_cost(mine, usage(1000, 100), at=NOW.timestamp()) == Decimal("0.0012")


@pytest.mark.parametrize("said", ["o1-pro", "not-in-the-catalogue", None])
def test_the_name_that_the_upstream_says_comes_first(said: str | None) -> None:
    called = Priced("openai", "o1-pro")
    assert answer_cost(called, usage(1000, 100), at=NOW.timestamp(), said_model=said) == Decimal(
        "0.21"
    )


def test_a_name_of_ones_own_for_a_known_model() -> None:
    called = Priced("openai", "my-azure-deployment")
    found = answer_cost(called, usage(1000, 100), at=NOW.timestamp(), said_model="o1-pro")
    assert found == Decimal("0.21")


def test_a_long_context_costs_more() -> None:
    called = Priced("gemini", "gemini-2.5-pro")
    short, long = (
        answer_cost(called, usage(count, 0), at=NOW.timestamp()) for count in (200_000, 400_000)
    )
    assert short is not None
    assert long is not None
    assert long > 2 * short
    mine = called._replace(own=Pricing(output="1"))
    assert answer_cost(mine, usage(400_000, 0), at=NOW.timestamp()) == long


def test_nothing_costs_nothing() -> None:
    assert Rates().cost(usage(0, 0)) == 0


@pytest.mark.parametrize(
    "tokens",
    [usage(10, 5, cached=11), usage(10, 5, cached=6, written=6), usage(10, 5, reasoned=6)],
)
def test_counts_that_contradict(tokens: Usage) -> None:
    assert Rates(Decimal(1), output=Decimal(1)).cost(tokens) is None


@given(
    price=st.decimals(0, 1000, places=4),
    count=st.integers(0, 10**9),
)
def test_sums_are_exact(price: Decimal, count: int) -> None:
    found = Rates(price, output=price).cost(usage(count, count))
    assert found is not None
    assert found * 10**6 == 2 * count * price


def test_the_offline_data_is_in_the_wheel() -> None:
    code = (
        "import socket\n"
        "def refuse(*a, **k): raise AssertionError('network')\n"
        "socket.socket.connect = refuse; socket.getaddrinfo = refuse\n"
        "from sluicegate.pricing import load; load()\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=30)


@given(st.integers(0, 10**7))
def test_what_the_input_alone_costs_is_what_an_answer_without_output_does(tokens: int) -> None:
    for model in ("gpt-4o", "gemini-2.5-pro"):
        called = Priced("gemini" if "gemini" in model else "openai", model)
        steps = steps_of(called, int(NOW.timestamp()) // MINUTE)
        assert steps is not None
        assert steps.input_cost(tokens) == answer_cost(called, usage(tokens, 0), at=NOW.timestamp())

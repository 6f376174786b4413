"""Prices of the catalogue `genai-prices`, from the data in its wheel; nothing is fetched."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from types import MappingProxyType

import genai_prices
from genai_prices.data_snapshot import find_provider_by_id, get_snapshot
from genai_prices.types import ModelInfo, ModelPrice, TieredPrices

from sluicegate.pricing.rates import Rates, Steps

CATALOGUE = f"genai-prices {genai_prices.__version__}"

# Our providers' names, in metrics and in manifests, to the catalogue's. Azure OpenAI and others
# behind `openai` are priced as OpenAI where the model has its name.
_PROVIDERS: Mapping[str, str] = MappingProxyType(
    {
        "openai": "openai",
        "anthropic": "anthropic",
        "gemini": "google",
        "vertex_ai": "google",
        "vertexAI": "google",
        "bedrock": "aws",
    }
)


def load() -> None:
    """Read the catalogue's data now, which takes some 60 ms, rather than with the first price."""
    get_snapshot()


def has_prices(provider: str) -> bool:
    """Whether the catalogue knows this provider, by its name in metrics or in manifests."""
    return provider in _PROVIDERS


def catalogue_steps(provider: str, model: str, service_tier: str | None, at: float) -> Steps | None:
    """The prices of `model` at `provider`; None where the catalogue does not know it.

    `provider` is its name in metrics, `at` in Unix seconds, `service_tier` the one that was used.
    """
    info = _model(provider, model)
    if info is None:
        return None
    context = {"service_tier": service_tier} if service_tier else None
    return _of(info.get_prices(datetime.fromtimestamp(at, tz=UTC), context))


def context_window(provider: str, model: str) -> int | None:
    """Tokens that `model` at `provider` takes; None where the catalogue does not say."""
    info = _model(provider, model)
    return None if info is None else info.context_window


def _model(provider: str, model: str) -> ModelInfo | None:
    """Not by the snapshot's own look-up: that keeps every name it was ever asked for."""
    providers = get_snapshot().providers
    found = find_provider_by_id(providers, _PROVIDERS.get(provider, ""))
    return None if found is None else found.find_model(model.lower(), all_providers=providers)


def _of(price: ModelPrice) -> Steps:
    prices = (
        price.input_mtok,
        price.cache_read_mtok,
        price.cache_write_mtok,
        price.output_mtok,
        None,  # reasoning is output there
    )
    starts = {
        tier.start for each in prices if isinstance(each, TieredPrices) for tier in each.tiers
    }
    base, *longer = (
        Rates(*(_at_length(each, above) for each in prices)) for above in (-1, *sorted(starts))
    )
    return Steps(base, tuple(zip(sorted(starts), longer, strict=True))[::-1])


def _at_length(price: Decimal | TieredPrices | None, above: int) -> Decimal | None:
    """The price where the input has more than `above` tokens, up to the next step."""
    if not isinstance(price, TieredPrices):
        return price
    reached = [tier.price for tier in price.tiers if tier.start <= above]
    return reached[-1] if reached else price.base

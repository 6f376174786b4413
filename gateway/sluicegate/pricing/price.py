"""What one answer cost, and by whose prices.

A model is looked up once a minute at most, since some prices begin on a date; in between a price is
a few multiplications.
"""

from __future__ import annotations

from decimal import Decimal
from functools import lru_cache
from typing import NamedTuple

from sluicegate.config import Deployment, Pricing
from sluicegate.model import Usage
from sluicegate.pricing.catalogue import catalogue_steps, has_prices
from sluicegate.pricing.rates import Rates, Steps, own_rates

MINUTE = 60  # seconds that a price is looked up for
_SOME = Usage(input_tokens=1, output_tokens=1)


class Priced(NamedTuple):
    """What was called: `provider` by its name in metrics, `model` by the name that it has there.

    `own` are the deployment's prices: what they leave out comes from the catalogue.
    """

    provider: str
    model: str
    own: Pricing | None = None


def answer_cost(
    called: Priced,
    usage: Usage,
    *,
    at: float,
    service_tier: str | None = None,
    said_model: str | None = None,
) -> Decimal | None:
    """USD for an answer; None where the price of a token is not known, never a made-up 0.

    `at` is in Unix seconds. `service_tier` and `said_model` are what the upstream says it used: its
    name is more exact than the one that was asked for (a version, what is behind an alias), which
    counts where the catalogue does not know the other.
    """
    steps = _steps(called, said_model, service_tier, int(at) // MINUTE)
    return None if steps is None else steps.cost(usage)


def steps_of(called: Priced, minute: int) -> Steps | None:
    """The prices in this minute of Unix time; None where they are not known."""
    return _steps(called, None, None, minute)


def is_priced(deployment: Deployment, at: float) -> bool:
    """Whether a price is known of the model that is named there; `at` is in Unix seconds.

    True of `*`, which is any model, and of providers that nobody pays.
    """
    upstream = deployment.upstream
    provider = str(upstream.__struct_config__.tag)
    if upstream.model == "*" or not has_prices(provider):
        return True
    called = Priced(provider, upstream.model, deployment.pricing)
    return answer_cost(called, _SOME, at=at) is not None


@lru_cache(maxsize=4096)
def _steps(
    called: Priced, said_model: str | None, service_tier: str | None, minute: int
) -> Steps | None:
    at = float(minute * MINUTE)
    steps: Steps | None = None
    for name in dict.fromkeys((said_model or called.model, called.model)):
        steps = steps or catalogue_steps(called.provider, name, service_tier, at)
    if called.own is None:
        return steps
    return (steps or Steps(Rates())).below(own_rates(called.own))

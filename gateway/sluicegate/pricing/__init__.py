"""What an answer cost: from its tokens, by the price catalogue or by a deployment's own prices.

Pure: no network, no clock of its own. `genai-prices` is the catalogue, as its wheel ships it.
"""

from sluicegate.pricing.catalogue import CATALOGUE, context_window, load
from sluicegate.pricing.price import MINUTE, Priced, answer_cost, is_priced, steps_of
from sluicegate.pricing.quotes import Quotes, dearest_nano_usd, quotes_of
from sluicegate.pricing.rates import Rates, Steps, own_rates

__all__ = [
    "CATALOGUE",
    "MINUTE",
    "Priced",
    "Quotes",
    "Rates",
    "Steps",
    "answer_cost",
    "context_window",
    "dearest_nano_usd",
    "is_priced",
    "load",
    "own_rates",
    "quotes_of",
    "steps_of",
]

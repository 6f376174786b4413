"""What an answer cost: from its tokens, by the price catalogue or by a deployment's own prices.

Pure: no network, no clock of its own. `genai-prices` is the catalogue, as its wheel ships it.
"""

from sluicegate.pricing.catalogue import CATALOGUE, context_window, load
from sluicegate.pricing.price import Priced, answer_cost, is_priced
from sluicegate.pricing.rates import Rates, own_rates

__all__ = [
    "CATALOGUE",
    "Priced",
    "Rates",
    "answer_cost",
    "context_window",
    "is_priced",
    "load",
    "own_rates",
]

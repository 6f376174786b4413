"""What an answer cost: from its tokens, by the price catalogue or by a deployment's own prices.

Pure: no network, no clock of its own. `genai-prices` is the catalogue, as its wheel ships it.
"""

from sluicegate.pricing.catalogue import CATALOGUE, catalogue_cost, load
from sluicegate.pricing.rates import Rates, own_rates

__all__ = ["CATALOGUE", "Rates", "catalogue_cost", "load", "own_rates"]

"""Prices per token, and the sum for one answer. Exact: every number is a Decimal."""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple

from sluicegate.config import Pricing
from sluicegate.model import Usage

_MILLION = 6  # decimal places: prices are in USD per million tokens
_NOTHING = Decimal(0)


class Rates(NamedTuple):
    """USD per million tokens. None: the price is not known.

    Of the input, `cached_input` and `cache_write` are priced as `input` where they have no price of
    their own; `reasoning` as `output`, and a price of its own replaces that of the output.
    """

    input: Decimal | None = None
    cached_input: Decimal | None = None
    cache_write: Decimal | None = None
    output: Decimal | None = None
    reasoning: Decimal | None = None

    def cost(self, usage: Usage) -> Decimal | None:
        """USD for these tokens; None where a token has no price, or the counts contradict."""
        details = usage.input_tokens_details
        cached, written = details.cached_tokens, details.cache_write_tokens
        reasoned = usage.output_tokens_details.reasoning_tokens
        parts = [
            (usage.input_tokens - cached - written, self.input),
            (usage.output_tokens - reasoned, self.output),
        ]
        if cached:
            parts.append((cached, self.input if self.cached_input is None else self.cached_input))
        if written:
            parts.append((written, self.input if self.cache_write is None else self.cache_write))
        if reasoned:
            parts.append((reasoned, self.output if self.reasoning is None else self.reasoning))
        total = _NOTHING
        for tokens, price in parts:
            if price is not None and tokens >= 0:
                total += tokens * price
            elif tokens:
                return None
        return total.scaleb(-_MILLION)

    def input_cost(self, tokens: int) -> Decimal | None:
        """USD for input of no special kind; None where it has no price."""
        return None if self.input is None else (tokens * self.input).scaleb(-_MILLION)

    def above(self, below: Rates) -> Rates:
        """These, and those of `below` where these say nothing.

        Kinds that are priced as `input` or `output` follow whoever prices that.
        """
        cached, written, reasoned = self.cached_input, self.cache_write, self.reasoning
        if self.input is None:
            cached = below.cached_input if cached is None else cached
            written = below.cache_write if written is None else written
        if self.output is None:
            reasoned = below.reasoning if reasoned is None else reasoned
        return Rates(
            input=below.input if self.input is None else self.input,
            cached_input=cached,
            cache_write=written,
            output=below.output if self.output is None else self.output,
            reasoning=reasoned,
        )


class Steps(NamedTuple):
    """Rates that depend on how long the input is."""

    base: Rates
    longer: tuple[tuple[int, Rates], ...] = ()  # for more input tokens than this; descending

    def rates(self, input_tokens: int) -> Rates:
        """Those for an input of so many tokens, cached ones included."""
        for above, rates in self.longer:
            if input_tokens > above:
                return rates
        return self.base

    def cost(self, usage: Usage) -> Decimal | None:
        """See Rates."""
        return (self.rates(usage.input_tokens) if self.longer else self.base).cost(usage)

    def input_cost(self, tokens: int) -> Decimal | None:
        """See Rates."""
        return (self.rates(tokens) if self.longer else self.base).input_cost(tokens)

    def below(self, own: Rates) -> Steps:
        """The same steps, with `own` above each."""
        longer = tuple((above, own.above(rates)) for above, rates in self.longer)
        return Steps(own.above(self.base), longer)


def own_rates(pricing: Pricing) -> Rates:
    """A deployment's own prices. Raises decimal.InvalidOperation where compile let nonsense by."""
    return Rates(
        *(
            None if price is None else Decimal(price)
            for price in (
                pricing.input,
                pricing.cached_input,
                pricing.cache_write,
                pricing.output,
                pricing.reasoning,
            )
        )
    )

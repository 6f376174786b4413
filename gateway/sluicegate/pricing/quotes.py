"""What is expected of a request, priced in integers: each one that has a budget asks for it."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from math import lcm
from typing import NamedTuple, TypeAlias

from sluicegate.model import Usage
from sluicegate.pricing.rates import Rates, Steps

_THOUSAND = 1000  # nano-USD for a token that costs a USD per million


class Quote(NamedTuple):
    """What a token costs where the input is longer than `above`: so many `parts` of a nano-USD."""

    above: int
    input: int
    output: int
    parts: int


Quotes: TypeAlias = tuple[Quote, ...]  # of the longest input first


def quotes_of(steps: Steps) -> Quotes:
    """For tokens of no special kind; nothing where the price of a token is not known."""
    return tuple(_quote(above, rates) for above, rates in (*steps.longer, (-1, steps.base)))


def _quote(above: int, rates: Rates) -> Quote:
    if rates.input is None or rates.output is None:
        return Quote(above, 0, 0, 1)
    read, written = Fraction(rates.input) * _THOUSAND, Fraction(rates.output) * _THOUSAND
    parts = lcm(read.denominator, written.denominator)
    return Quote(above, int(read * parts), int(written * parts), parts)


def dearest_nano_usd(quotes: Iterable[Quotes], usage: Usage) -> int:
    """What these tokens would cost at most, rounded up; 0 where no price is known."""
    input_tokens, output_tokens, most = usage.input_tokens, usage.output_tokens, 0
    for each in quotes:
        for above, read, written, parts in each:
            if input_tokens > above:
                most = max(most, -(-(input_tokens * read + output_tokens * written) // parts))
                break
    return most

"""Costs are exact, and what is reserved for a request is what it would cost, rounded up."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from math import ceil

from hypothesis import given
from hypothesis import strategies as st

from sluicegate.model import InputTokensDetails, OutputTokensDetails, Usage
from sluicegate.pricing import dearest_nano_usd, quotes_of
from sluicegate.pricing.rates import Rates, Steps

PRICES = st.decimals(0, 1000, places=6, allow_nan=False)
TOKENS = st.integers(0, 10**9)


@given(st.lists(PRICES, min_size=5, max_size=5), st.lists(TOKENS, min_size=5, max_size=5))
def test_a_cost_is_the_sum_over_the_kinds_of_tokens(
    prices: list[Decimal], counts: list[int]
) -> None:
    plain, cached, written, said, reasoned = counts
    usage = Usage(
        input_tokens=plain + cached + written,
        output_tokens=said + reasoned,
        input_tokens_details=InputTokensDetails(cached, written),
        output_tokens_details=OutputTokensDetails(reasoned),
    )
    exact = sum(
        (Fraction(price) * count for price, count in zip(prices, counts, strict=True)), Fraction(0)
    )
    cost = Rates(*prices).cost(usage)
    assert cost is not None
    assert Fraction(cost) == exact / 10**6


@given(PRICES, PRICES, PRICES, PRICES, TOKENS, TOKENS)
def test_what_is_expected_is_the_cost_rounded_up(
    first: Decimal, more: Decimal, output: Decimal, longer: Decimal, read: int, written: int
) -> None:
    steps = Steps(Rates(first, output=output), ((200_000, Rates(more, output=longer)),))
    cost = steps.cost(Usage(read, written))
    assert cost is not None
    assert dearest_nano_usd((quotes_of(steps),), Usage(read, written)) == ceil(
        Fraction(cost) * 10**9
    )


@given(TOKENS, TOKENS)
def test_nothing_is_expected_where_no_price_is_known(read: int, written: int) -> None:
    quotes = quotes_of(Steps(Rates(input=Decimal(1))))
    assert dearest_nano_usd((quotes,), Usage(read, written)) == 0


@given(st.lists(PRICES, max_size=4), TOKENS, TOKENS)
def test_of_several_the_dearest_is_expected(prices: list[Decimal], read: int, written: int) -> None:
    several = [quotes_of(Steps(Rates(price, output=price))) for price in prices]
    alone = [dearest_nano_usd((each,), Usage(read, written)) for each in several]
    assert dearest_nano_usd(several, Usage(read, written)) == max(alone, default=0)

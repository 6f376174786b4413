import pytest
from bench.stats import Spread, paired_ratios, quantile, slope
from hypothesis import given
from hypothesis import strategies as st

finite = st.floats(min_value=0, max_value=1e9)


@given(st.lists(finite, min_size=1), st.floats(min_value=0, max_value=1))
def test_a_quantile_is_a_measured_value_that_the_share_does_not_exceed(
    values: list[float], share: float
) -> None:
    found = quantile(values, share)
    assert found in values
    assert sum(value <= found for value in values) >= share * len(values) - 1e-9


def test_quantiles_by_nearest_rank() -> None:
    values = list(range(1, 101))
    assert quantile(values, 0.5) == 50
    assert quantile(values, 0.99) == 99
    assert quantile(values, 1) == 100
    assert quantile(values, 0) == 1
    assert quantile([7], 0.99) == 7


def test_no_values_have_no_quantile() -> None:
    with pytest.raises(ValueError, match="no values"):
        quantile([], 0.5)


def test_a_spread_is_the_middle_and_the_ends() -> None:
    assert Spread.of([3, 1, 2, 10]) == Spread(median=2.5, low=1, high=10)


def test_ratios_pair_the_rounds_and_leave_out_what_has_no_partner() -> None:
    assert paired_ratios([10, 20, 30], [20, 10]) == [0.5, 2.0]
    assert paired_ratios([10, 20], [0, 10]) == [2.0]
    assert paired_ratios([1], []) == []


@given(
    st.lists(st.integers(min_value=0, max_value=1000), min_size=2, unique=True),
    st.integers(min_value=-50, max_value=50),
    st.integers(min_value=-50, max_value=50),
)
def test_the_slope_of_a_line_is_its_steepness(xs: list[int], steepness: int, start: int) -> None:
    points = [(float(x), float(start + steepness * x)) for x in xs]
    assert slope(points) == pytest.approx(steepness, abs=1e-6)


def test_the_slope_of_too_little_is_flat() -> None:
    assert slope([]) == 0
    assert slope([(1, 5), (1, 9)]) == 0

"""What a list of measured numbers says. Pure."""

import math
from collections.abc import Sequence
from statistics import median
from typing import NamedTuple, Self


class Spread(NamedTuple):
    """The middle and the ends of a value's rounds."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Self:
        """Of at least one value."""
        return cls(median(values), min(values), max(values))


def quantile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least `share` (0 to 1) of the values don't exceed.

    It is one of the values (nearest rank), never a number between two that nobody measured.
    """
    if not values:
        raise ValueError("a quantile of no values")
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def paired_ratios(ours: Sequence[float], theirs: Sequence[float]) -> list[float]:
    """Round by round ours / theirs.

    Rounds that ran next to each other share the machine's mood, so their ratio is steadier than
    the ratio of two medians. Rounds that only one of the two has are left out.
    """
    return [our / their for our, their in zip(ours, theirs, strict=False) if their > 0]


def slope(points: Sequence[tuple[float, float]]) -> float:
    """The least-squares slope of (x, y) points, 0 where x doesn't vary."""
    count = len(points)
    if count == 0:
        return 0.0
    mean_x = sum(x for x, _ in points) / count
    mean_y = sum(y for _, y in points) / count
    over = sum((x - mean_x) ** 2 for x, _ in points)
    if over == 0:
        return 0.0
    return sum((x - mean_x) * (y - mean_y) for x, y in points) / over

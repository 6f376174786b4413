"""When a count starts at zero again. Pure; times are Unix milliseconds, UTC.

The scripts for Valkey say the same in Lua (`reserve.lua`), because there the server's clock counts.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from typing import Literal, TypeAlias

Period: TypeAlias = Literal["1d", "7d", "30d", "Month"]

WINDOW = 60_000  # of requests and tokens: from its first use on
_DAY = 86_400_000
_MONDAY = 3  # days from a Monday to the epoch, a Thursday


def period_start(period: Period, now: int) -> int:
    """The start of the budget period that `now` lies in.

    Days begin at midnight, weeks on Monday, months on the first; 30 days are counted from the
    epoch.
    """
    return _start(period, now // _DAY)


@lru_cache
def _start(period: Period, days: int) -> int:
    """The start of the period that this day since the epoch lies in."""
    match period:
        case "1d":
            return days * _DAY
        case "7d":
            return (days - (days + _MONDAY) % 7) * _DAY
        case "30d":
            return (days - days % 30) * _DAY
        case "Month":
            at = datetime.fromtimestamp(days * _DAY / 1000, UTC)
            return (days - at.day + 1) * _DAY


def period_end(period: Period, now: int) -> int:
    """The start of the period after the one that `now` lies in."""
    start = period_start(period, now)
    match period:
        case "1d":
            return start + _DAY
        case "7d":
            return start + 7 * _DAY
        case "30d":
            return start + 30 * _DAY
        case "Month":
            return period_start("Month", start + 32 * _DAY)

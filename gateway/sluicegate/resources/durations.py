"""Durations as Kubernetes people write them.

`200ms`, `5s`, `30m`, `1h30m` (Go's format, without units below ms).
"""

from __future__ import annotations

import re

# At most so many digits that every duration is a whole number of microseconds.
DURATION_PATTERN = r"([0-9]{1,9}((\.[0-9]{1,3})?ms|(\.[0-9]{1,6})?[smh]))+"
DURATION_MAX_LENGTH = 32
DURATION_SAYS = "must be a duration with its unit, as in 200ms, 5s, 30m or 1h30m"

_WHOLE = re.compile(DURATION_PATTERN, re.ASCII)
_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h)", re.ASCII)
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


class DurationError(ValueError):
    """The text is no duration; the message says what to write."""


def parse_duration(text: str) -> float:
    """Seconds of a duration such as `1h30m`. Raises DurationError."""
    if len(text) > DURATION_MAX_LENGTH or _WHOLE.fullmatch(text) is None:
        raise DurationError(DURATION_SAYS)
    # Rounded to the microsecond, so that 0.1 + 0.2 and 0.3 make equal entries.
    total = sum(float(number) * _SECONDS[unit] for number, unit in _PART.findall(text))
    return round(total, 6)

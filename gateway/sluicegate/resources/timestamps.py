"""Points in time: RFC 3339 with a time zone, as Kubernetes writes them, to Unix seconds."""

from __future__ import annotations

import re
from datetime import datetime

TIMESTAMP_PATTERN = (
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?"
    r"([Zz]|[+-][0-9]{2}:[0-9]{2})"
)
_MATCHER = re.compile(TIMESTAMP_PATTERN, re.ASCII)
_SAYS = 'must be a time with its zone, as in "2027-06-30T00:00:00Z"'


class TimestampError(ValueError):
    """The text is no point in time; the message says what to write."""


def parse_timestamp(text: str) -> int:
    """Unix seconds of an RFC 3339 time, fractions cut off. Raises TimestampError."""
    match = _MATCHER.fullmatch(text)
    if match is None:
        raise TimestampError(_SAYS)
    whole = text[:19].upper() + match.group(2).upper().replace("Z", "+00:00")
    try:
        return int(datetime.fromisoformat(whole).timestamp())
    except (ValueError, OverflowError):
        raise TimestampError(_SAYS) from None

"""Points in time: RFC 3339 with a time zone, as Kubernetes writes them, to Unix seconds."""

from __future__ import annotations

import re
from datetime import datetime

_LEAP_YEAR = r"(?:[1-9][0-9](?:0[48]|[2468][048]|[13579][26])|(?:[2468][048]|[13579][26])00)"
_DATE = (
    r"(?:[1-9][0-9]{3}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])"
    r"|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)|02-(?:0[1-9]|1[0-9]|2[0-8]))"
    rf"|{_LEAP_YEAR}-02-29)"
)
_HOUR_AND_MINUTE = r"(?:[01][0-9]|2[0-3]):[0-5][0-9]"
# With the calendar in it, so that the API server knows a date by the pattern alone.
TIMESTAMP_PATTERN = (
    rf"{_DATE}T{_HOUR_AND_MINUTE}:[0-5][0-9](?:\.[0-9]{{1,9}})?"
    rf"(Z|[+-]{_HOUR_AND_MINUTE})"
)
TIMESTAMP_MAX_LENGTH = 40
TIMESTAMP_SAYS = 'must be a time with its zone, as in "2027-06-30T00:00:00Z"'
_MATCHER = re.compile(TIMESTAMP_PATTERN, re.ASCII)


class TimestampError(ValueError):
    """The text is no point in time; the message says what to write."""


def parse_timestamp(text: str) -> int:
    """Unix seconds of an RFC 3339 time, fractions cut off. Raises TimestampError."""
    match = _MATCHER.fullmatch(text)
    if match is None:
        raise TimestampError(TIMESTAMP_SAYS)
    whole = text[:19] + match.group(1).replace("Z", "+00:00")
    try:
        return int(datetime.fromisoformat(whole).timestamp())
    except (ValueError, OverflowError):
        raise TimestampError(TIMESTAMP_SAYS) from None

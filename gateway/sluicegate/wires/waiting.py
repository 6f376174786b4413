"""How long an upstream asks to wait: every form in use, for all providers."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_tz

LONGEST_WAIT = 24 * 3600.0  # seconds; whoever says more can't mean it
_DURATION = re.compile(r"(\d{1,20}(?:\.\d{1,9})?)s", re.ASCII)


def retry_after(headers: Mapping[str, str], clock: Callable[[], float] = time.time) -> float | None:
    """Seconds to wait, a day at most; None where nothing that can be read is said.

    `retry-after-ms` goes first; then `retry-after` (RFC 9110, section 10.2.3) in seconds or as a
    date, counted from the answer's own `date`, so that neither clock need be right.
    """
    for name, scale in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        try:
            said = float(headers.get(name, "")) * scale
        except ValueError:
            continue
        if 0 <= said < float("inf"):
            return min(said, LONGEST_WAIT)
    until = _moment(headers.get("retry-after", ""))
    if until is None:
        return None
    sent = _moment(headers.get("date", ""))
    return min(max(until - (clock() if sent is None else sent), 0.0), LONGEST_WAIT)


def duration(text: str | None) -> float | None:
    """A google.protobuf.Duration, as RetryInfo has it, in seconds; a day at most."""
    found = _DURATION.fullmatch(text or "")
    return min(float(found[1]), LONGEST_WAIT) if found else None


def _moment(text: str) -> float | None:
    """An HTTP date (RFC 9110, section 5.6.7; also in its obsolete forms) in seconds since 1970."""
    try:
        parts = parsedate_tz(text)
        if parts is None:
            return None
        moment = datetime(*parts[:6], tzinfo=UTC)
    except (ValueError, IndexError, OverflowError, TypeError):
        return None  # a day that no month has, or what the parser trips over
    return moment.timestamp() - (parts[9] or 0)

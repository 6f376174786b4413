"""When to publish: the first change after a pause at once, then at most five times a second.

Design section 5. Pure; times are a monotonic clock's, in seconds.
"""

from __future__ import annotations

from sluicegate_operator.budget import Budget

QUIET = 0.2
# A publication that takes access away may come sooner so many times a second, and a few more times
# in a row; who flaps keys waits like everybody.
URGENT, IN_A_ROW = 1.0, 5.0
GATHER = 0.002  # what comes with the first change, a pool and its key, goes out with it


class Rhythm:
    """Knows what changed first, and when the last publication began."""

    def __init__(self) -> None:
        self._first: float | None = None
        self._urgent = False
        self._hurry = Budget(URGENT, IN_A_ROW)
        self.last: float | None = None

    def changed(self, now: float, *, urgent: bool = False) -> None:
        """Something is new. `urgent`: it takes access away."""
        if self._first is None:
            self._first = now
        self._urgent = self._urgent or urgent

    def due(self) -> float | None:
        """When to publish; None while nothing is new."""
        if self._first is None:
            return None
        if self._urgent and self._hurry.has(self._first):
            return self._first
        soon = self._first + GATHER
        return soon if self.last is None else max(soon, self.last + QUIET)

    def begin(self, now: float) -> None:
        """A publication begins, with all that was new until now."""
        if self._urgent and self.last is not None and now < self.last + QUIET:
            self._hurry.take(now)
        self._first = None
        self._urgent = False
        self.last = now

"""How often something may be done: so many times a second, and a store of what was not used."""

from __future__ import annotations


class Budget:
    """A token bucket. `now` is a monotonic clock's, in seconds."""

    def __init__(self, rate: float, burst: float) -> None:
        self._rate = rate
        self._burst = burst
        self._left = burst
        self._at: float | None = None

    def has(self, now: float) -> bool:
        """Whether one may be taken."""
        self._refill(now)
        return self._left >= 1.0

    def take(self, now: float) -> None:
        """Use one up."""
        self._refill(now)
        self._left -= 1.0

    def next_at(self, now: float) -> float:
        """When one may be taken."""
        self._refill(now)
        return now if self._left >= 1.0 else now + (1.0 - self._left) / self._rate

    def _refill(self, now: float) -> None:
        if self._at is not None and now > self._at:
            self._left = min(self._burst, self._left + (now - self._at) * self._rate)
        self._at = now if self._at is None else max(now, self._at)

"""Virtual time: what is due is done in order, and nobody waits."""

import heapq
from collections.abc import Callable


class Clock:
    """`now` is in seconds; it goes from one thing that is due to the next."""

    __slots__ = ("_due", "_number", "now")

    def __init__(self) -> None:
        self.now = 0.0
        self._number = 0  # of two that are due at once the one that was planned first
        self._due: list[tuple[float, int, Callable[[], None]]] = []

    def after(self, seconds: float, what: Callable[[], None]) -> None:
        """Do it then."""
        self._number += 1
        heapq.heappush(self._due, (self.now + seconds, self._number, what))

    def run(self) -> None:
        """Until nothing is due any more."""
        while self._due:
            self.now, _, what = heapq.heappop(self._due)
            what()

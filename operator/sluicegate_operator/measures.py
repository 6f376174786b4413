"""What the operator counts, for `/metrics`."""

from __future__ import annotations

import time
from collections.abc import Callable

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)

_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
_MOST_OPEN = 1000


class Measures:
    """The metrics of one operator."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self._passes = Histogram(
            "sluicegate_operator_publish_seconds",
            "Time of a pass that published, from its beginning to the index's answer.",
            buckets=_BUCKETS,
            registry=self._registry,
        )
        self._failures = Counter(
            "sluicegate_operator_failed_passes",
            "Passes that ended in an error.",
            registry=self._registry,
        )
        self._acknowledged = Histogram(
            "sluicegate_operator_acknowledged_seconds",
            "Time from the index's answer until every gateway has acknowledged that sequence.",
            buckets=_BUCKETS,
            registry=self._registry,
        )
        self._open: dict[int, float] = {}  # sequences that some gateway has not acknowledged
        self.problem: str | None = None

    def gauge(self, name: str, text: str, read: Callable[[], float]) -> None:
        """A number that is read when somebody asks."""
        gauge = Gauge(f"sluicegate_operator_{name}", text, registry=self._registry)
        gauge.set_function(read)

    def published(self, seconds: float, sequence: int) -> None:
        """A configuration was published, in so many seconds."""
        self._passes.observe(seconds)
        self._open[sequence] = time.monotonic()
        if len(self._open) > _MOST_OPEN:  # there is no gateway, or none that answers
            del self._open[min(self._open)]
        self.problem = None

    def acknowledged(self, sequence: int) -> None:
        """Every gateway has acknowledged this sequence."""
        now = time.monotonic()
        for one in [one for one in self._open if one <= sequence]:
            self._acknowledged.observe(now - self._open.pop(one))

    def failed(self, problem: str) -> None:
        """A pass ended in an error. The text is safe to show."""
        self._failures.inc()
        self.problem = problem

    def exposition(self) -> bytes:
        """The Prometheus text format."""
        return generate_latest(self._registry)

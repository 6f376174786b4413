"""Counts kept in plain dictionaries on the hot path, shown to Prometheus when it asks.

Labels are bounded: names of configured objects only, never what a client sent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from sluicegate.model import Usage


class RequestLabels(NamedTuple):
    """What a finished request is counted under.

    `deployment` and `provider` are empty where none was reached.
    """

    model: str
    deployment: str
    provider: str
    status: str


class ConfigState(NamedTuple):
    """Of the configuration that serves: its sequence, whether the last load was whole, its size."""

    sequence: int
    ok: bool
    loaded_at: float
    models: int
    deployments: int
    keys: int
    longest_slice: float
    origin: Mapping[str, str]


class _Series(msgspec.Struct):
    """What is counted under one set of labels. `tokens` are in the order of _TOKEN_KINDS."""

    requests: int = 0
    seconds: float = 0.0
    tokens: list[int] = msgspec.field(default_factory=lambda: [0, 0, 0, 0, 0])


@dataclass(slots=True)
class Tally:
    """Counts since the start of the process."""

    series: dict[RequestLabels, _Series] = field(default_factory=dict[RequestLabels, _Series])
    attempts: dict[tuple[str, str], int] = field(default_factory=dict[tuple[str, str], int])
    refused: dict[str, int] = field(default_factory=dict[str, int])  # by error code
    in_flight: int = 0

    def finished(self, labels: RequestLabels, seconds: float, usage: Usage | None) -> None:
        """Count one request that reached routing."""
        series = self.series.get(labels)
        if series is None:
            series = self.series[labels] = _Series()
        series.requests += 1
        series.seconds += seconds
        if usage is not None:
            tokens = series.tokens
            tokens[0] += usage.input_tokens
            tokens[1] += usage.input_tokens_details.cached_tokens
            tokens[2] += usage.input_tokens_details.cache_write_tokens
            tokens[3] += usage.output_tokens
            tokens[4] += usage.output_tokens_details.reasoning_tokens

    def attempted(self, deployment: str, outcome: str) -> None:
        """Count one attempt."""
        key = (deployment, outcome)
        self.attempts[key] = self.attempts.get(key, 0) + 1

    def refuse(self, code: str) -> None:
        """Count a request that was refused before routing."""
        self.refused[code] = self.refused.get(code, 0) + 1


_TOKEN_KINDS = ("input", "cached_input", "cache_write", "output", "reasoning")
_LABELS = ("model", "deployment", "provider")


class _Gateway(Collector):
    def __init__(self, tally: Tally, config: Callable[[], ConfigState]) -> None:
        self._tally = tally
        self._config = config

    def collect(self) -> Iterator[Metric]:
        yield from self._traffic()
        yield from self._configuration()

    def _traffic(self) -> Iterator[Metric]:
        tally = self._tally
        requests = CounterMetricFamily(
            "sluicegate_requests", "Requests by their end.", labels=(*_LABELS, "status")
        )
        seconds = CounterMetricFamily(
            "sluicegate_request_seconds",
            "Seconds spent on requests, from their head to the last byte.",
            labels=(*_LABELS, "status"),
        )
        for labels, counted in tally.series.items():
            requests.add_metric(labels, counted.requests)
            seconds.add_metric(labels, counted.seconds)
        yield requests
        yield seconds
        tokens = CounterMetricFamily(
            "sluicegate_tokens", "Tokens as the upstream reported them.", labels=(*_LABELS, "kind")
        )
        for labels, counts in _tokens(tally.series).items():
            for kind, count in zip(_TOKEN_KINDS, counts, strict=True):
                tokens.add_metric((*labels, kind), count)
        yield tokens
        attempts = CounterMetricFamily(
            "sluicegate_attempts", "Attempts by their outcome.", labels=("deployment", "outcome")
        )
        for labels, count in tally.attempts.items():
            attempts.add_metric(labels, count)
        yield attempts
        refused = CounterMetricFamily(
            "sluicegate_refused",
            "Requests refused before routing, by error code.",
            labels=("code",),
        )
        for code, count in tally.refused.items():
            refused.add_metric((code,), count)
        yield refused
        yield GaugeMetricFamily(
            "sluicegate_requests_in_flight", "Requests being served.", tally.in_flight
        )

    def _configuration(self) -> Iterator[Metric]:
        state = self._config()
        origin = GaugeMetricFamily(
            "sluicegate_config_info",
            "Where the configuration comes from.",
            labels=tuple(state.origin),
        )
        origin.add_metric(tuple(state.origin.values()), 1)
        yield origin
        for name, text, value in (
            ("sequence", "Sequence of the configuration that serves.", state.sequence),
            ("ok", "1 while the last load was whole, 0 while an older one serves.", int(state.ok)),
            ("loaded_timestamp_seconds", "When it was published.", state.loaded_at),
            ("models", "Public names it serves.", state.models),
            ("deployments", "Deployments that can be called.", state.deployments),
            ("keys", "Client keys.", state.keys),
            (
                "longest_slice_seconds",
                "Longest time that a load has held the event loop while serving.",
                state.longest_slice,
            ),
        ):
            yield GaugeMetricFamily(f"sluicegate_config_{name}", text, value)


def _tokens(series: Mapping[RequestLabels, _Series]) -> dict[tuple[str, str, str], list[int]]:
    """Tokens without the status, which their metric does not have."""
    merged: dict[tuple[str, str, str], list[int]] = {}
    for labels, counted in series.items():
        old = merged.setdefault(labels[:3], [0] * len(_TOKEN_KINDS))
        merged[labels[:3]] = [a + b for a, b in zip(old, counted.tokens, strict=True)]
    return merged


def registry(tally: Tally, config: Callable[[], ConfigState]) -> CollectorRegistry:
    """A registry of this gateway's own metrics and the process's."""
    collectors = CollectorRegistry()
    ProcessCollector(registry=collectors)
    collectors.register(_Gateway(tally, config))
    return collectors


def exposition(collectors: CollectorRegistry) -> bytes:
    """The Prometheus text format."""
    return generate_latest(collectors)

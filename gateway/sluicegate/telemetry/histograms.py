"""Histograms of the OpenTelemetry GenAI metrics: counted in plain lists, named for Prometheus.

Names are spelled as OpenTelemetry's Prometheus compatibility says: dots become underscores, the
unit is appended. Bounds are those that the conventions recommend for each metric.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from functools import lru_cache
from itertools import accumulate
from typing import NamedTuple

import msgspec

from sluicegate.model import Usage
from sluicegate.telemetry.genai import OPERATION, WILDCARD, provider_name

TOKENS = tuple(float(4**power) for power in range(14))
DURATION = tuple(0.01 * 2**power for power in range(14))
FIRST_TOKEN = (
    *(0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1),
    *(0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0),
)
PER_TOKEN = (0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5)


class CallLabels(NamedTuple):
    """What an upstream call is measured under.

    `upstream_model` is the deployment's own, `*` where clients name it; `error` is an attempt's
    outcome, empty where the call has succeeded.
    """

    model: str
    deployment: str
    provider: str
    upstream_model: str
    error: str


class Histogram:
    """Counts by bucket; a value on a bound belongs below it."""

    __slots__ = ("bounds", "counts", "sum")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def observe(self, value: float) -> None:
        """Count one."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value


class CallSeries(msgspec.Struct):
    """Upstream calls under one set of labels."""

    input: Histogram
    output: Histogram
    seconds: Histogram
    first: Histogram
    per_token: Histogram

    @classmethod
    def new(cls) -> CallSeries:
        """Nothing has been counted."""
        return cls(
            Histogram(TOKENS),
            Histogram(TOKENS),
            Histogram(DURATION),
            Histogram(FIRST_TOKEN),
            Histogram(PER_TOKEN),
        )

    def called(self, usage: Usage | None, seconds: float, first: float | None) -> None:
        """Count one call that took `seconds`, `first` of them until its stream had output.

        `usage` None: not known, and so not counted.
        """
        self.seconds.observe(seconds)
        if usage is not None:
            self.input.observe(usage.input_tokens)
            self.output.observe(usage.output_tokens)
        if first is not None:
            self.first.observe(first)
            if usage is not None and usage.output_tokens > 1:
                self.per_token.observe((seconds - first) / (usage.output_tokens - 1))


class _Family:
    """One histogram metric as text.

    prometheus-client would take 40 times as long, while requests wait for the interpreter: 1,000
    deployments make 90,000 lines (measured).
    """

    def __init__(self, name: str, text: str, labels: tuple[str, ...]) -> None:
        self._name = name
        self._labels = labels
        self._lines = [f"# HELP {name} {text}\n# TYPE {name} histogram\n"]

    def add(self, values: tuple[str, ...], histogram: Histogram) -> None:
        """The lines of one set of labels; none while nothing has been counted."""
        counts = list(histogram.counts)
        if not any(counts):
            return
        pairs = zip(self._labels, values, strict=True)
        labels = ",".join(f'{name}="{_escaped(value)}"' for name, value in pairs)
        head = f'{self._name}_bucket{{{labels},le="'
        bounds = _bounds(histogram.bounds)
        self._lines += [
            f'{head}{bound}"}} {count}\n'
            for bound, count in zip(bounds, accumulate(counts), strict=True)
        ]
        name = self._name
        self._lines.append(
            f"{name}_sum{{{labels}}} {histogram.sum!r}\n{name}_count{{{labels}}} {sum(counts)}\n"
        )

    def text(self) -> bytes:
        """All of it, once: the lines take three times as much memory."""
        lines, self._lines = self._lines, []
        return "".join(lines).encode()


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


@lru_cache
def _bounds(bounds: tuple[float, ...]) -> tuple[str, ...]:
    return (*(repr(round(bound, 6)) for bound in bounds), "+Inf")


_CALL = (
    "gen_ai_operation_name",
    "gen_ai_provider_name",
    "gen_ai_request_model",
    "gen_ai_response_model",
    "sluicegate_deployment",
)
_REQUEST = (
    "gen_ai_operation_name",
    "gen_ai_provider_name",
    "gen_ai_request_model",
    "sluicegate_deployment",
    "error_type",
)


def calls_text(calls: Mapping[CallLabels, CallSeries]) -> bytes:
    """What upstream calls took, in the Prometheus text format."""
    tokens = _Family(
        "gen_ai_client_token_usage",
        "Tokens of upstream calls, by type (gen_ai.client.token.usage).",
        (*_CALL, "error_type", "gen_ai_token_type"),
    )
    seconds = _Family(
        "gen_ai_client_operation_duration_seconds",
        "Seconds of upstream calls (gen_ai.client.operation.duration).",
        (*_CALL, "error_type"),
    )
    first = _Family(
        "gen_ai_server_time_to_first_token_seconds",
        "Seconds until a streamed call had output (gen_ai.server.time_to_first_token).",
        _CALL,
    )
    per_token = _Family(
        "gen_ai_server_time_per_output_token_seconds",
        "Seconds for each token of a streamed call after its first output "
        "(gen_ai.server.time_per_output_token).",
        _CALL,
    )
    for labels, series in list(calls.items()):
        upstream_model = "" if labels.upstream_model == WILDCARD else labels.upstream_model
        provider = provider_name(labels.provider)
        call = (OPERATION, provider, labels.model, upstream_model, labels.deployment)
        tokens.add((*call, labels.error, "input"), series.input)
        tokens.add((*call, labels.error, "output"), series.output)
        seconds.add((*call, labels.error), series.seconds)
        if not labels.error:
            first.add(call, series.first)
            per_token.add(call, series.per_token)
    return b"".join(family.text() for family in (tokens, seconds, first, per_token))


def requests_text(requests: Iterable[tuple[tuple[str, str, str, str], Histogram]]) -> bytes:
    """What requests took, by model, deployment, provider, and status: 200 without an error."""
    family = _Family(
        "gen_ai_server_request_duration_seconds",
        "Seconds of requests, from their head to the last byte (gen_ai.server.request.duration).",
        _REQUEST,
    )
    for (model, deployment, provider, status), seconds in requests:
        error = "" if status == "200" else status
        family.add((OPERATION, provider_name(provider), model, deployment, error), seconds)
    return family.text()

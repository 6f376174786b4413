"""Counts kept in plain dictionaries on the hot path, shown to Prometheus when it asks.

Labels are bounded: names of configured objects only, never what a client sent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import NamedTuple, Protocol, TypeVar

import msgspec
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from sluicegate.model import Usage
from sluicegate.telemetry.histograms import (
    DURATION,
    CallLabels,
    CallSeries,
    Histogram,
    calls_text,
    requests_text,
)


class RequestLabels(NamedTuple):
    """What a finished request is counted under.

    `deployment` and `provider` are empty where none was reached.
    """

    model: str
    deployment: str
    provider: str
    status: str


class SpendLabels(NamedTuple):
    """What the tokens and the cost of an upstream call are counted under."""

    model: str
    deployment: str
    provider: str


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
    """Requests that ended under one set of labels."""

    requests: int = 0
    seconds: Histogram = msgspec.field(default_factory=lambda: Histogram(DURATION))


class _Spend(msgspec.Struct):
    """What upstream calls took. `tokens` are in the order of _TOKEN_KINDS, `usd` is exact."""

    tokens: list[int] = msgspec.field(default_factory=lambda: [0, 0, 0, 0, 0])
    usd: Decimal = Decimal(0)
    unpriced: int = 0  # calls that had tokens, and no known price


class LedgerCounts(Protocol):
    """How the spend ledger is doing. `backlog` is in bytes, the others count rows."""

    @property
    def problems(self) -> tuple[str, ...]:
        """Why rows are not safe, or not in the database."""
        ...

    @property
    def stored(self) -> int:
        """In the database."""
        ...

    @property
    def lost(self) -> int:
        """Given up, for want of any room."""
        ...

    @property
    def refused(self) -> int:
        """That the database will never take."""
        ...

    @property
    def backlog(self) -> int:
        """On their way to the database."""
        ...


class LimitStore(Protocol):
    """How the store of limits is doing that gateways share, if there is one."""

    @property
    def shared(self) -> bool:
        """Whether there is one."""
        ...

    @property
    def degraded(self) -> bool:
        """It is away."""
        ...

    @property
    def failures(self) -> int:
        """Times that it was lost, or could not be found."""
        ...

    @property
    def lost(self) -> int:
        """Settlements that it will never hear of."""
        ...


class SinkCounts(Protocol):
    """What became of the records of one log sink."""

    @property
    def name(self) -> str:
        """A word for it; `queue` for what found no room before any sink."""
        ...

    @property
    def sent(self) -> int:
        """Taken by the sink."""
        ...

    @property
    def dropped(self) -> int:
        """Given up, for want of room or after retries."""
        ...

    @property
    def refused(self) -> int:
        """That the sink will never take."""
        ...

    @property
    def failures(self) -> int:
        """Attempts to send a batch that failed."""
        ...

    @property
    def backlog(self) -> int:
        """On their way."""
        ...


_LabelsT = TypeVar("_LabelsT", RequestLabels, SpendLabels, CallLabels)
_SeriesT = TypeVar("_SeriesT")


@dataclass(slots=True)
class Tally:
    """Counts since the start of the process."""

    series: dict[RequestLabels, _Series] = field(default_factory=dict[RequestLabels, _Series])
    spend: dict[SpendLabels, _Spend] = field(default_factory=dict[SpendLabels, _Spend])
    calls: dict[CallLabels, CallSeries] = field(default_factory=dict[CallLabels, CallSeries])
    attempts: dict[tuple[str, str], int] = field(default_factory=dict[tuple[str, str], int])
    refused: dict[str, int] = field(default_factory=dict[str, int])  # by error code
    limited: dict[tuple[str, str, str], int] = field(
        default_factory=dict[tuple[str, str, str], int]
    )  # by whose limit, which limit, refused or warned
    in_flight: int = 0

    def finished(self, labels: RequestLabels, seconds: float) -> None:
        """Count one request that reached routing."""
        series = self.series.get(labels)
        if series is None:
            series = self.series[labels] = _Series()
        series.requests += 1
        series.seconds.observe(seconds)

    def spent(self, labels: SpendLabels, usage: Usage, cost: Decimal | None) -> None:
        """Count what one upstream call took; `cost` in USD, None where no price is known."""
        spend = self.spend.get(labels)
        if spend is None:
            spend = self.spend[labels] = _Spend()
        tokens = spend.tokens
        tokens[0] += usage.input_tokens
        tokens[1] += usage.input_tokens_details.cached_tokens
        tokens[2] += usage.input_tokens_details.cache_write_tokens
        tokens[3] += usage.output_tokens
        tokens[4] += usage.output_tokens_details.reasoning_tokens
        if cost is None:
            spend.unpriced += 1
        else:
            spend.usd += cost

    def called(
        self, labels: CallLabels, usage: Usage | None, seconds: float, first: float | None
    ) -> None:
        """Count one upstream call, as `CallSeries.called`."""
        series = self.calls.get(labels)
        if series is None:
            series = self.calls[labels] = CallSeries.new()
        series.called(usage, seconds, first)

    def attempted(self, deployment: str, outcome: str) -> None:
        """Count one attempt."""
        key = (deployment, outcome)
        self.attempts[key] = self.attempts.get(key, 0) + 1

    def limit(self, subject: str, limit: str, action: str) -> None:
        """Count what a limit of a kind of subject has refused, or only warned of."""
        key = (subject, limit, action)
        self.limited[key] = self.limited.get(key, 0) + 1

    def refuse(self, code: str) -> None:
        """Count a request that was refused before routing."""
        self.refused[code] = self.refused.get(code, 0) + 1

    def keep(self, known: Callable[[str], bool]) -> None:
        """Forget deployments that are not `known` any more; what reached none stays."""
        _keep(self.series, known)
        _keep(self.spend, known)
        _keep(self.calls, known)
        for each in [each for each in self.attempts if not known(each[0])]:
            self.attempts.pop(each, None)


def _keep(series: dict[_LabelsT, _SeriesT], known: Callable[[str], bool]) -> None:
    for labels in [each for each in series if each.deployment and not known(each.deployment)]:
        del series[labels]


_TOKEN_KINDS = ("input", "cached_input", "cache_write", "output", "reasoning")
_LABELS = ("model", "deployment", "provider")


class _Gateway(Collector):
    def __init__(
        self,
        tally: Tally,
        config: Callable[[], ConfigState],
        ledger: Callable[[], LedgerCounts | None],
        limits: LimitStore,
        sinks: Callable[[], Sequence[SinkCounts]],
    ) -> None:
        self._tally = tally
        self._config = config
        self._ledger = ledger
        self._limits = limits
        self._sinks = sinks

    def collect(self) -> Iterator[Metric]:
        yield from self._traffic()
        yield from self._spend()
        yield from self._ledger_rows()
        yield from self._limit_store()
        yield from self._log_sinks()
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
        for labels, counted in list(tally.series.items()):
            requests.add_metric(labels, counted.requests)
            seconds.add_metric(labels, counted.seconds.sum)
        yield requests
        yield seconds
        attempts = CounterMetricFamily(
            "sluicegate_attempts", "Attempts by their outcome.", labels=("deployment", "outcome")
        )
        for labels, count in list(tally.attempts.items()):
            attempts.add_metric(labels, count)
        yield attempts
        refused = CounterMetricFamily(
            "sluicegate_refused",
            "Requests refused before routing, by error code.",
            labels=("code",),
        )
        for code, count in list(tally.refused.items()):
            refused.add_metric((code,), count)
        yield refused
        limited = CounterMetricFamily(
            "sluicegate_limited",
            "Requests and attempts that a limit has refused, or warned of.",
            labels=("subject", "limit", "action"),
        )
        for labels, count in list(tally.limited.items()):
            limited.add_metric(labels, count)
        yield limited
        yield GaugeMetricFamily(
            "sluicegate_requests_in_flight", "Requests being served.", tally.in_flight
        )

    def _spend(self) -> Iterator[Metric]:
        tokens = CounterMetricFamily(
            "sluicegate_tokens", "Tokens of upstream calls.", labels=(*_LABELS, "kind")
        )
        usd = CounterMetricFamily(
            "sluicegate_spend_usd", "Cost of upstream calls that have a price.", labels=_LABELS
        )
        unpriced = CounterMetricFamily(
            "sluicegate_unpriced", "Upstream calls whose price is not known.", labels=_LABELS
        )
        for labels, spend in list(self._tally.spend.items()):
            for kind, count in zip(_TOKEN_KINDS, spend.tokens, strict=True):
                tokens.add_metric((*labels, kind), count)
            usd.add_metric(labels, float(spend.usd))
            unpriced.add_metric(labels, spend.unpriced)
        yield from (tokens, usd, unpriced)

    def _ledger_rows(self) -> Iterator[Metric]:
        counts = self._ledger()
        if counts is None:
            return
        rows = CounterMetricFamily("sluicegate_ledger_rows", "Rows by their end.", labels=("end",))
        rows.add_metric(("stored",), counts.stored)
        rows.add_metric(("lost",), counts.lost)
        rows.add_metric(("refused",), counts.refused)
        yield rows
        for name, text, value in (
            ("ok", "1 while rows are safe and arrive.", int(not counts.problems)),
            ("backlog_bytes", "Rows in the spool that the database has not got.", counts.backlog),
        ):
            yield GaugeMetricFamily(f"sluicegate_ledger_{name}", text, value)

    def _limit_store(self) -> Iterator[Metric]:
        store = self._limits
        yield GaugeMetricFamily(
            "sluicegate_limits_shared",
            "1 while limits are counted with other gateways, 0 while in this process alone.",
            int(store.shared and not store.degraded),
        )
        for name, text, value in (
            ("failures", "Times that the shared store was lost, or not found.", store.failures),
            ("lost", "Settlements that it will never hear of.", store.lost),
        ):
            yield CounterMetricFamily(f"sluicegate_limits_store_{name}", text, value)

    def _log_sinks(self) -> Iterator[Metric]:
        sinks = self._sinks()
        if not sinks:
            return
        records = CounterMetricFamily(
            "sluicegate_log_records", "Records of log sinks by their end.", labels=("sink", "end")
        )
        failures = CounterMetricFamily(
            "sluicegate_log_failures", "Batches that a log sink did not take.", labels=("sink",)
        )
        backlog = GaugeMetricFamily(
            "sluicegate_log_backlog", "Records that wait for a log sink.", labels=("sink",)
        )
        for sink in sinks:
            records.add_metric((sink.name, "sent"), sink.sent)
            records.add_metric((sink.name, "dropped"), sink.dropped)
            records.add_metric((sink.name, "refused"), sink.refused)
            failures.add_metric((sink.name,), sink.failures)
            backlog.add_metric((sink.name,), sink.backlog)
        yield from (records, failures, backlog)

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


class Registry(CollectorRegistry):
    """Collectors, and the histograms of a Tally, which are text without them."""

    def __init__(self, tally: Tally) -> None:
        super().__init__()
        self._tally = tally

    def exposition(self) -> bytes:
        """The Prometheus text format. In a thread of its own: it may take a second."""
        series = [(labels, each.seconds) for labels, each in list(self._tally.series.items())]
        return generate_latest(self) + requests_text(series) + calls_text(self._tally.calls)

    def keep(self, known: Callable[[str], bool]) -> None:
        """See Tally. Not in a thread."""
        self._tally.keep(known)


def registry(
    tally: Tally,
    config: Callable[[], ConfigState],
    ledger: Callable[[], LedgerCounts | None],
    limits: LimitStore,
    sinks: Callable[[], Sequence[SinkCounts]],
) -> Registry:
    """A registry of this gateway's own metrics and the process's. `ledger` None: there is none."""
    collectors = Registry(tally)
    ProcessCollector(registry=collectors)
    collectors.register(_Gateway(tally, config, ledger, limits, sinks))
    return collectors

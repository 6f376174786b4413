"""How each deployment is doing, for /config and for Prometheus."""

from __future__ import annotations

import math
from collections.abc import Iterator
from time import monotonic

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from sluicegate.pipeline.live import LiveStore
from sluicegate.providers.contract import Connector
from sluicegate.routing.health import DeploymentState, Latency
from sluicegate.routing.snapshot import Route, Target


def described_pool(route: Route[Connector]) -> dict[str, object]:
    """A pool with its policy, its deployments and their health; nothing secret."""
    pool = route.pool
    return {
        "model": pool.model,
        "namespace": pool.namespace,
        "shared": pool.shared,
        "strategy": pool.strategy,
        "affinity": pool.affinity,
        "fallbacks": [
            {"model": fallback.model, "causes": list(fallback.causes)}
            for fallback in pool.fallbacks
        ],
        "deployments": [_described(target) for tier in route.tiers for target in tier],
        "unavailable": list(route.unavailable),
    }


def _described(target: Target[Connector]) -> dict[str, object]:
    deployment, state, now = target.deployment, target.state, monotonic()
    described: dict[str, object] = {
        "name": target.label,
        "provider": target.connector.provider,
        "priority": deployment.priority,
        "weight": deployment.weight,
        "state": _state(state),
        "in_flight": state.in_flight,
        "failures": state.failures,
        "seconds_to_output": _seconds(state.streamed),
        "seconds_to_answer": _seconds(state.whole),
    }
    if state.out:
        described["cause"] = state.cause
        described["seconds_left"] = round(max(state.until - now, 0.0), 3)
    return described


def _state(state: DeploymentState) -> str:
    if not state.out:
        return "ok"
    return "probing" if state.probing else "cooldown"


def _seconds(latency: Latency) -> float | None:
    return None if latency.measured_at == -math.inf else round(latency.seconds, 4)


class DeploymentGauges(Collector):
    """The health of what can be called, by deployment."""

    def __init__(self, store: LiveStore) -> None:
        self._store = store

    def collect(self) -> Iterator[Metric]:
        """See Collector."""
        healthy = GaugeMetricFamily(
            "sluicegate_deployment_healthy",
            "1 while it is in rotation, 0 while it is left alone after failures.",
            labels=("deployment",),
        )
        in_flight = GaugeMetricFamily(
            "sluicegate_deployment_in_flight", "Attempts under way.", labels=("deployment",)
        )
        for target in self._store.current.snapshot.targets.values():
            healthy.add_metric((target.label,), int(not target.state.out))
            in_flight.add_metric((target.label,), target.state.in_flight)
        yield healthy
        yield in_flight

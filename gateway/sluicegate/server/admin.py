"""The admin port: probes, metrics and what is configured. Not for the outside."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import msgspec

from sluicegate.config import Config
from sluicegate.model import ApiError
from sluicegate.pipeline.live import LiveStore
from sluicegate.server.deployments import DeploymentGauges, described_pool
from sluicegate.server.exchange import HttpExchange
from sluicegate.server.health import Health
from sluicegate.telemetry.logs import LOGGER
from sluicegate.telemetry.metrics import Registry

_PROMETHEUS = b"text/plain; version=1.0.0; charset=utf-8; escaping=underscores"
_GET = ("GET", "HEAD")


@dataclass(slots=True)
class AdminPort:
    """Handles the requests of the admin port."""

    store: LiveStore
    health: Health
    metrics: Registry
    _counted: Config | None = None  # of the latest scrape

    def __post_init__(self) -> None:
        self.metrics.register(DeploymentGauges(self.store))

    async def handle(self, exchange: HttpExchange) -> None:
        """Answer one request; the root of its task."""
        if self.health.draining:
            exchange.keep_alive = False
        try:
            await self._dispatch(exchange)
        except ApiError as error:
            exchange.send(error.status, (), error.body())
        except Exception:  # noqa: BLE001 -- the task's root: one request's fault ends that request only
            LOGGER.exception("the admin port failed")
            exchange.abort()

    async def _dispatch(self, exchange: HttpExchange) -> None:
        path = exchange.target.partition("?")[0]
        if exchange.method not in _GET:
            raise ApiError(405, "Use GET.", code="method_not_allowed")
        match path:
            case "/healthz":
                status, body = self.health.live()
                exchange.send(status, (), msgspec.json.encode(body))
            case "/readyz":
                status, body = self.health.ready(detail=True)
                exchange.send(status, (), msgspec.json.encode(body))
            case "/metrics":
                text = await asyncio.to_thread(self.metrics.exposition)
                exchange.respond(200, (), text, _PROMETHEUS)
                self._forget_removed()
            case "/config":
                exchange.send(200, (), msgspec.json.encode(self._config()))
            case _:
                raise ApiError(
                    404,
                    "The admin port serves /healthz, /readyz, /metrics and /config.",
                    code="unknown_url",
                )

    def _forget_removed(self) -> None:
        """Deployments that are configured no more have now been told of for the last time."""
        config = self.store.current.snapshot.config
        if config is not self._counted:
            self._counted = config
            self.metrics.keep(lambda label: f"md/{label}" in config.entries)

    def _config(self) -> dict[str, object]:
        """What is served, without any secret.

        Models, their deployments, how these are doing, and why some are left out.
        """
        snapshot = self.store.current.snapshot
        return {
            "sequence": snapshot.sequence,
            "revision": snapshot.revision,
            **self.health.load_state().origin,
            "published_at": int(self.store.current.published_at),
            "models": [described_pool(route) for _, route in sorted(snapshot.routes.items())],
        }

"""Port 4002: probes and metrics. Not for the outside."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import NamedTuple

import msgspec
from aiohttp import web

from sluicegate_operator.measures import Measures

_PROMETHEUS = "text/plain; version=1.0.0; charset=utf-8; escaping=underscores"


class Health(NamedTuple):
    """An answer to a probe: whether it is well, and the facts."""

    ok: bool
    facts: dict[str, object]


def application(
    live: Callable[[], Health], ready: Callable[[], Health], measures: Measures
) -> web.Application:
    """`/healthz`: restart it if this fails; `/readyz`: it knows all and leads, or stands by."""

    def probe(
        state: Callable[[], Health],
    ) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def answer(_: web.Request) -> web.StreamResponse:
            health = state()
            return web.Response(
                status=200 if health.ok else 503,
                body=msgspec.json.encode(health.facts),
                content_type="application/json",
            )

        return answer

    async def metrics(_: web.Request) -> web.StreamResponse:
        return web.Response(body=measures.exposition(), headers={"Content-Type": _PROMETHEUS})

    made = web.Application()
    made.router.add_get("/healthz", probe(live))
    made.router.add_get("/readyz", probe(ready))
    made.router.add_get("/metrics", metrics)
    return made

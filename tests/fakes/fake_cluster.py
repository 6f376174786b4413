"""As much of an API server as a gateway sees: the Secrets of its config, and its Lease.

It can go away and come back on its port, and refuse single requests. What only the real one can
show (roles, policies, compaction) is in tests/cluster.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from bundle_secrets import plan
from sluicegate.bundle import SecretData, Standing, secret_name
from sluicegate.cluster import Access
from sluicegate.config import Config

NAMESPACE = "sluicegate"
CONFIG = "sluicegate"
_SECRETS = f"/api/v1/namespaces/{NAMESPACE}/secrets"
_LEASES = f"/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases"


@dataclass
class FakeCluster:
    """What it holds, what it was asked, and what a test tells it to refuse."""

    secrets: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])
    leases: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])
    requests: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    annotations: list[dict[str, str]] = field(default_factory=list[dict[str, str]])
    refusals: dict[str, int] = field(default_factory=dict[str, int])  # by name of the object
    standing: Standing = field(default_factory=Standing.nothing)
    mute: bool = False  # watches tell nothing
    port: int = 0
    _version: int = 1
    _events: list[tuple[int, bytes]] = field(default_factory=list[tuple[int, bytes]])
    _news: asyncio.Condition = field(default_factory=asyncio.Condition)
    _runner: web.AppRunner | None = None

    @property
    def access(self) -> Access:
        return Access(server=f"http://127.0.0.1:{self.port}", namespace=NAMESPACE)

    async def start(self) -> None:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(app, shutdown_timeout=0.01, handler_cancellation=True)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Every connection is cut, and no new one is taken."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def publish(self, config: Config, *, fold: bool = False) -> None:
        """As the operator does."""
        publication = plan(self.standing, config, fold=fold)
        if publication is not None:
            for write in (*publication.shards, publication.index):
                await self.write(write)
            self.standing = publication.standing

    async def write(self, secret: SecretData) -> None:
        await self.put(secret_name(CONFIG, secret.number), secret.data)

    async def put(self, name: str, data: Mapping[str, bytes]) -> None:
        kind = "MODIFIED" if name in self.secrets else "ADDED"
        self._version += 1
        meta = {"name": name, "namespace": NAMESPACE, "resourceVersion": str(self._version)}
        values = {entry: base64.b64encode(octets).decode() for entry, octets in data.items()}
        self.secrets[name] = {"metadata": meta, "data": values, "type": "Opaque"}
        await self._tell(kind, self.secrets[name])

    async def delete(self, name: str) -> None:
        gone = self.secrets.pop(name)
        self._version += 1
        gone["metadata"]["resourceVersion"] = str(self._version)
        await self._tell("DELETED", gone)

    async def _tell(self, kind: str, secret: dict[str, Any]) -> None:
        line = json.dumps({"type": kind, "object": {"kind": "Secret", **secret}}).encode() + b"\n"
        if secret["metadata"]["name"] == CONFIG and not self.mute:
            async with self._news:
                self._events.append((self._version, line))
                self._news.notify_all()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        path = request.path
        name = path.rpartition("/")[2]
        if not request.query.get("watch"):
            self.requests.append((request.method, name))
        if name in self.refusals:
            return _status(self.refusals[name])
        if path == _SECRETS:
            assert request.query["fieldSelector"] == f"metadata.name={CONFIG}"
            if request.query.get("watch"):
                return await self._watch(request)
            items = [self.secrets[CONFIG]] if CONFIG in self.secrets else []
            meta = {"resourceVersion": str(self._version)}
            return web.json_response({"kind": "SecretList", "metadata": meta, "items": items})
        if path.startswith(_SECRETS) and request.method == "GET":
            found = self.secrets.get(name)
            return web.json_response(found) if found is not None else _status(404)
        if path.startswith(_LEASES) and request.method in ("PATCH", "DELETE"):
            return await self._lease(request, name)
        return _status(403)

    async def _lease(self, request: web.Request, name: str) -> web.StreamResponse:
        if request.method == "DELETE":
            return web.json_response({}) if self.leases.pop(name, None) else _status(404)
        lease: dict[str, Any] = await request.json()
        self.leases[name] = lease
        self.annotations.append(lease["metadata"]["annotations"])
        async with self._news:
            self._news.notify_all()
        return web.json_response(lease)

    async def acknowledged(self, sequence: int, *, error: str = "") -> dict[str, str]:
        """Wait until a Lease says that this serves, with an error that begins like this or none."""

        def says(told: dict[str, str]) -> bool:
            why = told.get("sluicegate.dev/config-error", "")
            serves = told.get("sluicegate.dev/sequence") == str(sequence)
            return serves and why.startswith(error) and bool(why) == bool(error)

        async with asyncio.timeout(60), self._news:
            while not (self.annotations and says(self.annotations[-1])):
                await self._news.wait()
        return self.annotations[-1]

    async def _watch(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        seen = int(request.query["resourceVersion"])
        while True:
            for version, line in [event for event in self._events if event[0] > seen]:
                await response.write(line)
                seen = version
            async with self._news:
                if not any(version > seen for version, _ in self._events):
                    await self._news.wait()


def _status(code: int) -> web.Response:
    reasons = {403: "Forbidden", 404: "NotFound", 500: "InternalError"}
    body = {"kind": "Status", "code": code, "reason": reasons.get(code, ""), "message": "no"}
    return web.json_response(body, status=code)


@contextlib.asynccontextmanager
async def fake_cluster() -> AsyncGenerator[FakeCluster]:
    cluster = FakeCluster()
    await cluster.start()
    try:
        yield cluster
    finally:
        await cluster.stop()

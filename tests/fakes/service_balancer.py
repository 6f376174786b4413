"""A Service on loopback: new connections go to its ready endpoints, as kube-proxy sends them.

It forwards bytes and knows nothing of HTTP. Which endpoints there are is what the control plane
says in EndpointSlices; connections that stand are left alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
from collections.abc import AsyncGenerator
from typing import Any

from pod_node import loopback
from sluicegate.cluster import ClusterClient, Reflector, ResourceType

ENDPOINT_SLICES = ResourceType("discovery.k8s.io", "v1", "EndpointSlice", "endpointslices")


class ServiceBalancer:
    """The Service `name`; `port` is where clients find it."""

    def __init__(self, admin: ClusterClient, namespace: str, name: str) -> None:
        self.port = 0
        self._reflector = Reflector(
            admin,
            ENDPOINT_SLICES,
            json.loads,
            on_change=lambda _: None,
            namespace=namespace,
            label_selector=f"kubernetes.io/service-name={name}",
        )
        self._connections: set[asyncio.Task[None]] = set()

    @property
    def endpoints(self) -> list[tuple[str, int]]:
        """Address and port of each that new connections may go to."""
        slices: list[dict[str, Any]] = list(self._reflector.objects.values())
        return [
            (loopback(endpoint["addresses"][0]), found["ports"][0]["port"])
            for found in slices
            for endpoint in found.get("endpoints") or ()
            if endpoint["conditions"]["ready"]
        ]

    @contextlib.asynccontextmanager
    async def listening(self) -> AsyncGenerator[ServiceBalancer]:
        watching = asyncio.create_task(self._reflector.run())
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            for task in (watching, *self._connections):
                task.cancel()
            await asyncio.gather(watching, *self._connections, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            await self._forward(reader, writer)
        finally:
            self._connections.discard(task)
            writer.close()

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self.endpoints:
            return  # as a Service without endpoints: there is nobody
        host, port = random.choice(self.endpoints)
        try:
            far_reader, far_writer = await asyncio.open_connection(host, port)
        except OSError:
            return
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(_copy(reader, far_writer))
                group.create_task(_copy(far_reader, writer))
        finally:
            far_writer.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """What comes in goes out, and so does the end of it."""
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.write_eof()

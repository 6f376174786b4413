"""What a test of the gateway starts: gateways and upstreams that end with the test."""

from __future__ import annotations

import ssl
from contextlib import AsyncExitStack

from raw_client import RawClient
from running_gateway import RunningGateway, config_of, key_entry, openai_entry, running_gateway
from scripted_upstream import Script, ScriptedUpstream
from sluicegate.config import Deployment, Entry
from sluicegate.server.process import ServerSettings
from sluicegate.transport import TransportSettings


class Rig:
    """Starts gateways and upstreams; they end with the test."""

    def __init__(self, stack: AsyncExitStack) -> None:
        self._stack = stack

    async def upstream(self, script: Script, tls: ssl.SSLContext | None = None) -> ScriptedUpstream:
        return await self._stack.enter_async_context(ScriptedUpstream(script).listening(tls))

    async def gateway(
        self,
        *entries: Entry,
        settings: ServerSettings | None = None,
        environ: dict[str, str] | None = None,
        transport: TransportSettings | None = None,
    ) -> RunningGateway:
        config = config_of(*entries)
        running = running_gateway(config, settings, environ=environ, transport=transport)
        return await self._stack.enter_async_context(running)

    async def client(
        self, gateway: RunningGateway, *, receive_buffer: int | None = None
    ) -> RawClient:
        """A connection that lasts as long as the test wants it to."""
        client = await RawClient.open(gateway.port, receive_buffer=receive_buffer)
        self._stack.callback(client.leave)
        return client

    async def serving(
        self, script: Script, *, settings: ServerSettings | None = None
    ) -> tuple[RunningGateway, ScriptedUpstream]:
        """A gateway with one key and one deployment, whose upstream runs `script`."""
        upstream = await self.upstream(script)
        deployment = openai_entry(upstream.base_url)
        return await self.gateway(key_entry(), deployment, settings=settings), upstream

    async def pool(self, *scripts: Script) -> tuple[RunningGateway, list[ScriptedUpstream]]:
        """A gateway whose only model has a deployment for each script, tried in this order."""
        upstreams = [await self.upstream(script) for script in scripts]
        deployments: list[Deployment] = [
            openai_entry(
                upstream.base_url,
                name=f"number{index}",
                key=f"sk-upstream-key-of-number{index}",
                priority=index,
            )
            for index, upstream in enumerate(upstreams)
        ]
        return await self.gateway(key_entry(), *deployments), upstreams

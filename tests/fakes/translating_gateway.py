"""A gateway with one translated model, `public`, and a strict client of the OpenAI SDK for it."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import msgspec
from openai import AsyncOpenAI

from gateway_rig import Rig
from running_gateway import CLIENT_KEY, RunningGateway, key_entry
from scripted_upstream import Script, ScriptedUpstream
from sluicegate.config import Deployment, Retry, SecretCredential, Upstream

SECRET = "upstream-key-0123456789abcdef"


def deployment(
    upstream: Upstream, at: ScriptedUpstream, name: str = "one", priority: int = 0
) -> Deployment:
    """Asks the scripted upstream, below the path `/prefix`, once."""
    address = f"http://127.0.0.1:{at.port}/prefix"
    return Deployment(
        namespace="default",
        name=name,
        model="public",
        upstream=msgspec.structs.replace(upstream, base_url=address),
        credential=SecretCredential(SECRET),
        retry=Retry(attempts=1),
        priority=priority,
    )


async def serving(
    rig: Rig, upstream: Upstream, script: Script
) -> tuple[RunningGateway, ScriptedUpstream]:
    """A gateway whose only deployment runs `script`."""
    at = await rig.upstream(script)
    return await rig.gateway(key_entry(), deployment(upstream, at)), at


@asynccontextmanager
async def client(gateway: RunningGateway) -> AsyncGenerator[AsyncOpenAI]:
    """It tries nothing again and refuses whatever its types don't allow."""
    async with AsyncOpenAI(
        base_url=gateway.base_url,
        api_key=CLIENT_KEY,
        max_retries=0,
        _strict_response_validation=True,
    ) as made:
        yield made

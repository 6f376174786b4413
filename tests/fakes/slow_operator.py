"""An operator process that takes its time before each write of a Secret of the bundle."""

from __future__ import annotations

import asyncio
import sys
from functools import partial
from typing import TypeVar

import click

from sluicegate.cluster import SECRETS, Access, ClusterClient, ResourceType
from sluicegate_operator import cli, process

T = TypeVar("T")


def slow_command(seconds: float) -> str:
    """What the interpreter is to run."""
    return f"import slow_operator; slow_operator.main({seconds})"


class _SlowClient(ClusterClient):
    def __init__(self, access: Access, seconds: float) -> None:
        super().__init__(access)
        self._seconds = seconds

    async def replace(
        self,
        resource: ResourceType,
        name: str,
        manifest: object,
        as_type: type[T],
        *,
        namespace: str | None = None,
        subresource: str = "",
    ) -> T:
        if resource == SECRETS and name.startswith("sluicegate"):
            await asyncio.sleep(self._seconds)
        return await super().replace(
            resource, name, manifest, as_type, namespace=namespace, subresource=subresource
        )


def main(seconds: float) -> None:
    cli.run_operator = partial(process.run, connect=partial(_SlowClient, seconds=seconds))
    sys.exit(click.Group(commands={"run": cli.run})())

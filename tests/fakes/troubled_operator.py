"""An operator process with trouble at its writes of the bundle's Secrets: slow, or killed there."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from functools import partial
from typing import TypeVar

import click

from sluicegate.cluster import SECRETS, Access, ClusterClient, ResourceType
from sluicegate_operator import cli, process

T = TypeVar("T")


def dying_command(number: int, *, after: bool) -> str:
    """What the interpreter is to run to be killed (SIGKILL) at the n-th write, or after it."""
    return f"import troubled_operator; troubled_operator.main({number}, {after}, 0)"


def slow_command(seconds: float) -> str:
    """What the interpreter is to run to take its time before each write."""
    return f"import troubled_operator; troubled_operator.main(0, False, {seconds})"


class _TroubledClient(ClusterClient):
    """Counts the writes; its process does not outlive the last."""

    def __init__(self, access: Access, number: int, after: bool, seconds: float) -> None:
        super().__init__(access)
        self._left = number
        self._after = after
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
        counts = resource == SECRETS and name.startswith("sluicegate")
        self._left -= counts
        last = counts and self._left == 0
        if last and not self._after:
            os.kill(os.getpid(), signal.SIGKILL)
        if counts and self._seconds:
            await asyncio.sleep(self._seconds)
        answer = await super().replace(
            resource, name, manifest, as_type, namespace=namespace, subresource=subresource
        )
        if last:
            os.kill(os.getpid(), signal.SIGKILL)
        return answer


def main(number: int, after: bool, seconds: float) -> None:
    connect = partial(_TroubledClient, number=number, after=after, seconds=seconds)
    cli.run_operator = partial(process.run, connect=connect)
    sys.exit(click.Group(commands={"run": cli.run})())

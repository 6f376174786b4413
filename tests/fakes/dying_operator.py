"""An operator process that is killed (SIGKILL) at the n-th write of a Secret of the bundle."""

from __future__ import annotations

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
    """What the interpreter is to run."""
    return f"import dying_operator; dying_operator.main({number}, after={after})"


class _DyingClient(ClusterClient):
    """Counts the writes; its process does not outlive the last."""

    def __init__(self, access: Access, number: int, *, after: bool) -> None:
        super().__init__(access)
        self._left = number
        self._after = after

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
        answer = await super().replace(
            resource, name, manifest, as_type, namespace=namespace, subresource=subresource
        )
        if last:
            os.kill(os.getpid(), signal.SIGKILL)
        return answer


def main(number: int, *, after: bool) -> None:
    connect = partial(_DyingClient, number=number, after=after)
    command = click.Group(commands={"run": cli.run})
    cli.run_operator = partial(process.run, connect=connect)
    sys.exit(command())

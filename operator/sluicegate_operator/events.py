"""Events (events.k8s.io) on an object's turns: when it got ready, or no longer is, and why.

Never more than a few a second: they are for people, and the status says the same.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from datetime import UTC, datetime
from typing import Literal, NamedTuple, TypeAlias

from sluicegate.cluster import EVENTS, ClusterClient, ClusterError, Metadata
from sluicegate.resources import ResourceRef
from sluicegate.resources.manifest import API_VERSION
from sluicegate.telemetry.logs import log
from sluicegate_operator.budget import Budget
from sluicegate_operator.status.agenda import Write

_RATE, _BURST = 5.0, 50.0
_LONGEST_NOTE = 1000
_WAITING = 500  # events that wait; more are dropped

_Kind: TypeAlias = Literal["Normal", "Warning"]


class Happening(NamedTuple):
    """Something to be told of an object."""

    ref: ResourceRef
    uid: str
    kind: _Kind
    reason: str
    action: str
    note: str


def turn(write: Write) -> Happening | None:
    """What a status tells that the one before did not; None for progress and for counts."""
    before, after = write.seen.status.condition("Ready"), write.status.condition("Ready")
    if after is None or after.reason == "Waiting":
        return None
    if before is not None and (before.status, before.reason) == (after.status, after.reason):
        return None
    kind: _Kind = "Normal" if after.status == "True" else "Warning"
    return Happening(write.ref, write.seen.uid, kind, after.reason, "Program", after.message)


class Announcer:
    """Sends events, in its own time."""

    def __init__(self, client: ClusterClient, instance: str) -> None:
        self._client = client
        self._instance = instance
        self._budget = Budget(_RATE, _BURST)
        self._queue: asyncio.Queue[Happening] = asyncio.Queue(_WAITING)

    def turned(self, write: Write) -> None:
        """A status was written."""
        happening = turn(write)
        if happening is not None:
            self.tell(happening)

    def tell(self, happening: Happening) -> None:
        """Send this, unless too much is waiting already."""
        now = time.monotonic()
        if self._queue.full() or not self._budget.has(now):
            return
        self._budget.take(now)
        self._queue.put_nowait(happening)

    async def run(self) -> None:
        """Send for ever."""
        while True:
            happening = await self._queue.get()
            try:
                await self._send(happening)
            except ClusterError as error:
                log(logging.DEBUG, f"an event of {happening.ref} was not sent: {error}")

    async def _send(self, happening: Happening) -> None:
        ref = happening.ref
        manifest = {
            "apiVersion": EVENTS.api_version,
            "kind": EVENTS.kind,
            "metadata": {
                "name": f"{ref.name[:200]}.{secrets.token_hex(8)}",
                "namespace": ref.namespace,
            },
            "eventTime": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            "reportingController": "sluicegate.dev/operator",
            "reportingInstance": self._instance[:128],
            "action": happening.action,
            "reason": happening.reason,
            "type": happening.kind,
            "note": happening.note[:_LONGEST_NOTE],
            "regarding": {
                "apiVersion": API_VERSION,
                "kind": ref.kind,
                "namespace": ref.namespace,
                "name": ref.name,
                "uid": happening.uid,
            },
        }
        await self._client.create(EVENTS, manifest, Metadata, namespace=ref.namespace)

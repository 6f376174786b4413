"""Writes the statuses that the agenda gives out, and tells people of the turns they take."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping

import msgspec

from sluicegate.cluster import (
    API_KEYS,
    MODEL_DEPLOYMENTS,
    ClusterClient,
    ClusterError,
    Conflict,
    Invalid,
    Metadata,
    NotFound,
    ObjectMeta,
    ResourceType,
)
from sluicegate.telemetry.logs import log
from sluicegate_operator.events import Announcer
from sluicegate_operator.status.agenda import Agenda, Write
from sluicegate_operator.status.fleet import FleetWatch
from sluicegate_operator.steps import drive

_TYPES: Mapping[str, ResourceType] = {kind.kind: kind for kind in (MODEL_DEPLOYMENTS, API_KEYS)}
_AT_ONCE = 8  # writes
_RETRY = 1.0  # seconds
_REFUSED_RETRY = 60.0
_LONGEST_WAIT = 5.0


class _Patch(msgspec.Struct):
    metadata: ObjectMeta
    status: object


class StatusWriter:
    """The task that writes.

    `may_write` says whether a write may begin now, `hears` whether it follows the gateways' Leases.
    """

    def __init__(
        self,
        client: ClusterClient,
        agenda: Agenda,
        fleet: FleetWatch,
        announcer: Announcer,
        may_write: Callable[[], bool],
        hears: Callable[[], bool],
    ) -> None:
        self._client = client
        self._agenda = agenda
        self._fleet = fleet
        self._announcer = announcer
        self._may_write = may_write
        self._hears = hears
        self._news = asyncio.Event()
        self._writes: set[asyncio.Task[None]] = set()
        self.count = 0

    def wake(self) -> None:
        """Something is new on the agenda, or among the gateways."""
        self._news.set()

    async def run(self) -> None:
        """Write for ever."""
        try:
            while True:
                self._news.clear()
                now = time.monotonic()
                self._fleet.listen(now, hears=self._hears())
                self._agenda.take_fleet(self._fleet.at(now))
                await drive(self._agenda.review_steps(now))
                if self._may_write():
                    self._begin(time.monotonic())
                await self._pause()
        finally:
            for task in self._writes:
                task.cancel()

    def _begin(self, now: float) -> None:
        for write in self._agenda.take(now, _AT_ONCE - len(self._writes)):
            task = asyncio.create_task(self._write(write))
            self._writes.add(task)
            task.add_done_callback(self._end)

    def _end(self, task: asyncio.Task[None]) -> None:
        self._writes.discard(task)
        self._news.set()

    async def _pause(self) -> None:
        """Until there is something to do, or a gateway falls silent."""
        now = time.monotonic()
        full = len(self._writes) >= _AT_ONCE
        dues = (
            None if full or not self._may_write() else self._agenda.next_due(now),
            self._fleet.next_due(now),
        )
        until = min((due for due in dues if due is not None), default=now + _LONGEST_WAIT)
        try:
            async with asyncio.timeout(max(0.0, min(until - now, _LONGEST_WAIT))):
                await self._news.wait()
        except TimeoutError:
            pass

    async def _write(self, write: Write) -> None:
        try:
            answer = await self._patch(write)
        except NotFound:
            self._agenda.failed(write, time.monotonic(), _REFUSED_RETRY)
        except Conflict:  # it has changed: what the reflector tells leads to another write
            self._agenda.failed(write, time.monotonic(), _RETRY)
        except Invalid as error:
            log(logging.ERROR, f"the status of {write.ref} was refused: {error}")
            self._agenda.failed(write, time.monotonic(), _REFUSED_RETRY)
        except ClusterError as error:
            log(logging.DEBUG, f"the status of {write.ref} was not written: {error}")
            self._agenda.failed(write, time.monotonic(), _RETRY)
        else:
            self.count += 1
            self._agenda.written(write, answer.metadata.resource_version, time.monotonic())
            self._announcer.turned(write)

    async def _patch(self, write: Write) -> Metadata:
        meta = ObjectMeta(uid=write.seen.uid, resource_version=write.seen.resource_version)
        return await self._client.patch(
            _TYPES[write.ref.kind],
            write.ref.name,
            _Patch(meta, write.status),
            Metadata,
            namespace=write.ref.namespace,
            subresource="status",
        )

"""One operator writes: who holds the Lease `<config-name>-operator`.

A Lease is judged as those of gateways are, by our own clock since it was last seen to change. An
API server that is away costs nobody the lead: nobody else can take it meanwhile, and every write is
fenced besides. Who finds another name in the Lease has lost it, and ends; so does who finds its own
name there, written by another process.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from datetime import UTC, datetime

from sluicegate.cluster import (
    LEASES,
    AlreadyExists,
    ClusterClient,
    ClusterError,
    Conflict,
    Lease,
    LeaseSpec,
    NotFound,
    ObjectMeta,
)
from sluicegate.telemetry.logs import log

DURATION = 15.0  # seconds that a holder may be silent
_RENEWAL = 5.0
_RETRY = 1.0
_PROCESS = "sluicegate.dev/process"  # which of the processes of that name


class LeadershipLost(Exception):
    """Another operator holds the Lease."""


class Leader:
    """The Lease of one operator. `identity` is the pod's name: a restarted container goes on."""

    def __init__(self, client: ClusterClient, namespace: str, name: str, identity: str) -> None:
        self._client = client
        self._namespace = namespace
        self._name = name
        self._identity = identity
        self._process = secrets.token_hex(8)
        self._lease: Lease | None = None
        self._confirmed_at: float | None = None
        self._leads = asyncio.Event()

    @property
    def leads(self) -> bool:
        """Whether this operator is the one that writes."""
        return self._leads.is_set()

    async def wait(self) -> None:
        """Wait until this operator leads."""
        await self._leads.wait()

    async def run(self) -> None:
        """Take the lead when it is free, and keep it. Raises LeadershipLost."""
        await self._acquire()
        log(logging.INFO, "this operator leads", {"identity": self._identity})
        self._leads.set()
        while True:
            await asyncio.sleep(_RENEWAL)
            try:
                await self.renew()
            except ClusterError as error:
                log(logging.WARNING, f"the Lease {self._name} could not be renewed: {error}")

    async def confirm(self) -> None:
        """Make sure that we still lead, after a pause. Raises LeadershipLost, or ClusterError."""
        if self._confirmed_at is None or time.monotonic() - self._confirmed_at > DURATION - 5.0:
            await self.renew()

    async def release(self) -> None:
        """Let another operator lead at once."""
        if self._lease is not None and self.leads:
            self._leads.clear()
            await self._write(self._lease, "")

    async def _acquire(self) -> None:
        told = ""
        seen: tuple[str, float] | None = None
        while True:
            try:
                lease = await self._get()
                holder = lease.spec.holder_identity if lease is not None else None
                mark = lease.metadata.resource_version if lease is not None else ""
                if seen is None or seen[0] != mark:
                    seen = (mark, time.monotonic())
                silent = time.monotonic() - seen[1] >= DURATION
                if not holder or holder == self._identity or silent:
                    await self._write(lease, self._identity)
                    return
                if told != holder:
                    told = holder
                    log(logging.INFO, f"{holder} leads: waiting", {"identity": self._identity})
            except Conflict:
                pass  # another one was faster
            except ClusterError as error:
                log(logging.WARNING, f"the Lease {self._name} could not be taken: {error}")
            await asyncio.sleep(_RETRY)

    async def renew(self) -> None:
        """Make sure that we lead. Raises LeadershipLost, or ClusterError."""
        try:
            await self._write(self._lease, self._identity)
        except (Conflict, NotFound):  # an answer that was lost, a deleted Lease, or another holder
            lease = await self._get()
            holder = lease.spec.holder_identity if lease is not None else None
            if holder and holder != self._identity:
                raise LeadershipLost(f"{holder} has taken the lead: this operator ends") from None
            if holder and lease is not None and self._is_anothers(lease):
                raise LeadershipLost(
                    f"another operator that is called {holder} too has taken the lead: this one "
                    "ends; give each its own --pod-name"
                ) from None
            await self._write(lease, self._identity)

    def _is_anothers(self, lease: Lease) -> bool:
        return lease.metadata.annotations.get(_PROCESS, self._process) != self._process

    async def _get(self) -> Lease | None:
        try:
            return await self._client.get(LEASES, self._name, Lease, namespace=self._namespace)
        except NotFound:
            return None

    async def _write(self, lease: Lease | None, holder: str) -> None:
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        before = lease.spec if lease is not None else LeaseSpec()
        same = before.holder_identity == holder
        spec = LeaseSpec(
            holder_identity=holder,
            lease_duration_seconds=int(DURATION),
            lease_transitions=(before.lease_transitions or 0) + (0 if same else 1),
            acquire_time=before.acquire_time if same else now,
            renew_time=now,
        )
        version = lease.metadata.resource_version if lease is not None else ""
        manifest = {
            "apiVersion": LEASES.api_version,
            "kind": LEASES.kind,
            "metadata": ObjectMeta(
                name=self._name,
                namespace=self._namespace,
                resource_version=version,
                annotations={_PROCESS: self._process},
            ),
            "spec": spec,
        }
        if lease is None:
            try:
                made = await self._client.create(LEASES, manifest, Lease, namespace=self._namespace)
            except AlreadyExists as error:
                raise Conflict(error.status, error.reason, error.message) from None
        else:
            made = await self._client.replace(
                LEASES, self._name, manifest, Lease, namespace=self._namespace
            )
        self._lease = made
        self._confirmed_at = time.monotonic()

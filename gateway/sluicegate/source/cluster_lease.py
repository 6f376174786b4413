"""The Lease by which a gateway tells what it serves (design: "The config bundle").

The operator counts a gateway as updated when the Lease says so. Nothing that happens to the Lease
has an effect on serving.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import msgspec

from sluicegate.bundle import Index
from sluicegate.cluster import LEASES, ApiStatusError, ClusterClient, ClusterError, Metadata

MANAGER = "sluicegate-gateway"
_MOST_REFUSED = 64 * 1024  # characters; Kubernetes takes 256 KiB of annotations


@dataclass(frozen=True, slots=True)
class ClusterPlace:
    """Which config a gateway serves, and as which pod. The pod's uid may not be known: empty."""

    namespace: str
    config_name: str
    pod_name: str
    pod_uid: str = ""

    def __str__(self) -> str:
        return f"Secret {self.namespace}/{self.config_name}"


@dataclass(frozen=True, slots=True)
class LeaseTiming:
    """Seconds. Changes are told at most every `least`; deleting it takes `release` at most."""

    renew: float = 10.0
    least: float = 0.2
    answer: float = 5.0
    most_backoff: float = 5.0
    release: float = 2.0


class GatewayLease:
    """Tells what was noted last. `tell` is told what keeps it from that, None when nothing does."""

    def __init__(
        self,
        place: ClusterPlace,
        tell: Callable[[str | None], None],
        timing: LeaseTiming,
    ) -> None:
        self._place = place
        self._tell = tell
        self._timing = timing
        self._annotations: dict[str, str] = {}
        self._news = asyncio.Event()
        self._acquired = _now()
        self._failures = 0

    def note(self, serves: Index | None, error: str, refused: Mapping[str, str]) -> None:
        """What serves now, and why the newest bundle does not; empty where it does.

        `refused`: the deployments that this gateway can't call, by the id of their entry, and why.
        """
        annotations: dict[str, str] = {}
        if serves is not None:
            annotations["sluicegate.dev/sequence"] = str(serves.sequence)
            annotations["sluicegate.dev/revision"] = serves.revision
            annotations["sluicegate.dev/epoch"] = serves.epoch
        if refused:
            annotations["sluicegate.dev/refused"] = _by_reason(refused)
        if error:
            annotations["sluicegate.dev/config-error"] = error
        if annotations != self._annotations:
            self._annotations = annotations
            self._news.set()

    async def keep(self, client: ClusterClient) -> None:
        """Write and renew the Lease until cancelled, then delete it."""
        while not self._annotations:  # the gateway is not ready, and nothing is wrong with it
            self._news.clear()
            await self._news.wait()
        try:
            while True:
                self._news.clear()
                begun = time.monotonic()
                wait = await self._renew(client)
                await asyncio.sleep(max(0.0, self._timing.least - (time.monotonic() - begun)))
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(wait):
                        await self._news.wait()
        finally:
            with contextlib.suppress(ClusterError, TimeoutError):
                async with asyncio.timeout(self._timing.release):
                    await client.delete(
                        LEASES, self._place.pod_name, namespace=self._place.namespace
                    )

    async def _renew(self, client: ClusterClient) -> float:
        """Answers after how many seconds it is due again."""
        try:
            async with asyncio.timeout(self._timing.answer):
                await client.apply(
                    LEASES,
                    self._place.pod_name,
                    self._manifest(),
                    Metadata,
                    manager=MANAGER,
                    namespace=self._place.namespace,
                )
        except (ClusterError, TimeoutError) as error:
            self._failures += 1
            self._tell(f"the operator can't be told what serves: {str(error) or 'no answer'}")
            return self._back_off(error)
        self._failures = 0
        self._tell(None)
        return self._timing.renew

    def _back_off(self, error: Exception) -> float:
        longest = min(
            self._timing.least * 2.0 ** min(self._failures, 16), self._timing.most_backoff
        )
        wait = longest * random.uniform(0.5, 1)  # noqa: S311 -- only spreads load
        asked = error.retry_after if isinstance(error, ApiStatusError) else None
        return max(wait, min(asked or 0.0, self._timing.renew))

    def _manifest(self) -> dict[str, object]:
        place = self._place
        metadata: dict[str, object] = {
            "name": place.pod_name,
            "namespace": place.namespace,
            "labels": {
                "app.kubernetes.io/managed-by": "sluicegate",
                "sluicegate.dev/gateway": place.config_name,
            },
            "annotations": self._annotations,
        }
        if place.pod_uid:
            pod = {"apiVersion": "v1", "kind": "Pod", "name": place.pod_name, "uid": place.pod_uid}
            metadata["ownerReferences"] = [pod]
        return {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": metadata,
            "spec": {
                "holderIdentity": place.pod_name,
                "leaseDurationSeconds": round(self._timing.renew * 4),
                "acquireTime": self._acquired,
                "renewTime": _now(),
            },
        }


def _by_reason(refused: Mapping[str, str]) -> str:
    """JSON: whom each reason concerns. What finds no room is left out."""
    reasons: dict[str, list[str]] = {}
    size = 0
    for id_, reason in sorted(refused.items()):
        size += len(id_) + 3 + (0 if reason in reasons else len(reason) + 7)
        if size > _MOST_REFUSED:
            break
        reasons.setdefault(reason, []).append(id_)
    return msgspec.json.encode(reasons).decode()


def _now() -> str:
    """As Kubernetes writes a MicroTime."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")

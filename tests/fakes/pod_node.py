"""Nodes that run the pods of a control plane as processes: a kubelet, as far as charts ask for one.

A pod that is bound to one of them is started when its Secrets are there, probed as its manifest
says, and told of in its status. A deleted one goes the documented way: preStop, SIGTERM, what is
left of the grace, SIGKILL (kubernetes.io: Pod Lifecycle, termination of Pods).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import signal
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp

from control_plane import ControlPlane
from eventually import eventually
from pod_process import Object, PodProcess, pod_process
from sluicegate.cluster import (
    PODS,
    Access,
    ClusterClient,
    NotFound,
    Reflector,
    ResourceType,
)

NODES = ResourceType("", "v1", "Node", "nodes")
_HEARTBEAT = 10.0  # as a kubelet's; after 40 s without one a node counts as lost
_PATIENCE = 60.0
_SECRET_WAIT = 0.5
_ROOM = {"cpu": "64", "memory": "256Gi", "pods": "110"}


def loopback(pod_ip: str) -> str:
    """Where the pod of this address really is: the API server takes no loopback address for it."""
    return f"127.{pod_ip.partition('.')[2]}"


@dataclass(eq=False)
class _Pod:
    """One pod that is being run."""

    latest: Object = field(repr=False)
    ip: str = ""
    ending: asyncio.Event = field(default_factory=asyncio.Event)
    process: PodProcess | None = None
    started: bool = False
    ready: bool = False
    exit_code: int | None = None

    @property
    def container(self) -> Object:
        (container,) = self.latest["spec"]["containers"]
        return container

    @property
    def once(self) -> bool:
        return self.latest["spec"].get("restartPolicy") == "Never"


class PodNodes:
    """Some nodes of one control plane, and everything that has run on them (`history`)."""

    def __init__(
        self,
        plane: ControlPlane,
        admin: ClusterClient,
        folder: Path,
        *,
        one_off_environ: Mapping[str, str],
    ) -> None:
        """`one_off_environ`: more variables for pods that run once."""
        self.history: list[PodProcess] = []
        self._one_off_environ = dict(one_off_environ)
        self.claims = folder / "claims"
        self._plane = plane
        self._admin = admin
        self._folder = folder
        self._names: list[str] = []
        self._pods: dict[str, _Pod] = {}  # by uid
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._news = asyncio.Event()
        self._network = f"10.{random.randint(1, 250)}.{random.randint(1, 250)}"
        self._reflector = Reflector(admin, PODS, json.loads, on_change=lambda _: self._news.set())

    def of(self, component: str) -> list[PodProcess]:
        """Every process so far of the pods with this label."""
        label = "app.kubernetes.io/component"
        return [one for one in self.history if one.pod["metadata"]["labels"][label] == component]

    @property
    def serving(self) -> list[PodProcess]:
        """The gateways that have not been told to end."""
        ending = {pod.process for pod in self._pods.values() if pod.ending.is_set()}
        return [one for one in self.of("gateway") if one.running and one not in ending]

    async def until_ended(self, processes: Sequence[PodProcess]) -> None:
        """Wait until none of them runs."""

        async def have_ended() -> bool:
            return not any(one.running for one in processes)

        await eventually(have_ended, _PATIENCE)

    @contextlib.asynccontextmanager
    async def at_work(self, access: Access, *names: str) -> AsyncGenerator[PodNodes]:
        """Nodes of these names join the cluster. What fails here fails the test at the end."""
        assert access.tls is not None
        self._access = access
        for name in names:
            await self._join(name)
        connector = aiohttp.TCPConnector(ssl=access.tls)
        async with aiohttp.ClientSession(access.server, connector=connector) as self._session:
            background = [
                asyncio.create_task(one)
                for one in (self._reflector.run(), self._follow(), self._stay_alive())
            ]
            try:
                yield self
            finally:
                for task in (*background, *self._tasks.values()):
                    task.cancel()
                ended = await asyncio.gather(
                    *background, *self._tasks.values(), return_exceptions=True
                )
        failures = [one for one in ended if isinstance(one, Exception)]
        assert not failures, failures

    async def _join(self, name: str) -> None:
        labels = {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux"}
        manifest = {"metadata": {"name": name, "labels": labels}}
        await self._admin.create(NODES, manifest, Object)
        self._names.append(name)
        await self._beat(name)

    async def _beat(self, name: str) -> None:
        now = _now()
        ready = {"type": "Ready", "status": "True", "reason": "KubeletReady"}
        ready |= {"lastHeartbeatTime": now, "lastTransitionTime": now}
        status = {"capacity": _ROOM, "allocatable": _ROOM, "conditions": [ready]}
        await self._admin.patch(NODES, name, {"status": status}, Object, subresource="status")

    async def _stay_alive(self) -> None:
        while True:
            await asyncio.sleep(_HEARTBEAT)
            for name in self._names:
                await self._beat(name)

    async def _follow(self) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            for pod in self._reflector.objects.values():
                self._take(pod)

    def _take(self, latest: Object) -> None:
        if latest["spec"].get("nodeName") not in self._names:
            return
        uid = latest["metadata"]["uid"]
        if uid not in self._pods:
            ip = f"{self._network}.{len(self._pods) + 1}"
            self._pods[uid] = _Pod(latest, ip)
            self._tasks[uid] = asyncio.create_task(self._live(self._pods[uid]))
        pod = self._pods[uid]
        pod.latest = latest
        if "deletionTimestamp" in latest["metadata"]:
            pod.ending.set()

    # --- one pod ----------------------------------------------------------------------------------

    async def _live(self, pod: _Pod) -> None:
        await self._prepared(pod)
        while not pod.ending.is_set():
            assert pod.process is not None
            running = asyncio.create_task(pod.process.run())
            probing = asyncio.create_task(self._probe(pod))
            ending = asyncio.create_task(pod.ending.wait())
            try:
                await self._tell(pod)
                await asyncio.wait((running, ending), return_when=asyncio.FIRST_COMPLETED)
                if not running.done():
                    await self._terminate(pod, running)
                await running
                pod.exit_code = pod.process.exit_code
            finally:
                await _cancelled(running, probing, ending)
            pod.started = pod.ready = False
            if pod.once or pod.ending.is_set():
                break
            await self._tell(pod)
            await asyncio.sleep(1)
        await self._tell(pod)
        await pod.ending.wait()
        await self._remove(pod)

    async def _prepared(self, pod: _Pod) -> None:
        while not pod.ending.is_set():
            try:
                folder = self._folder / pod.latest["metadata"]["uid"]
                await asyncio.to_thread(folder.mkdir, exist_ok=True)
                pod.process = await pod_process(
                    self._plane,
                    self._admin,
                    pod.latest,
                    address=loopback(pod.ip),
                    folder=folder,
                    claims=self.claims,
                )
            except NotFound:  # CreateContainerConfigError: a kubelet tries on, too
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(pod.ending.wait(), _SECRET_WAIT)
                continue
            if pod.once:
                pod.process.environ = {**pod.process.environ, **self._one_off_environ}
            self.history.append(pod.process)
            return

    async def _terminate(self, pod: _Pod, running: asyncio.Task[None]) -> None:
        assert pod.process is not None
        grace = float(pod.latest["metadata"]["deletionGracePeriodSeconds"])
        pause = pod.container.get("lifecycle", {}).get("preStop", {}).get("sleep", {})
        seconds = min(float(pause.get("seconds", 0)), grace)
        await asyncio.wait((running,), timeout=seconds)
        pod.process.signal(signal.SIGTERM)
        _, late = await asyncio.wait((running,), timeout=grace - seconds)
        if late:
            pod.process.signal(signal.SIGKILL)

    async def _probe(self, pod: _Pod) -> None:
        container = pod.container
        if "startupProbe" in container and not await self._is(pod, container["startupProbe"]):
            return
        pod.started = True
        async with asyncio.TaskGroup() as group:
            if "livenessProbe" in container:
                group.create_task(self._is(pod, container["livenessProbe"], holds=True))
            group.create_task(self._follow_readiness(pod, container.get("readinessProbe")))

    async def _is(self, pod: _Pod, probe: Object, *, holds: bool = False) -> bool:
        """Whether it succeeds in time; with `holds`, until it does not. That ends the process."""
        assert pod.process is not None
        failures = 0
        while failures < probe.get("failureThreshold", 3):
            if await self._asked(pod.process, probe):
                if not holds:
                    return True
                failures = 0
            else:
                failures += 1
            await asyncio.sleep(probe.get("periodSeconds", 10))
        pod.process.signal(signal.SIGKILL)
        return False

    async def _follow_readiness(self, pod: _Pod, probe: Object | None) -> None:
        assert pod.process is not None
        failures = 0
        while True:
            good = probe is None or await self._asked(pod.process, probe)
            failures = 0 if good else failures + 1
            ready = good or (pod.ready and failures < (probe or {}).get("failureThreshold", 3))
            if ready != pod.ready:
                pod.ready = ready
                await self._tell(pod)
            await asyncio.sleep((probe or {}).get("periodSeconds", 10))

    async def _asked(self, process: PodProcess, probe: Object) -> bool:
        ask = probe["httpGet"]
        timeout = aiohttp.ClientTimeout(total=probe.get("timeoutSeconds", 1))
        try:
            async with aiohttp.request(
                "GET", process.url(ask["port"], ask["path"]), timeout=timeout
            ) as answer:
                return answer.status < 400
        except (OSError, TimeoutError, aiohttp.ClientError):
            return False

    # --- what the API server is told --------------------------------------------------------------

    async def _tell(self, pod: _Pod) -> None:
        metadata = pod.latest["metadata"]
        with contextlib.suppress(NotFound):
            await self._admin.patch(
                PODS,
                metadata["name"],
                {"metadata": {"uid": metadata["uid"]}, "status": _status(pod)},
                Object,
                namespace=metadata["namespace"],
                subresource="status",
            )

    async def _remove(self, pod: _Pod) -> None:
        """The last word: without a grace the object goes, too."""
        metadata = pod.latest["metadata"]
        path = PODS.path(metadata["namespace"], metadata["name"])
        options = {"gracePeriodSeconds": 0, "preconditions": {"uid": metadata["uid"]}}
        async with self._session.delete(path, json=options) as answer:
            assert answer.status in {200, 404, 409}, await answer.text()


def _status(pod: _Pod) -> dict[str, object]:
    (container,) = pod.latest["spec"]["containers"]
    kept = [
        condition
        for condition in pod.latest.get("status", {}).get("conditions", ())
        if condition["type"] == "PodScheduled"
    ]
    truths = {"Initialized": True, "ContainersReady": pod.ready, "Ready": pod.ready}
    for kind, holds in truths.items():
        condition = {"type": kind, "status": str(holds), "lastTransitionTime": _now()}
        kept.append(condition)
    state: dict[str, Any] = {"running": {"startedAt": _now()}}
    phase = "Running"
    if pod.exit_code is not None and (pod.once or pod.ending.is_set()):
        state = {"terminated": {"exitCode": pod.exit_code, "finishedAt": _now()}}
        phase = "Failed" if pod.exit_code else "Succeeded"
    return {
        "phase": phase,
        "podIP": pod.ip,
        "podIPs": [{"ip": pod.ip}],
        "startTime": pod.latest["metadata"]["creationTimestamp"],
        "conditions": kept,
        "containerStatuses": [
            {
                "name": container["name"],
                "image": container["image"],
                "imageID": "",
                "ready": pod.ready,
                "started": pod.started,
                "restartCount": max(pod.process.starts - 1, 0) if pod.process is not None else 0,
                "state": state,
            }
        ],
    }


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


async def _cancelled(*tasks: asyncio.Task[Any]) -> None:
    for task in tasks:
        task.cancel()
    ended = await asyncio.gather(*tasks, return_exceptions=True)
    failures = [one for one in ended if isinstance(one, Exception)]
    if failures:
        raise failures[0]

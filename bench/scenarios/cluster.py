"""In a cluster: how soon after an apply every gateway serves it, and at what cost.

A real API server with 1,000 deployments and 1,000 keys, an operator and three gateways under load.
Nothing is pinned: on two cores all of them share both, and the control plane takes its part.
"""

import asyncio
import hashlib
import random
import subprocess
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import aiohttp

from bench import loads, machine, manifests, tools
from bench.calls import Call, Workload, call, client_key
from bench.installation import NAMESPACE, Gateway, Installation, installation
from bench.loads import OpenLoopResult
from bench.peers.sluicegate import NAME
from bench.processes import BenchError
from bench.rig import Rig
from bench.samples import Sample
from cluster_identities import apply_manifests
from control_plane import (
    ROOT,
    ControlPlane,
    ControlPlaneMissing,
    program_folder,
    running_control_plane,
)
from sluicegate.bundle import Index
from sluicegate.cluster import API_KEYS, MODEL_DEPLOYMENTS

STORM, CHANGE, CHANGES = "cluster-storm", "cluster-change", "cluster-changes"
REVOKED, DELETED = "cluster-revoked", "cluster-deleted"

_GATEWAYS = 3
_AT_ONCE = 16  # requests to the API server
_STORM_SECONDS = 300.0
_REVISION = "x-sluicegate-config"
_CALLS = 60  # kinds of requests in the load: so many keys and deployments take part in it
# Seconds between two changes, any up to this: some come within the 200 ms after the last one.
_LONGEST_PAUSE = 0.4
_POLL_SECONDS = 0.005
_CALM_SECONDS = 25.0  # the shards are written after 10 s without a change, and cleaned 10 s later
_LOAD_SECONDS = 900.0  # it is ended before
_UNAUTHORIZED = 401


@dataclass(frozen=True, slots=True)
class _Change:
    """One change of a deployment; times in Unix seconds."""

    sent: float
    applied: float
    index: Index
    published: float
    programmed: float
    ready: float


@dataclass(slots=True)
class _Load:
    """A load on each gateway, and its results once it has ended."""

    results: list[OpenLoopResult] = field(default_factory=list[OpenLoopResult])


def run(rig: Rig) -> None:
    """Says so and measures nothing without a control plane or what it takes to build one."""
    rig.rest()
    subprocess.run([str(ROOT / "scripts" / "control-plane")], check=True)
    try:
        program_folder()
    except ControlPlaneMissing as missing:
        tools.say(f"cluster: left out: {missing}")
        return
    folder = rig.folder / "control-plane"
    folder.mkdir()
    with running_control_plane(folder) as plane:
        asyncio.run(_measure(rig, plane))


async def _measure(rig: Rig, plane: ControlPlane) -> None:
    count = rig.options.deployments
    async with installation(rig, plane, _GATEWAYS) as site:
        rig.record(STORM, NAME, 0, await _storm(site, count))
        with _load(site) as load:
            await asyncio.sleep(_CALM_SECONDS)
            before = site.cpu_seconds()
            await asyncio.sleep(rig.options.duration)
            quiet = _rates(before, site.cpu_seconds())
            before = site.cpu_seconds()
            changes = [await _change(site, number) for number in range(rig.options.changes)]
            busy = _rates(before, site.cpu_seconds())
            for number in range(rig.options.changes // 4):
                await _refuse(site, REVOKED, number, count - 1 - 2 * number)
                await _refuse(site, DELETED, number, count - 2 - 2 * number)
        for number, change in enumerate(changes):
            values = _times(change, site.index.seen, load.results)
            rig.samples.append(Sample(CHANGE, NAME, number, values))
        errors = sum(result.errors for result in load.results)
        for result in load.results:
            for text in result.first_errors:
                tools.say(f"failed: {text}")
        values = {"errors": float(errors), "changes": float(len(changes))}
        values |= _costs(quiet, busy, len(changes)) | _memory(site)
        rig.record(CHANGES, NAME, 0, values)


# --- many objects at once ---------------------------------------------------------------------


async def _storm(site: Installation, count: int) -> dict[str, float]:
    """As many keys as deployments applied as fast as the API server takes them."""
    await apply_manifests(site.admin, manifests.UPSTREAM_MANIFEST, namespace=NAMESPACE)
    slots = asyncio.Semaphore(_AT_ONCE)
    before = site.index.latest.sequence

    async def apply(number: int) -> None:
        async with slots:
            await site.apply(API_KEYS, _key_name(number), _key(number))
        async with slots:
            await site.apply(MODEL_DEPLOYMENTS, _model(number), _deployment(site.rig, "2.00"))

    begun = time.monotonic()
    async with asyncio.TaskGroup() as tasks:
        for number in range(count):
            tasks.create_task(apply(number))
    applied = time.monotonic() - begun
    await site.statuses.until_ready(2 * count, _STORM_SECONDS)
    return {
        "objects": float(2 * count),
        "applied_s": applied,
        "ready_s": time.monotonic() - begun,
        "publishes": float(site.index.latest.sequence - before),
        "operator_peak_mb": machine.peak_rss_mb(site.operator.pid),
    }


def _model(number: int) -> str:
    return manifests.deployment_name(number)


def _key_name(number: int) -> str:
    return f"key-{number:05d}"


def _deployment(rig: Rig, price: str) -> Mapping[str, object]:
    upstream = {"model": "gpt-4.1", "baseURL": f"http://127.0.0.1:{rig.direct.port}/v1"}
    return {
        "provider": {"openai": upstream},
        "credentials": {"secretRef": {"name": "upstream", "key": "key"}},
        "pricing": {"input": price, "cachedInput": "0.50", "output": "8.00"},
    }


def _key(number: int, *, revoked: bool = False) -> Mapping[str, object]:
    digest = hashlib.sha256(client_key(number).encode()).hexdigest()
    client = {"keyHash": f"sha256:{digest}", "models": ["*"], "tags": {"team": "bench"}}
    return {"client": {**client, "revoked": True} if revoked else client}


# --- changes under load -----------------------------------------------------------------------


@contextmanager
def _load(site: Installation) -> Generator[_Load]:
    """The rate of the options spread over all gateways, while the block runs."""
    rig, load = site.rig, _Load()
    calls = [_call(number) for number in range(min(_CALLS, rig.options.deployments // 4))]
    site.loads = [
        loads.begin_load(
            rig.processes,
            f"load-{gateway.name}",
            rig.load,
            gateway.port,
            calls,
            listing=rig.folder / f"calls-{gateway.name}.jsonl",
            rate=rig.options.rate / len(site.gateways),
            connections=max(1, rig.options.connections // len(site.gateways)),
            seconds=_LOAD_SECONDS,
            note=_REVISION,
        )
        for gateway in site.gateways
    ]
    yield load
    load.results = [loads.end_load(rig.processes, server) for server in site.loads]


def _call(number: int) -> Call:
    return call("/v1/responses", _model(number), Workload.JSON, client_key(number))


async def _change(site: Installation, number: int) -> _Change:
    """A change of one deployment, after a pause; returns when its status says Ready."""
    await asyncio.sleep(random.uniform(0, _LONGEST_PAUSE))
    name = _model(number % site.rig.options.deployments)
    before = site.index.latest
    sent = time.time()
    answer = await site.apply(MODEL_DEPLOYMENTS, name, _deployment(site.rig, f"3.{number:04d}"))
    applied = time.time()
    generation = answer.metadata.generation
    programmed = await site.statuses.until(MODEL_DEPLOYMENTS, name, "Programmed", generation)
    ready = await site.statuses.until(MODEL_DEPLOYMENTS, name, "Ready", generation)
    await site.index.until_newer(before)
    published, index = site.index.seen[-1]
    return _Change(sent, applied, index, published, programmed, ready)


def _times(
    change: _Change, published: list[tuple[float, Index]], results: list[OpenLoopResult]
) -> dict[str, float]:
    """Milliseconds from the API server's answer. Pure."""
    holding = [index.revision for _, index in published if index.sequence >= change.index.sequence]
    since = change.applied
    each = [_first_answer(result, holding) - since for result in results]
    return {
        "apply_ms": (change.applied - change.sent) * 1000,
        "published_ms": (change.published - since) * 1000,
        "first_gateway_ms": min(each) * 1000,
        "every_gateway_ms": max(each) * 1000,
        "programmed_ms": (change.programmed - since) * 1000,
        "ready_ms": (change.ready - since) * 1000,
    }


def _first_answer(result: OpenLoopResult, holding: list[str]) -> float:
    """When the first request was answered by one of these revisions, in Unix seconds."""
    found = [result.first_seen[one] for one in holding if one in result.first_seen]
    if not found:
        raise BenchError("a gateway has answered no request by a change that it acknowledged")
    return min(found) / 1e6


async def _refuse(site: Installation, way: str, round_: int, number: int) -> None:
    """Take a client key away, and wait until every gateway refuses it."""
    await asyncio.sleep(random.uniform(0, _LONGEST_PAUSE))
    async with aiohttp.ClientSession() as session:
        for gateway in site.gateways:
            status = await _status(session, gateway, number)
            if status != 200:
                raise BenchError(f"{gateway.name} answers key {number} with {status}")
        if way == REVOKED:
            await site.apply(API_KEYS, _key_name(number), _key(number, revoked=True))
        else:
            await site.delete(API_KEYS, _key_name(number))
        begun = time.monotonic()
        async with asyncio.TaskGroup() as tasks:
            for gateway in site.gateways:
                tasks.create_task(_until_refused(session, gateway, number))
    values = {"refused_s": time.monotonic() - begun}
    site.rig.samples.append(Sample(way, NAME, round_, values))


async def _until_refused(session: aiohttp.ClientSession, gateway: Gateway, number: int) -> None:
    while await _status(session, gateway, number) != _UNAUTHORIZED:  # noqa: ASYNC110 -- another process
        await asyncio.sleep(_POLL_SECONDS)


async def _status(session: aiohttp.ClientSession, gateway: Gateway, number: int) -> int:
    """How a gateway answers a request with this key."""
    wanted = call("/v1/responses", _model(0), Workload.JSON, client_key(number))
    url = f"http://127.0.0.1:{gateway.port}{wanted.path}"
    async with session.post(url, data=wanted.body.encode(), headers=wanted.headers) as answer:
        await answer.read()
        return answer.status


# --- what it costs ----------------------------------------------------------------------------


def _rates(before: Mapping[str, float], after: Mapping[str, float]) -> dict[str, float]:
    """Seconds of CPU time per second of each part, beside the `seconds` that have gone by."""
    spent = {part: after[part] - before[part] for part in before}
    seconds = spent.pop("seconds")
    return {"seconds": seconds, **{part: value / seconds for part, value in spent.items()}}


def _costs(quiet: Mapping[str, float], busy: Mapping[str, float], count: int) -> dict[str, float]:
    """CPU time in milliseconds that a change costs; what else had the machine.

    Of gateways and control plane beyond what the load takes, which the operator has no part in.
    """
    seconds = busy["seconds"]
    parts = ("operator", "gateways", "control_plane")
    beyond = {**quiet, "operator": 0.0}
    costs = {
        f"{part}_cpu_ms": (busy[part] - beyond[part]) * seconds / max(1, count) * 1000
        for part in parts
    }
    ours = sum(busy[part] for part in (*parts, "load", "harness"))
    return {**costs, "busy_cores": busy["machine"], "foreign_share": busy["machine"] - ours}


def _memory(site: Installation) -> dict[str, float]:
    return {
        "operator_mb": site.operator.rss_mb(),
        "operator_peak_mb": machine.peak_rss_mb(site.operator.pid),
        "gateway_mb": max(gateway.server.rss_mb() for gateway in site.gateways),
    }

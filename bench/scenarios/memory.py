"""Resident memory over many requests: how much, and does it stay flat."""

from dataclasses import replace

import msgspec

from bench import loads, manifests
from bench.calls import Call, Workload, client_key
from bench.manifests import PROVIDERS
from bench.peers.sluicegate import Sluicegate
from bench.rig import Rig
from bench.targets import Target, qualify

_SLICES = 10
_KINDS = (Workload.JSON, Workload.STREAM)

SMALL, LARGE = "memory-small", "memory-large"


def run(rig: Rig) -> None:
    """Half JSON answers, half streams; first one key, then many keys and deployments.

    Those are of all providers, each of which answers both kinds.
    """
    rig.rest()
    _measure(rig, SMALL, rig.gateway)
    large = replace(rig.gateway, deployments=rig.options.deployments, keys=rig.options.keys)
    _measure(rig, LARGE, large)


def _measure(rig: Rig, scenario: str, gateway: Sluicegate) -> None:
    target = rig.launch(gateway, name=scenario)
    try:
        rig.record(scenario, gateway.name, 0, {"requests": 0, "rss_mb": target.server.rss_mb()})
        calls = _calls(target, gateway)
        for number, call in enumerate(calls[: 2 * len(PROVIDERS)]):
            qualify(target, _KINDS[number % 2], call)
        sent = 0
        for number in range(_SLICES):
            result, _ = loads.run_load(
                rig.processes,
                rig.load,
                target.port,
                calls,
                listing=rig.folder / "calls.jsonl",
                requests=rig.options.memory_requests // _SLICES,
                connections=rig.options.connections,
            )
            sent += result.requests
            values = {"requests": sent, "rss_mb": target.server.rss_mb(), "errors": result.errors}
            rig.record(scenario, gateway.name, number + 1, values)
    finally:
        rig.stop(target)


def _calls(target: Target, gateway: Sluicegate) -> list[Call]:
    # As many requests as there are keys, so that each key and each deployment is used.
    plain = [target.calls[kind] for kind in _KINDS]
    return [_with(plain[n % 2], gateway, n) for n in range(max(2, gateway.keys))]


def _with(call: Call, gateway: Sluicegate, number: int) -> Call:
    """The call in the name of one of many keys, to one of many deployments."""
    headers = {**call.headers, "authorization": f"Bearer {client_key(number % gateway.keys)}"}
    if gateway.deployments == 0:
        return msgspec.structs.replace(call, headers=headers)
    body: dict[str, object] = msgspec.json.decode(call.body)
    body["model"] = manifests.deployment_name(number % gateway.deployments)
    return msgspec.structs.replace(call, headers=headers, body=msgspec.json.encode(body).decode())

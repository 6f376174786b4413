"""One of two upstreams fails under load: what do clients notice, and is it left alone."""

import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace

from bench import loads, manifests
from bench.calls import Workload, call, client_key
from bench.processes import Server
from bench.rig import Rig
from bench.stats import quantile
from bench.targets import Target, qualify

_MODEL = "pool"
_GOOD, _BAD = "good", "bad"
_LONGER = 4.0  # than other measurements: with the default, 20 s
_BEFORE = 0.2  # of the time until the fault begins
_GRACE_SECONDS = 1.0  # of the fault, which are not measured
COOLDOWN_SECONDS = 5.0  # the default of `spec.cooldown.duration`
_ATTEMPTS = f'sluicegate_attempts_total{{deployment="default/{_BAD}",'


@dataclass(frozen=True, slots=True)
class Fault:
    """A way to fail: what the mock is told at its start, what is done to it in the middle."""

    name: str
    strike: Callable[[Server], None]
    options: tuple[str, ...] = ()
    strategy: str = "Weighted"


def _told(name: str, *, strategy: str = "Weighted") -> Fault:
    """A fault of the mock itself."""
    return Fault(
        name, lambda server: server.signal(signal.SIGUSR1), ("-fault", name), strategy=strategy
    )


# A slow upstream is no failure: who wants it avoided chooses a strategy that looks at the time.
SLOW = "slow"
FAULTS = (
    Fault("killed", lambda server: server.signal(signal.SIGKILL)),
    Fault("hung", lambda server: server.pause()),
    _told("reset"),
    _told("garbage"),
    _told("429"),
    _told("500"),
    _told(SLOW, strategy="LowestLatency"),
)


def scenario_of(fault: Fault) -> str:
    """The name of its samples."""
    return f"fault-{fault.name}"


def run(rig: Rig) -> None:
    """Each fault with a gateway and two upstreams of its own, which know of no other."""
    rig.rest()
    for fault in FAULTS:
        good, bad = rig.upstream(_GOOD), rig.upstream(_BAD, *fault.options)
        folder = rig.folder / scenario_of(fault)
        ports = {_GOOD: good.port, _BAD: bad.port}
        manifests.write_pool(folder, _MODEL, ports, fault.strategy)
        target = rig.launch(replace(rig.gateway, folder=folder), name=scenario_of(fault))
        try:
            rig.record(scenario_of(fault), rig.gateway.name, 0, _measure(rig, fault, target, bad))
        finally:
            for server in (target, bad, good):
                rig.stop(server)


def _measure(rig: Rig, fault: Fault, target: Target, bad: Target) -> dict[str, float]:
    """`quiet_p99_ms` before the fault, `p99_ms` from one second after it began.

    `asked` counts the attempts at the failing one in that time, of `seconds`.
    """
    seconds = rig.options.duration * _LONGER
    begins = seconds * _BEFORE
    rate = rig.options.rate
    request = call("/v1/responses", _MODEL, Workload.JSON, client_key())
    qualify(target, Workload.JSON, request)
    asked: list[int] = []
    timers = [
        threading.Timer(begins, fault.strike, [bad.server]),
        threading.Timer(begins + _GRACE_SECONDS, lambda: asked.append(_asked(target))),
    ]
    for timer in timers:
        timer.start()
    try:
        result, _ = loads.run_load(
            rig.processes,
            rig.load,
            target.port,
            [request],
            listing=rig.folder / "calls.jsonl",
            requests=round(rate * seconds),
            connections=rig.options.connections,
            rate=rate,
        )
    finally:
        for timer in timers:
            timer.cancel()
            timer.join()
    # Latencies are in the order in which the requests were due, one for each that was answered.
    before = result.latency_us[: round(rate * begins)]
    after = result.latency_us[round(rate * (begins + _GRACE_SECONDS)) :]
    return {
        "errors": float(result.errors),
        "quiet_p99_ms": quantile(before, 0.99) / 1000,
        "p99_ms": quantile(after, 0.99) / 1000,
        "asked": float(_asked(target) - asked[0]),
        "seconds": seconds - begins - _GRACE_SECONDS,
    }


def _asked(target: Target) -> int:
    """Attempts at the failing upstream so far."""
    return int(sum(target.metrics(_ATTEMPTS)))

"""How one of several deployments in rotation is chosen: a small pure picker for each strategy.

All of them hold weights in honour where they see no other difference.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from types import MappingProxyType
from typing import Any, NamedTuple, TypeAlias

from sluicegate.routing.health import Latency
from sluicegate.routing.snapshot import Target

AnyTarget: TypeAlias = Target[Any]  # whatever calls it
Ready: TypeAlias = Sequence[AnyTarget]

_MASK = (1 << 64) - 1
_UNIT = 2.0**-64
STALE = 5.0  # seconds: a latency that is older is worth asking for again
EXPLORED = 0.01  # of the requests, at most, ask for it
NEARLY = 1.2  # times the lowest latency is as good
_MOST_SHAPES = 512  # whose costs a deployment remembers


def _even() -> float:
    return 0.0


class Shape(NamedTuple):
    """What makes requests cost the same: bits of their token counts, and the model's name.

    The name is empty where the deployment knows it anyway.
    """

    input_bits: int
    output_bits: int
    model: str = ""


@dataclass(frozen=True, slots=True)
class Asked:
    """What of a request its deployments are chosen by.

    `die` gives numbers in [0, 1). `affinity` stands for the end user or the key that is to stay
    with one deployment. `cost` tells what a request of a `shape` costs (USD; infinite where a price
    is not known); both are there where the strategy asks for them. `fits` tells whether a
    deployment's model has room for the request, as far as is known; without it all have.
    """

    namespace: str
    streamed: bool = True
    die: Callable[[], float] = _even
    affinity: int | None = None
    shape: Shape | None = None
    cost: Callable[[AnyTarget, Shape], float] | None = None
    fits: Callable[[AnyTarget], bool] | None = None


Picker: TypeAlias = Callable[[Ready, Asked, float], AnyTarget]


def affinity_of(name: str) -> int:
    """The number that an end user's or a key's name is hashed to."""
    return int.from_bytes(blake2b(name.encode(errors="replace"), digest_size=8).digest(), "big")


def weighted(ready: Ready, asked: Asked, now: float) -> AnyTarget:
    """Smooth weighted round robin (as nginx does): the one that is owed most.

    `passed` books who was picked. Turns are in requests, not in weights, so that a changed weight
    leaves no debt behind that would take long to pay.
    """
    del asked, now
    total = 0
    for target in ready:
        total += target.weight
    best, most = ready[0], -math.inf
    for target in ready:
        owed = target.state.turn + target.weight / total
        if owed > most:
            best, most = target, owed
    return best


def passed(ready: Ready, picked: AnyTarget) -> None:
    """Book a pick of `weighted`: everyone is owed their share, and `picked` has had its turn."""
    total = 0
    for target in ready:
        total += target.weight
    for target in ready:
        target.state.turn += target.weight / total
    picked.state.turn -= 1.0


def least_busy(ready: Ready, asked: Asked, now: float) -> AnyTarget:
    """Of two drawn by weight, the one with fewer requests in flight for its weight.

    Two choices are nearly as good as looking at all, and gateways that don't know of each other
    don't all choose the same one (Mitzenmacher 2001).
    """
    del now
    if len(ready) == 1:
        return ready[0]
    one = drawn(ready, asked.die())
    other = drawn([target for target in ready if target is not one], asked.die())
    if other.state.in_flight * one.weight < one.state.in_flight * other.weight:
        return other
    return one


def lowest_latency(ready: Ready, asked: Asked, now: float) -> AnyTarget:
    """One of those whose answers have begun (or come whole) soonest of late.

    Who has not been measured yet, or not for a while, gets a request now and then, one at a time:
    so one that has recovered is found again.
    """
    if asked.streamed:
        latencies = [target.state.streamed for target in ready]
    else:
        latencies = [target.state.whole for target in ready]
    oldest = now - STALE
    stale = [index for index, each in enumerate(latencies) if each.measured_at <= oldest]
    if stale:
        chosen = _explored(ready, latencies, stale, asked)
        if chosen is not None:
            return chosen
    expected = [each.expected(now) if each.waiting else each.seconds for each in latencies]
    good_enough = min(expected) * NEARLY
    good = [ready[index] for index, seconds in enumerate(expected) if seconds <= good_enough]
    return drawn(good, asked.die())


def _explored(
    ready: Ready, latencies: Sequence[Latency], stale: Sequence[int], asked: Asked
) -> AnyTarget | None:
    """One that is to be measured: at once where nothing is known of it, else now and then."""
    idle = [index for index in stale if not latencies[index].waiting]
    new = [index for index in idle if latencies[index].measured_at == -math.inf]
    if new:
        return drawn([ready[index] for index in new], asked.die())
    if idle and asked.die() < EXPLORED:
        return drawn([ready[index] for index in idle], asked.die())
    return None


def lowest_cost(ready: Ready, asked: Asked, now: float) -> AnyTarget:
    """One of those whose price for this shape of request is the lowest."""
    shape, price = asked.shape, asked.cost
    if shape is None or price is None:
        return weighted(ready, asked, now)
    lowest, cheapest = math.inf, list[AnyTarget]()
    for target in ready:
        costs = target.state.costs
        cost = costs.get(shape)
        if cost is None:
            if len(costs) >= _MOST_SHAPES:
                costs.clear()
            cost = costs[shape] = price(target, shape)
        if cost < lowest:
            lowest, cheapest = cost, [target]
        elif cost == lowest:
            cheapest.append(target)
    return cheapest[0] if len(cheapest) == 1 else drawn(cheapest, asked.die())


def nearest(ready: Ready, asked: Asked, now: float) -> AnyTarget:
    """Weighted rendezvous hashing: each end user or key has an order of its own of all deployments.

    So only those of a deployment that is gone, or the share of a new one, change places
    (Thaler and Ravishankar 1998; Schindelhauer and Schomaker 2005 for the weights).
    """
    del now
    key = asked.affinity or 0
    best, highest = ready[0], -math.inf
    for target in ready:
        score = (key * target.seed & _MASK) * _UNIT - 1.0
        weight = target.weight
        # ln(x) <= x - 1, so most are out of the question before their logarithm is taken.
        if score > highest * weight:
            score = math.log1p(score) / weight if score > -1.0 else -math.inf
            if score > highest:
                best, highest = target, score
    return best


def drawn(ready: Ready, share: float) -> AnyTarget:
    """The one that a share in [0, 1) of the summed weights falls on."""
    if len(ready) == 1:
        return ready[0]
    total = 0
    for target in ready:
        total += target.weight
    point = share * total
    for target in ready:
        point -= target.weight
        if point < 0:
            return target
    return ready[-1]


PICKERS: Mapping[str, Picker] = MappingProxyType(
    {
        "Weighted": weighted,
        "LeastBusy": least_busy,
        "LowestLatency": lowest_latency,
        "LowestCost": lowest_cost,
    }
)

"""What it costs to choose one of many deployments: `python -m bench.selection`.

Microseconds of one choice in a healthy pool, the least of several runs, by strategy and size.
"""

import random
import timeit

from sluicegate.config import (
    AmbientCredential,
    Config,
    Deployment,
    EchoUpstream,
    Pool,
    entry_revision,
)
from sluicegate.routing.select import Selection
from sluicegate.routing.snapshot import Route, build_steps
from sluicegate.routing.strategies import PICKERS, Asked, Shape, affinity_of

SIZES = (1, 2, 10, 50)
GOAL = 20.0  # microseconds at 50 deployments
_RUNS, _CHOICES = 15, 400
_AFFINITY = "affinity"


def main() -> int:
    """Answers the exit status: 1 where a choice among the most takes longer than the goal."""
    print(f"{'us a choice':>15}" + "".join(f"{size:>8}" for size in SIZES))
    slow = False
    for name in (*PICKERS, _AFFINITY):
        costs = [_cost(name, size) for size in SIZES]
        slow |= costs[-1] > GOAL
        print(f"{name:>15}" + "".join(f"{cost:8.1f}" for cost in costs))
    return int(slow)


def _cost(name: str, size: int) -> float:
    route = _route("Weighted" if name == _AFFINITY else name, size)
    asked = Asked(
        "bench",
        die=random.random,
        affinity=affinity_of("somebody") if name == _AFFINITY else None,
        shape=Shape(10, 9),
        cost=lambda target, _: float(target.weight),
    )

    def choose() -> None:
        Selection(route, asked).next(1.0, [])

    return min(timeit.repeat(choose, number=_CHOICES, repeat=_RUNS)) / _CHOICES * 1e6


def _route(strategy: str, size: int) -> Route[str]:
    members = [
        Deployment(
            namespace="bench",
            name=f"md-{index}",
            model="m",
            upstream=EchoUpstream(),
            credential=AmbientCredential(),
            weight=1 + index % 3,
        )
        for index in range(size)
    ]
    pool = Pool(
        namespace="bench",
        model="m",
        members=tuple(member.name for member in members),
        strategy=strategy,  # pyright: ignore[reportArgumentType] -- a key of the strategies' table
    )
    entries = {entry.id: entry for entry in (*members, pool)}
    config = Config(entries, {id_: entry_revision(entry) for id_, entry in entries.items()})
    steps = build_steps(config, "0" * 12, 1, lambda member, _: member.name)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            route = end.value.routes[pool.id]
            break
    for tier in route.tiers:
        for target in tier:
            target.state.streamed.measure(0.0, random.uniform(0.5, 0.6))
    return route


if __name__ == "__main__":
    raise SystemExit(main())

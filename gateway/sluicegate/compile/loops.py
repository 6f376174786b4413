"""Circles of fallbacks.

An edge that is in the previous configuration stays before one that is new, so a new object never
breaks what worked; among new ones the order is that of pool and position.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from typing import TypeAlias

from msgspec import Struct

from sluicegate.compile.pools import PoolKey

Targets: TypeAlias = Sequence[PoolKey | None]
Edges: TypeAlias = Mapping[PoolKey, Targets]
_STEP = 100


class Edge(Struct, frozen=True, order=True, gc=False):
    """The fallback at a position of a pool's list."""

    pool: PoolKey
    position: int


def reaches(edges: Edges, start: Targets, goal: PoolKey) -> bool:
    """Whether a pool can be reached from these."""
    seen: set[PoolKey] = set()
    stack = [key for key in start if key is not None]
    while stack:
        key = stack.pop()
        if key == goal:
            return True
        if key not in seen:
            seen.add(key)
            stack.extend(target for target in edges.get(key, ()) if target is not None)
    return False


def closing_edges(
    edges: Edges, held: Callable[[Edge], bool]
) -> Generator[None, None, frozenset[Edge]]:
    """The edges to leave out so that no circle remains, in steps.

    `held`: the edge is in the previous configuration.
    """
    dropped: set[Edge] = set()
    circles = yield from _circles(edges)
    for circle in circles:
        inside = [
            Edge(key, index)
            for key in circle
            for index, target in enumerate(edges[key])
            if target in circle
        ]
        kept: dict[PoolKey, list[PoolKey]] = {}
        for edge in sorted(inside, key=lambda edge: (not held(edge), edge)):
            target = edges[edge.pool][edge.position]
            if target is None:
                continue
            if reaches(kept, [target], edge.pool):
                dropped.add(edge)
            else:
                kept.setdefault(edge.pool, []).append(target)
            yield
    return frozenset(dropped)


def _circles(edges: Edges) -> Generator[None, None, list[frozenset[PoolKey]]]:
    """The strongly connected parts that hold a circle (Tarjan 1972, with a stack of our own)."""
    order: dict[PoolKey, int] = {}
    low: dict[PoolKey, int] = {}
    open_keys: dict[PoolKey, None] = {}
    found: list[frozenset[PoolKey]] = []
    for root in edges:
        if root in order:
            continue
        order[root] = low[root] = len(order)
        open_keys[root] = None
        work = [(root, iter(edges[root]))]
        while work:
            key, targets = work[-1]
            for target in targets:
                if target is None or target not in edges:
                    continue
                if target not in order:
                    order[target] = low[target] = len(order)
                    open_keys[target] = None
                    work.append((target, iter(edges[target])))
                    break
                if target in open_keys:
                    low[key] = min(low[key], order[target])
            else:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[key])
                if low[key] == order[key]:
                    part = _pop_part(open_keys, key)
                    if len(part) > 1 or key in edges[key]:
                        found.append(part)
            if not len(order) % _STEP:
                yield
    return found


def _pop_part(open_keys: dict[PoolKey, None], root: PoolKey) -> frozenset[PoolKey]:
    part: set[PoolKey] = set()
    while root not in part:
        part.add(open_keys.popitem()[0])
    return frozenset(part)

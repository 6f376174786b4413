"""Pools.

The policy that members agree on, who holds a shared name, and where a fallback's name leads.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from msgspec import Struct

from sluicegate.compile.findings import Finding
from sluicegate.config import Deployment, Fallback, Pool, PoolPolicy

MAX_NAME = 128


class PoolKey(Struct, frozen=True, order=True, gc=False):
    """A pool: a public name in a namespace."""

    namespace: str
    model: str

    @property
    def id(self) -> str:
        """The entry's id."""
        return f"pool/{self.namespace}/{self.model}"


class PoolState(Struct, frozen=True, gc=False):
    """A pool merged from its members. `audience` is None where every namespace may call it."""

    members: tuple[str, ...]
    policy: PoolPolicy
    audience: frozenset[str] | None

    @property
    def wants_shared(self) -> bool:
        """Whether any member is shared beyond its namespace."""
        return self.audience is None or bool(self.audience)

    def serves(self, namespace: str) -> bool:
        """Whether a foreign namespace may call it."""
        return self.audience is None or namespace in self.audience


class PoolStates(Protocol):
    """The pools that there are."""

    def get(self, key: PoolKey, /) -> PoolState | None:
        """One of them."""
        ...


class NameHolders(Protocol):
    """The namespaces that hold a shared name."""

    def get(self, name: str, /) -> str | None:
        """The holder of one."""
        ...


def merge(entries: Iterable[Deployment]) -> PoolState:
    """The members of one pool as one.

    Of values that differ, the first by (priority, name) holds.
    """
    members = sorted(entries, key=lambda entry: (entry.priority, entry.name))
    policies = [entry.policy for entry in members]
    audience: set[str] | None = set()
    for entry in members:
        if entry.sharing.source == "All":
            audience = None
        if audience is None:
            break
        audience.update(entry.sharing.names)
    return PoolState(
        tuple(entry.name for entry in members),
        PoolPolicy(
            strategy=next((each.strategy for each in policies if each.strategy is not None), None),
            fallbacks=next(
                (each.fallbacks for each in policies if each.fallbacks is not None), None
            ),
            affinity=next((each.affinity for each in policies if each.affinity is not None), None),
        ),
        None if audience is None else frozenset(audience),
    )


def pool_entry(
    key: PoolKey, state: PoolState, fallbacks: tuple[Fallback, ...], *, shared: bool
) -> Pool:
    """The entry of a pool."""
    return Pool(
        namespace=key.namespace,
        model=key.model,
        members=state.members,
        strategy=state.policy.strategy or "Weighted",
        fallbacks=fallbacks,
        affinity=state.policy.affinity or "None",
        shared=shared,
    )


def conflicts(asked: PoolPolicy, holds: PoolPolicy) -> tuple[Finding, ...]:
    """What a member asks of its pool and does not get: a member before it says otherwise."""
    if asked == holds or asked == PoolPolicy():
        return ()
    pairs = (
        ("strategy", asked.strategy, holds.strategy),
        ("fallbacks", asked.fallbacks, holds.fallbacks),
        ("affinity", asked.affinity, holds.affinity),
    )
    return tuple(
        Finding(
            "PoolConflict",
            "PoolConflict",
            f"another deployment of this pool, before it by priority and name, has another {name}, "
            "and that one holds: write the same in both, or in one only",
            ("spec", "pool", name),
            "warning",
        )
        for name, mine, theirs in pairs
        if mine is not None and mine != theirs
    )


def name_taken(key: PoolKey, holder: str) -> Finding:
    """For a shared pool whose name another namespace holds."""
    return Finding(
        "Accepted",
        "ModelNameTaken",
        f"the name {key.model!r} is already shared by namespace {holder!r}; other namespaces reach "
        f"this one as {key.model}@{key.namespace}: write another spec.model to share it by name",
        ("spec", "model"),
    )


def resolve(name: str, asking: str, pools: PoolStates, holders: NameHolders) -> PoolKey | None:
    """The pool that a name leads to when a namespace asks.

    Its own pools first, then those shared with it.

    In each an exact name wins, then the longest prefix. `model@namespace` looks in that namespace
    only.
    """
    model, _, namespace = name.partition("@")
    if namespace:
        return _in_namespace(model, namespace, asking, pools)
    own = _in_namespace(model, asking, asking, pools)
    if own is not None:
        return own
    for candidate in _candidates(model):
        holder = holders.get(candidate)
        if holder is not None:
            key = PoolKey(holder, candidate)
            state = pools.get(key)
            if state is not None and state.serves(asking):
                return key
    return None


def _in_namespace(model: str, namespace: str, asking: str, pools: PoolStates) -> PoolKey | None:
    for candidate in _candidates(model):
        key = PoolKey(namespace, candidate)
        state = pools.get(key)
        if state is not None and (namespace == asking or state.serves(asking)):
            return key
    return None


def _candidates(model: str) -> Iterable[str]:
    """The names of pools that serve a model, the best first."""
    yield model
    for length in range(min(len(model), MAX_NAME), 0, -1):
        yield model[:length] + "*"


def matches(pool_model: str, name: str) -> bool:
    """Whether a pool's name might serve a requested name."""
    model = name.partition("@")[0]
    return model == pool_model or (
        pool_model.endswith("*") and model.startswith(pool_model.removesuffix("*"))
    )


def fallback_findings(
    asked: PoolPolicy,
    holds: PoolPolicy,
    targets: Sequence[PoolKey | None],
    looping: frozenset[int],
) -> tuple[Finding, ...]:
    """The fallbacks that lead nowhere or would close a loop, for a member whose fallbacks hold."""
    if asked.fallbacks is None or asked.fallbacks != holds.fallbacks:
        return ()
    found: list[Finding] = []
    for index, fallback in enumerate(asked.fallbacks):
        path = ("spec", "pool", "fallbacks", index, "model")
        if index in looping:
            message = (
                f"the fallback {fallback.model!r} leads back to this pool, so it is left out: "
                "take one of the fallbacks in the circle away"
            )
            found.append(Finding("Accepted", "FallbackLoop", message, path))
        elif targets[index] is None:
            message = (
                f"no model {fallback.model!r} can be called from here; the pool works without it"
            )
            found.append(Finding("ResolvedRefs", "FallbackNotFound", message, path, "warning"))
    return tuple(found)

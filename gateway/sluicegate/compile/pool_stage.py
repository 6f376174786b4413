"""The second half of a compile: pools from their members, shared names, fallbacks.

Driven by `incremental`.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping

from msgspec import Struct

from sluicegate.compile.edits import Edit, IndexEdit, ShelfEdit, Shelves
from sluicegate.compile.findings import Finding
from sluicegate.compile.loops import Edge, closing_edges, reaches
from sluicegate.compile.pools import (
    PoolKey,
    PoolState,
    conflicts,
    fallback_findings,
    matches,
    merge,
    name_taken,
    pool_entry,
    resolve,
)
from sluicegate.config import Deployment, Entry, Pool
from sluicegate.resources.objects import ResourceRef

# Up to so many changed pools are each searched for a circle; from then on all edges are looked at
# once.
_FEW = 8


class PoolIndexes(Struct, frozen=True, eq=False, gc=False):
    """What the pool stage remembers from one compile to the next; never changed.

    `shared`: the namespaces that share a name; `holders`: the one that holds it. `fallbacks`: the
    pools that name a fallback, without its namespace. `targets`: where a pool's fallbacks lead.
    `looping`: fallbacks that are left out.
    """

    members: Shelves[PoolKey, Mapping[str, None]] = Shelves[PoolKey, Mapping[str, None]]()
    pools: Shelves[PoolKey, PoolState] = Shelves[PoolKey, PoolState]()
    shared: Shelves[str, Mapping[str, None]] = Shelves[str, Mapping[str, None]]()
    holders: Shelves[str, str] = Shelves[str, str]()
    fallbacks: Shelves[str, Mapping[PoolKey, None]] = Shelves[str, Mapping[PoolKey, None]]()
    targets: Shelves[PoolKey, tuple[PoolKey | None, ...]] = Shelves[
        PoolKey, tuple[PoolKey | None, ...]
    ]()
    looping: frozenset[Edge] = frozenset()


class PoolStage:
    """One compile's work on pools.

    `move` each deployment, `run`, then read `entries` and `findings`.
    """

    def __init__(
        self, indexes: PoolIndexes, entries: Edit[str, Entry], before: Mapping[str, Entry]
    ) -> None:
        self._entries = entries
        self._before = before
        self._members = IndexEdit(indexes.members)
        self._pools = ShelfEdit(indexes.pools)
        self._shared = IndexEdit(indexes.shared)
        self._holders = ShelfEdit(indexes.holders)
        self._fallbacks = IndexEdit(indexes.fallbacks)
        self._targets = ShelfEdit(indexes.targets)
        self._looping = indexes.looping
        self._dirty: set[PoolKey] = set()  # a member changed
        self._final: set[PoolKey] = set()  # the entry or a finding may be another
        self._contested: set[str] = set()  # shared names to give out again
        self._moved: set[str] = set()  # names that may lead elsewhere
        self._retarget: set[PoolKey] = set()  # fallbacks to follow again

    def move(self, name: str, was: Deployment | None, entry: Deployment | None) -> None:
        """A deployment's entry changed."""
        if was == entry:
            return
        for side in (was, entry):
            if side is not None:
                self._dirty.add(PoolKey(side.namespace, side.model))
        if was is not None:
            self._members.discard(PoolKey(was.namespace, was.model), name)
        if entry is not None:
            self._members.add(PoolKey(entry.namespace, entry.model), name)

    def run(self) -> Generator[None, None, None]:
        """Bring pools, names and fallbacks up to date, in steps."""
        for key in self._dirty:
            self._merge(key)
            yield
        for name in self._contested:
            self._contest(name)
            yield
        for model in self._moved:
            self._find_askers(model)
            yield
        edges_changed: set[PoolKey] = set()
        for key in self._retarget:
            if self._follow(key):
                edges_changed.add(key)
            yield
        if edges_changed:
            yield from self._find_circles(edges_changed)

    # --- merging ----------------------------------------------------------------------------------

    def _member_entries(self, key: PoolKey) -> Iterator[Deployment]:
        for name in self._members.members(key):
            entry = self._entries.get(f"md/{key.namespace}/{name}")
            if isinstance(entry, Deployment):
                yield entry

    def _merge(self, key: PoolKey) -> None:
        old = self._pools.get(key)
        new = merge(self._member_entries(key)) if self._members.members(key) else None
        self._final.add(key)
        if new == old:
            return
        if new is None:
            self._pools.drop(key)
        else:
            self._pools.set(key, new)
        if old is None or new is None or old.audience != new.audience:
            self._moved.add(key.model)
        self._share(key, wants=new is not None and new.wants_shared)
        self._index_fallbacks(key, old, new)

    def _share(self, key: PoolKey, *, wants: bool) -> None:
        if wants == (key.namespace in self._shared.members(key.model)):
            return
        (self._shared.add if wants else self._shared.discard)(key.model, key.namespace)
        self._contested.add(key.model)

    def _index_fallbacks(self, key: PoolKey, old: PoolState | None, new: PoolState | None) -> None:
        before, after = _fallback_names(old), _fallback_names(new)
        if before == after:
            return
        self._retarget.add(key)
        before_models, after_models = _models(before), _models(after)
        for model in before_models - after_models:
            self._fallbacks.discard(model, key)
        for model in after_models - before_models:
            self._fallbacks.add(model, key)

    # --- names ------------------------------------------------------------------------------------

    def _contest(self, name: str) -> None:
        """Give a shared name to its previous holder, else to the first namespace."""
        contenders = sorted(self._shared.members(name))
        holder = next(
            (namespace for namespace in contenders if self._held(PoolKey(namespace, name))),
            contenders[0] if contenders else None,
        )
        if holder == self._holders.get(name):
            return
        if holder is None:
            self._holders.drop(name)
        else:
            self._holders.set(name, holder)
        self._final.update(PoolKey(namespace, name) for namespace in contenders)
        self._moved.add(name)

    def _held(self, key: PoolKey) -> bool:
        before = self._before.get(key.id)
        return isinstance(before, Pool) and before.shared

    def _find_askers(self, model: str) -> None:
        """The pools with a fallback whose name this model's pool might serve."""
        if not model.endswith("*"):
            self._retarget.update(self._fallbacks.members(model))
            return
        for name in self._fallbacks.result():
            if matches(model, name):
                self._retarget.update(self._fallbacks.members(name))

    # --- fallbacks --------------------------------------------------------------------------------

    def _follow(self, key: PoolKey) -> bool:
        """Resolve a pool's fallbacks; whether one leads elsewhere now."""
        old = self._targets.get(key) or ()
        new = tuple(
            resolve(name, key.namespace, self._pools, self._holders)
            for name in _fallback_names(self._pools.get(key))
        )
        if new == old:
            return False
        if new:
            self._targets.set(key, new)
        else:
            self._targets.drop(key)
        self._final.add(key)
        return True

    def _find_circles(self, changed: set[PoolKey]) -> Generator[None, None, None]:
        edges = self._targets.result()
        if (
            not self._looping
            and len(changed) <= _FEW
            and not any(reaches(edges, edges.get(key, ()), key) for key in changed)
        ):
            return
        looping = yield from closing_edges(edges, self._held_edge)
        self._final.update(edge.pool for edge in looping ^ self._looping)
        self._looping = looping

    def _held_edge(self, edge: Edge) -> bool:
        before = self._before.get(edge.pool.id)
        names = _fallback_names(self._pools.get(edge.pool))
        return isinstance(before, Pool) and any(
            fallback.model == names[edge.position] for fallback in before.fallbacks
        )

    # --- results ----------------------------------------------------------------------------------

    def entries(self) -> Iterator[tuple[str, Pool | None]]:
        """The pools' entries that may have changed, None for a pool that is gone."""
        for key in self._final:
            state = self._pools.get(key)
            if state is None:
                yield key.id, None
                continue
            fallbacks = tuple(
                fallback
                for index, fallback in enumerate(state.policy.fallbacks or ())
                if Edge(key, index) not in self._looping
            )
            shared = state.wants_shared and self._holders.get(key.model) == key.namespace
            yield key.id, pool_entry(key, state, fallbacks, shared=shared)

    def findings(self) -> Iterator[tuple[ResourceRef, tuple[Finding, ...]]]:
        """What there is to say about each member of those pools."""
        for key in self._final:
            state = self._pools.get(key)
            if state is None:
                continue
            targets = self._targets.get(key) or ()
            looping = frozenset(
                index for index in range(len(targets)) if Edge(key, index) in self._looping
            )
            holder = self._holders.get(key.model)
            for entry in self._member_entries(key):
                found = conflicts(entry.policy, state.policy)
                if entry.sharing.source != "Same" and holder not in {None, key.namespace}:
                    found = (name_taken(key, holder or ""), *found)
                found += fallback_findings(entry.policy, state.policy, targets, looping)
                yield ResourceRef("ModelDeployment", key.namespace, entry.name), found

    def indexes(self) -> PoolIndexes:
        """What the next compile needs."""
        return PoolIndexes(
            members=self._members.result(),
            pools=self._pools.result(),
            shared=self._shared.result(),
            holders=self._holders.result(),
            fallbacks=self._fallbacks.result(),
            targets=self._targets.result(),
            looping=self._looping,
        )


def _fallback_names(state: PoolState | None) -> tuple[str, ...]:
    fallbacks = state.policy.fallbacks if state is not None else None
    return tuple(fallback.model for fallback in fallbacks or ())


def _models(names: tuple[str, ...]) -> set[str]:
    return {name.partition("@")[0] for name in names}

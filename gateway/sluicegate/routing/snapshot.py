"""The immutable tables that requests are routed by. Made from a Config; swapped by one assignment.

A request reads the snapshot once and ends on it, whatever is published meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from sluicegate.config import (
    ClientKey,
    Config,
    Credential,
    CredentialEntry,
    Deployment,
    Pool,
    ReferencedCredential,
    UnresolvedCredential,
)

ConnectorT = TypeVar("ConnectorT")

# How many entries are looked at between two chances for the event loop to serve requests.
_SLICE = 500


@dataclass(frozen=True, slots=True, eq=False)
class Target(Generic[ConnectorT]):
    """A deployment that can be called. `label` is what metrics and headers name it by."""

    deployment: Deployment
    credential: Credential
    connector: ConnectorT
    label: str  # namespace/name

    def admits(self, namespace: str) -> bool:
        """Whether client keys of `namespace` may call it."""
        deployment = self.deployment
        if namespace == deployment.namespace:
            return True
        sharing = deployment.sharing
        return sharing.source == "All" or (sharing.source == "Names" and namespace in sharing.names)


@dataclass(frozen=True, slots=True, eq=False)
class Route(Generic[ConnectorT]):
    """A pool and its callable deployments, by ascending priority.

    `unavailable` says why each of the others is left out (suspended, credential missing).
    """

    pool: Pool
    tiers: tuple[tuple[Target[ConnectorT], ...], ...]
    unavailable: tuple[str, ...] = ()
    single: Target[ConnectorT] | None = None  # the only target, where there is just one
    prefix: str | None = None  # for a name that ends in `*`: what comes before it


@dataclass(frozen=True, slots=True)
class _Names(Generic[ConnectorT]):
    """Public names of one scope: exact ones, and prefixes from the longest to the shortest."""

    exact: Mapping[str, Route[ConnectorT]]
    prefixes: tuple[Route[ConnectorT], ...]

    def find(self, model: str) -> Route[ConnectorT] | None:
        route = self.exact.get(model)
        if route is None and self.prefixes:
            for candidate in self.prefixes:
                if model.startswith(candidate.prefix or ""):
                    return candidate
        return route


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot(Generic[ConnectorT]):
    """One configuration, ready to serve."""

    config: Config
    revision: str
    sequence: int
    targets: Mapping[str, Target[ConnectorT]]  # by deployment id
    routes: Mapping[str, Route[ConnectorT]]  # by pool id
    namespaces: Mapping[str, _Names[ConnectorT]]
    shared: _Names[ConnectorT]

    @classmethod
    def empty(cls) -> Snapshot[ConnectorT]:
        """What serves before anything is configured."""
        return cls(Config(entries={}, revisions={}), "0" * 12, 0, {}, {}, {}, _names(()))

    def resolve(self, namespace: str, model: str) -> tuple[Route[ConnectorT], str] | None:
        """The pool that `model` means to a caller of `namespace`.

        And the name without any `@namespace`.

        Own namespace first, then the shared names; `model@namespace` names a pool outright. Exact
        names win over prefixes, longer prefixes over shorter ones (design: "Who gets a name").
        """
        own = self.namespaces.get(namespace)
        if own is not None:
            route = own.find(model)
            if route is not None:
                return route, model
        route = self.shared.find(model)
        if route is not None and _reachable(route, namespace):
            return route, model
        name, at, owner = model.rpartition("@")
        names = self.namespaces.get(owner) if at else None
        route = names.find(name) if names is not None else None
        if route is not None and (owner == namespace or _reachable(route, namespace)):
            return route, name
        return None

    def visible(self, namespace: str) -> Iterator[Route[ConnectorT]]:
        """Every route a caller of `namespace` reaches by its plain name."""
        own = self.namespaces.get(namespace)
        names: set[str] = set()
        if own is not None:
            for route in (*own.exact.values(), *own.prefixes):
                names.add(route.pool.model)
                yield route
        for route in (*self.shared.exact.values(), *self.shared.prefixes):
            if route.pool.model not in names and _reachable(route, namespace):
                yield route


def _reachable(route: Route[ConnectorT], namespace: str) -> bool:
    # A pool whose deployments are all out of service keeps its name: the answer is then 503, not
    # 404.
    targets = [target for tier in route.tiers for target in tier]
    return not targets or any(target.admits(namespace) for target in targets)


class Unavailable(Exception):
    """A deployment can't be called now. The message says why and what to do; it holds no secret."""


class _Build(Generic[ConnectorT]):
    """What is carried from one entry to the next while a snapshot is made."""

    def __init__(
        self,
        config: Config,
        connect: Callable[[Deployment, Credential], ConnectorT],
        previous: Snapshot[ConnectorT] | None,
    ) -> None:
        self.config = config
        self.connect = connect
        self.previous = previous
        self.targets: dict[str, Target[ConnectorT]] = {}
        self.reasons: dict[str, str] = {}  # deployment id -> why it can't be called
        self.routes: dict[str, Route[ConnectorT]] = {}

    def add_deployment(self, deployment: Deployment) -> None:
        """Keep the previous target when nothing it stands on has changed.

        So one change costs one entry.
        """
        label = f"{deployment.namespace}/{deployment.name}"
        credential = self._credential(deployment)
        old = self.previous.targets.get(deployment.id) if self.previous is not None else None
        if deployment.suspended:
            self.reasons[deployment.id] = f"{label} is suspended"
        elif isinstance(credential, UnresolvedCredential):
            self.reasons[deployment.id] = f"{label}: {credential.reason}"
        elif old is not None and old.deployment is deployment and old.credential is credential:
            self.targets[deployment.id] = old
        else:
            try:
                connector = self.connect(deployment, credential)
            except Unavailable as reason:
                self.reasons[deployment.id] = f"{label}: {reason}"
            else:
                self.targets[deployment.id] = Target(deployment, credential, connector, label)

    def _credential(self, deployment: Deployment) -> Credential:
        credential = deployment.credential
        if isinstance(credential, ReferencedCredential):
            entry = self.config.entries.get(credential.entry)
            if isinstance(entry, CredentialEntry):
                return entry.credential
            return UnresolvedCredential(reason=f"{credential.entry} does not exist")
        return credential

    def add_pool(self, pool: Pool) -> Route[ConnectorT]:
        ids = [f"md/{pool.namespace}/{name}" for name in pool.members]
        usable = [self.targets[id_] for id_ in ids if id_ in self.targets]
        unavailable = tuple(self.reasons[id_] for id_ in ids if id_ in self.reasons)
        tiers = _tiers(usable)
        old = self.previous.routes.get(pool.id) if self.previous is not None else None
        # Targets compare by identity: an unchanged deployment keeps its target.
        if old is None or (old.pool, old.tiers, old.unavailable) != (pool, tiers, unavailable):
            old = Route(
                pool=pool,
                tiers=tiers,
                unavailable=unavailable,
                single=usable[0] if len(usable) == 1 else None,
                prefix=pool.model[:-1] if pool.model.endswith("*") else None,
            )
        self.routes[pool.id] = old
        return old


def _tiers(
    targets: Iterable[Target[ConnectorT]],
) -> tuple[tuple[Target[ConnectorT], ...], ...]:
    by_priority: dict[int, list[Target[ConnectorT]]] = {}
    for target in targets:
        by_priority.setdefault(target.deployment.priority, []).append(target)
    return tuple(tuple(by_priority[priority]) for priority in sorted(by_priority))


def _names(routes: Iterable[Route[ConnectorT]]) -> _Names[ConnectorT]:
    exact: dict[str, Route[ConnectorT]] = {}
    prefixes: list[Route[ConnectorT]] = []
    for route in routes:
        if route.prefix is None:
            exact[route.pool.model] = route
        else:
            prefixes.append(route)
    prefixes.sort(key=lambda route: (-len(route.prefix or ""), route.prefix or ""))
    return _Names(exact, tuple(prefixes))


def build_steps(
    config: Config,
    revision: str,
    sequence: int,
    connect: Callable[[Deployment, Credential], ConnectorT],
    previous: Snapshot[ConnectorT] | None = None,
) -> Generator[None, None, Snapshot[ConnectorT]]:
    """Make a snapshot in slices: yields where the event loop may run, returns the Snapshot.

    `connect` makes a deployment ready for calls or raises Unavailable; it is asked only for those
    whose entry or credential changed since `previous`.
    """
    build = _Build(config, connect, previous)
    pools: list[Pool] = []
    for count, entry in enumerate(config.entries.values(), 1):
        if isinstance(entry, Deployment):
            build.add_deployment(entry)
        elif isinstance(entry, Pool):
            pools.append(entry)
        if count % _SLICE == 0:
            yield
    by_namespace: dict[str, list[Route[ConnectorT]]] = {}
    for count, pool in enumerate(pools, 1):
        by_namespace.setdefault(pool.namespace, []).append(build.add_pool(pool))
        if count % _SLICE == 0:
            yield
    return Snapshot(
        config=config,
        revision=revision,
        sequence=sequence,
        targets=build.targets,
        routes=build.routes,
        namespaces={name: _names(routes) for name, routes in by_namespace.items()},
        shared=_names(route for route in build.routes.values() if route.pool.shared),
    )


def client_keys(config: Config) -> Iterator[ClientKey]:
    """The client keys of a configuration."""
    return (entry for entry in config.entries.values() if isinstance(entry, ClientKey))

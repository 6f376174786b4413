"""The immutable tables that requests are routed by. Made from a Config; swapped by one assignment.

A request reads the snapshot once and ends on it, whatever is published meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Generic, TypeVar

from sluicegate.config import (
    ClientKey,
    Config,
    Credential,
    CredentialEntry,
    Deployment,
    Entry,
    Pool,
    ReferencedCredential,
    UnresolvedCredential,
)
from sluicegate.routing.health import DeploymentState, RetryBudget, States

ConnectorT = TypeVar("ConnectorT")

# How many entries are looked at between two chances for the event loop to serve requests.
_SLICE = 50


@dataclass(frozen=True, slots=True, eq=False)
class Target(Generic[ConnectorT]):
    """A deployment that can be called. `label` is what metrics and headers name it by."""

    deployment: Deployment
    credential: Credential
    connector: ConnectorT
    label: str  # namespace/name
    state: DeploymentState  # outlives the snapshot
    weight: int  # at least 1: who has none is in a tier of its own
    seed: int  # odd, of 64 bits: the deployment's part in rendezvous hashing

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

    Those of weight 0 come after the others of their priority. `unavailable` says why each of the
    others is left out (suspended, credential missing).
    """

    pool: Pool
    tiers: tuple[tuple[Target[ConnectorT], ...], ...]
    unavailable: tuple[str, ...] = ()
    single: Target[ConnectorT] | None = None  # the only target, where there is just one
    prefix: str | None = None  # for a name that ends in `*`: what comes before it
    audience: frozenset[str] | None = frozenset()  # foreign namespaces it is for; None: all
    budget: RetryBudget = field(default_factory=RetryBudget)  # outlives the snapshot

    def admits(self, namespace: str) -> bool:
        """Whether it is there for `namespace`, be its deployments callable or not."""
        return (
            namespace == self.pool.namespace or self.audience is None or namespace in self.audience
        )


@dataclass(frozen=True, slots=True)
class _Names(Generic[ConnectorT]):
    """Public names of one scope: exact ones, and prefixes from the longest to the shortest."""

    exact: Mapping[str, Route[ConnectorT]]
    prefixes: tuple[Route[ConnectorT], ...]

    def find(self, model: str, namespace: str) -> Route[ConnectorT] | None:
        """The route of `model` among those that are there for `namespace`."""
        route = self.exact.get(model)
        if route is not None and route.admits(namespace):
            return route
        for candidate in self.prefixes:
            if model.startswith(candidate.prefix or "") and candidate.admits(namespace):
                return candidate
        return None


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
    refused: Mapping[str, str] = field(
        default_factory=dict[str, str]
    )  # by id: could not be readied

    @classmethod
    def empty(cls) -> Snapshot[ConnectorT]:
        """What serves before anything is configured."""
        return cls(Config(entries={}, revisions={}), "0" * 12, 0, {}, {}, {}, _names(()))

    def resolve(self, namespace: str, model: str) -> tuple[Route[ConnectorT], str] | None:
        """The pool that `model` means to a caller of `namespace`, and its name without `@`.

        `model@namespace` names a pool outright. Else the own namespace comes first, then the shared
        names; exact names win over prefixes, longer prefixes over shorter ones (design: "Who gets a
        name"). What is not there for the caller is not looked at, so it hides nothing. An `@` that
        no namespace follows is part of the name.
        """
        if "@" in model:
            name, _, owner = model.rpartition("@")
            names = self.namespaces.get(owner)
            if names is not None:
                route = names.find(name, namespace)
                return None if route is None else (route, name)
        own = self.namespaces.get(namespace)
        route = own.find(model, namespace) if own is not None else None
        if route is None:
            route = self.shared.find(model, namespace)
        return None if route is None else (route, model)

    def visible(self, namespace: str) -> Iterator[Route[ConnectorT]]:
        """Every route that a caller of `namespace` reaches by its plain name."""
        own = self.namespaces.get(namespace)
        scopes = (self.shared,) if own is None else (own, self.shared)
        for names in scopes:
            for route in (*names.exact.values(), *names.prefixes):
                if names is self.shared and route.pool.namespace == namespace:
                    continue  # it has been told as one of the caller's own
                found = self.resolve(namespace, route.pool.model)
                if found is not None and found[0] is route:
                    yield route


class Unavailable(Exception):
    """A deployment can't be called now. The message says why and what to do; it holds no secret."""


class _Build(Generic[ConnectorT]):
    """What is carried from one entry to the next while a snapshot is made."""

    def __init__(
        self,
        config: Config,
        connect: Callable[[Deployment, Credential], ConnectorT],
        previous: Snapshot[ConnectorT] | None,
        states: States,
    ) -> None:
        self.config = config
        self.connect = connect
        self.previous = previous
        self.states = states
        self.targets: dict[str, Target[ConnectorT]] = {}
        self.reasons: dict[str, str] = {}  # deployment id -> why it can't be called
        self.refused: dict[str, str] = {}  # those that could not be made ready
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
                self.reasons[deployment.id] = self.refused[deployment.id] = f"{label}: {reason}"
            else:
                self.targets[deployment.id] = self._target(
                    deployment, credential, connector, label, old
                )

    def _target(
        self,
        deployment: Deployment,
        credential: Credential,
        connector: ConnectorT,
        label: str,
        old: Target[ConnectorT] | None,
    ) -> Target[ConnectorT]:
        state = self.states.deployment(deployment.id)
        if (
            old is None
            or old.deployment.upstream != deployment.upstream
            or old.credential != credential
        ):
            state.renew()
        state.costs.clear()
        seed = blake2b(deployment.id.encode(), digest_size=8).digest()
        return Target(
            deployment=deployment,
            credential=credential,
            connector=connector,
            label=label,
            state=state,
            weight=max(deployment.weight, 1),
            seed=int.from_bytes(seed, "big") | 1,
        )

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
        audience = _audience(self.config.entries.get(id_) for id_ in ids)
        old = self.previous.routes.get(pool.id) if self.previous is not None else None
        # Targets compare by identity: an unchanged deployment keeps its target.
        if old is None or (old.pool, old.tiers, old.unavailable, old.audience) != (
            pool,
            tiers,
            unavailable,
            audience,
        ):
            old = Route(
                pool=pool,
                tiers=tiers,
                unavailable=unavailable,
                single=usable[0] if len(usable) == 1 else None,
                prefix=pool.model[:-1] if pool.model.endswith("*") else None,
                audience=audience,
                budget=self.states.budget(pool.id),
            )
        self.routes[pool.id] = old
        return old


def _audience(members: Iterable[Entry | None]) -> frozenset[str] | None:
    """Whom the members are declared to be for, whether or not they can be called now."""
    names: set[str] = set()
    for member in members:
        if isinstance(member, Deployment):
            if member.sharing.source == "All":
                return None
            if member.sharing.source == "Names":
                names.update(member.sharing.names)
    return frozenset(names)


def _tiers(
    targets: Iterable[Target[ConnectorT]],
) -> tuple[tuple[Target[ConnectorT], ...], ...]:
    by_rank: dict[tuple[int, bool], list[Target[ConnectorT]]] = {}
    for target in targets:
        deployment = target.deployment
        by_rank.setdefault((deployment.priority, not deployment.weight), []).append(target)
    return tuple(tuple(by_rank[rank]) for rank in sorted(by_rank))


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
    states: States | None = None,
) -> Generator[None, None, Snapshot[ConnectorT]]:
    """Make a snapshot in slices: yields where the event loop may run, returns the Snapshot.

    `connect` makes a deployment ready for calls or raises Unavailable; it is asked only for those
    whose entry or credential changed since `previous`. `states` is what is known of deployments
    from earlier snapshots.
    """
    build = _Build(config, connect, previous, States() if states is None else states)
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
        refused=build.refused,
    )


def client_keys(config: Config) -> Iterator[ClientKey]:
    """The client keys of a configuration."""
    return (entry for entry in config.entries.values() if isinstance(entry, ClientKey))

"""The immutable tables that requests are routed by. Made from a Config; swapped by one assignment.

A request reads the snapshot once and ends on it, whatever is published meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Generator, Iterable, Iterator, Mapping
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
    changed_steps,
)
from sluicegate.routing.health import DeploymentState, RetryBudget, States

ConnectorT = TypeVar("ConnectorT")

# How many entries are looked at between two chances for the event loop to serve requests.
_SLICE = 50
# The same, where they are only compared.
_COMPARED = 500


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
    refused: Mapping[str, str] = field(default_factory=dict[str, str])  # id -> why not to be called

    @classmethod
    def empty(cls) -> Snapshot[ConnectorT]:
        """What serves before anything is configured."""
        return cls(Config(entries={}, revisions={}), "0" * 12, 0, {}, {}, {}, _names(None, (), ()))

    @property
    def problems(self) -> tuple[str, ...]:
        """Who can't be called here, and why."""
        return tuple(f"{id_.removeprefix('md/')}: {why}" for id_, why in self.refused.items())

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
        previous: Snapshot[ConnectorT],
        states: States,
    ) -> None:
        self.config = config
        self.connect = connect
        self.previous = previous
        self.states = states
        self.targets = dict(previous.targets)
        self.reasons: dict[str, str] = {}  # deployment id -> why it can't be called
        self.refused = dict(previous.refused)  # those that could not be made ready
        self.routes = dict(previous.routes)

    def drop(self, ids: Iterable[str]) -> None:
        """Leave out what is configured no more."""
        for id_ in ids:
            self.targets.pop(id_, None)
            self.refused.pop(id_, None)
            self.routes.pop(id_, None)

    def add_deployment(self, deployment: Deployment) -> None:
        """Keep the previous target when nothing it stands on has changed."""
        label = f"{deployment.namespace}/{deployment.name}"
        credential = self._credential(deployment)
        old = self.targets.pop(deployment.id, None)
        self.refused.pop(deployment.id, None)
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
                self.refused[deployment.id] = str(reason)
                self.reasons[deployment.id] = f"{label}: {reason}"
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
        same = (
            old is not None
            and old.deployment.upstream == deployment.upstream
            and old.credential == credential
        )
        states = self.states
        state = states.deployment(deployment.id) if same else states.anew(deployment.id)
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

    def add_pool(self, pool: Pool) -> None:
        """Keep the previous route when it would be the same."""
        ids = [f"md/{pool.namespace}/{name}" for name in pool.members]
        for id_ in ids:
            entry = self.config.entries.get(id_)
            if (
                id_ not in self.targets
                and id_ not in self.reasons
                and isinstance(entry, Deployment)
            ):
                self.add_deployment(entry)  # nothing has changed, but why it is left out is wanted
        usable = [self.targets[id_] for id_ in ids if id_ in self.targets]
        unavailable = tuple(self.reasons[id_] for id_ in ids if id_ in self.reasons)
        tiers = _tiers(usable)
        audience = _audience(self.config.entries.get(id_) for id_ in ids)
        old = self.routes.get(pool.id)
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


def _is_credential(*entries: Entry | None) -> bool:
    return any(isinstance(entry, CredentialEntry) for entry in entries)


def _users_steps(config: Config, credentials: Container[str]) -> Generator[None, None, list[str]]:
    """The deployments that refer to one of these credentials."""
    users: list[str] = []
    for count, entry in enumerate(config.entries.values(), 1):
        if isinstance(entry, Deployment):
            credential = entry.credential
            if isinstance(credential, ReferencedCredential) and credential.entry in credentials:
                users.append(entry.id)
        if count % _COMPARED == 0:
            yield
    return users


def _pools(
    before: Config, after: Config, changed: Iterable[str], deployments: Iterable[str]
) -> list[Pool]:
    """The pools that were added or changed, or have or had one of these deployments."""
    ids = set(changed)
    for id_ in deployments:
        for entry in (before.entries.get(id_), after.entries.get(id_)):
            if isinstance(entry, Deployment):
                ids.add(f"pool/{entry.namespace}/{entry.model}")
    return [entry for id_ in ids if isinstance(entry := after.entries.get(id_), Pool)]


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


def _names(
    before: _Names[ConnectorT] | None,
    gone: Iterable[Route[ConnectorT]],
    routes: Iterable[Route[ConnectorT]],
) -> _Names[ConnectorT]:
    """The names as they were, without some routes and with others."""
    exact = dict(before.exact) if before is not None else {}
    prefixes = list(before.prefixes) if before is not None else []
    for route in gone:
        if route.prefix is not None:
            prefixes.remove(route)
        elif exact.get(route.pool.model) is route:
            del exact[route.pool.model]
    for route in routes:
        if route.prefix is None:
            exact[route.pool.model] = route
        else:
            prefixes.append(route)
    prefixes.sort(key=lambda route: (-len(route.prefix or ""), route.prefix or ""))
    return _Names(exact, tuple(prefixes))


def _by_namespace(routes: Iterable[Route[ConnectorT]]) -> dict[str, list[Route[ConnectorT]]]:
    found: dict[str, list[Route[ConnectorT]]] = {}
    for route in routes:
        found.setdefault(route.pool.namespace, []).append(route)
    return found


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
    whose entry or credential changed since `previous`, and for those that it has refused. `states`
    is what is known of deployments from earlier snapshots. What has not changed costs a comparison.
    """
    before = Snapshot[ConnectorT].empty() if previous is None else previous
    build = _Build(config, connect, before, States() if states is None else states)
    changed = yield from changed_steps(before.config, config)
    dirty = changed | before.refused.keys()  # who could not be readied may be by now
    if any(
        _is_credential(before.config.entries.get(id_), config.entries.get(id_)) for id_ in changed
    ):
        dirty.update((yield from _users_steps(config, changed)))
    pools = _pools(before.config, config, changed, dirty)
    build.drop(changed - config.entries.keys())
    for count, id_ in enumerate(dirty, 1):
        entry = config.entries.get(id_)
        if isinstance(entry, Deployment):
            build.add_deployment(entry)
        if count % _SLICE == 0:
            yield
    for count, pool in enumerate(pools, 1):
        build.add_pool(pool)
        if count % _SLICE == 0:
            yield
    # A route that is not there any more, and one that has taken its place.
    touched = [id_ for id_ in {*changed, *(pool.id for pool in pools)} if _is_new(id_, build)]
    gone = [before.routes[id_] for id_ in touched if id_ in before.routes]
    fresh = [build.routes[id_] for id_ in touched if id_ in build.routes]
    yield
    return Snapshot(
        config=config,
        revision=revision,
        sequence=sequence,
        targets=build.targets,
        routes=build.routes,
        namespaces=_namespaces(before, gone, fresh),
        shared=_names(
            before.shared,
            [route for route in gone if route.pool.shared],
            [route for route in fresh if route.pool.shared],
        ),
        refused=build.refused,
    )


def _is_new(pool_id: str, build: _Build[ConnectorT]) -> bool:
    return build.previous.routes.get(pool_id) is not build.routes.get(pool_id)


def _namespaces(
    before: Snapshot[ConnectorT],
    gone: Iterable[Route[ConnectorT]],
    fresh: Iterable[Route[ConnectorT]],
) -> Mapping[str, _Names[ConnectorT]]:
    left, come = _by_namespace(gone), _by_namespace(fresh)
    namespaces = dict(before.namespaces)
    for name in left.keys() | come.keys():
        names = _names(before.namespaces.get(name), left.get(name, ()), come.get(name, ()))
        if names.exact or names.prefixes:
            namespaces[name] = names
        else:
            namespaces.pop(name, None)
    return namespaces


def client_keys(config: Config) -> Iterator[ClientKey]:
    """The client keys of a configuration."""
    return (entry for entry in config.entries.values() if isinstance(entry, ClientKey))

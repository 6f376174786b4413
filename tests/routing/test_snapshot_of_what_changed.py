"""A snapshot that is made from the one before is what one made from nothing would be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from sluicegate.config import (
    AmbientCredential,
    Config,
    Credential,
    CredentialEntry,
    Deployment,
    EchoUpstream,
    Entry,
    Pool,
    ReferencedCredential,
    SecretCredential,
    Sharing,
    UnresolvedCredential,
)
from sluicegate.routing.snapshot import Snapshot, Unavailable, build_steps

NAMESPACES = ("a", "b")
MODELS = ("m", "n", "n*")
CREDENTIALS = tuple(f"ak/{namespace}/c" for namespace in NAMESPACES)

Seen = dict[str, object]


def connect(deployment: Deployment, _: Credential) -> str:
    if deployment.weight == 7:
        raise Unavailable("it is not of this world")
    return deployment.name


def built(config: Config, previous: Snapshot[str] | None) -> Snapshot[str]:
    steps = build_steps(config, "0" * 12, 1, connect, previous)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


def seen(snapshot: Snapshot[str]) -> Seen:
    """All that a request could find out, without the identities."""
    return {
        "targets": {
            id_: (one.deployment, one.credential, one.connector, one.label, one.weight, one.seed)
            for id_, one in snapshot.targets.items()
        },
        "routes": {
            id_: (
                route.pool,
                [[one.deployment.id for one in tier] for tier in route.tiers],
                route.unavailable,
                route.single and route.single.deployment.id,
                route.prefix,
                route.audience,
            )
            for id_, route in snapshot.routes.items()
        },
        "own": {
            name: (dict(names_.exact), set(names_.prefixes)) == names_of(snapshot, name)
            for name, names_ in snapshot.namespaces.items()
        },
        "namespaces": set(snapshot.namespaces),
        "shared": {route.pool.id for route in snapshot.shared.exact.values()},
        "refused": dict(snapshot.refused),
    }


def names_of(snapshot: Snapshot[str], namespace: str) -> object:
    routes = [route for route in snapshot.routes.values() if route.pool.namespace == namespace]
    exact = {route.pool.model: route for route in routes if route.prefix is None}
    return exact, {route for route in routes if route.prefix is not None}


credentials: st.SearchStrategy[Credential] = st.one_of(
    st.just(AmbientCredential()),
    st.builds(ReferencedCredential, entry=st.sampled_from(CREDENTIALS)),
    st.builds(SecretCredential, value=st.sampled_from(("x", "y"))),
)
deployments = st.builds(
    Deployment,
    namespace=st.sampled_from(NAMESPACES),
    name=st.sampled_from(("d", "e", "f")),
    model=st.sampled_from(MODELS),
    upstream=st.just(EchoUpstream()),
    credential=credentials,
    weight=st.sampled_from((0, 1, 7)),
    priority=st.sampled_from((0, 1)),
    suspended=st.booleans(),
    sharing=st.sampled_from((Sharing(), Sharing("All"), Sharing("Names", ("b",)))),
)
entries = st.builds(
    CredentialEntry,
    namespace=st.sampled_from(NAMESPACES),
    name=st.just("c"),
    credential=st.sampled_from((SecretCredential("s"), UnresolvedCredential("it is not there"))),
)
changes = st.lists(
    st.lists(
        st.one_of(
            deployments, entries, st.sampled_from(("md/a/d", "md/b/e", "md/a/f", *CREDENTIALS))
        ),
        max_size=4,
    ),
    min_size=1,
    max_size=6,
)


def with_pools(made: Mapping[str, Entry], before: Mapping[str, Entry]) -> dict[str, Entry]:
    """Pools as compile makes them; an equal one stays the same object."""
    members: dict[tuple[str, str], list[Deployment]] = {}
    for entry in made.values():
        if isinstance(entry, Deployment):
            members.setdefault((entry.namespace, entry.model), []).append(entry)
    config = dict(made)
    for (namespace, model), found in members.items():
        names = tuple(sorted(one.name for one in found))
        # One name, one holder among those that are shared: compile sees to it.
        shared = namespace == "a" and any(one.sharing != Sharing() for one in found)
        pool: Entry = Pool(namespace=namespace, model=model, members=names, shared=shared)
        old = before.get(pool.id)
        config[pool.id] = old if old == pool and old is not None else pool
    return config


@settings(max_examples=300)
@given(changes)
def test_any_history_ends_in_what_the_last_configuration_says(
    history: Sequence[Sequence[Entry | str]],
) -> None:
    made: dict[str, Entry] = {}
    config: dict[str, Entry] = {}
    snapshot: Snapshot[str] | None = None
    for step in history:
        for change in step:
            if isinstance(change, str):
                made.pop(change, None)
            else:
                made[change.id] = change
        config = with_pools(made, config)
        before = snapshot
        snapshot = built(Config(config, {}), before)
        assert seen(snapshot) == seen(built(Config(config, {}), None))
        for id_, target in snapshot.targets.items():
            old = before.targets.get(id_) if before is not None else None
            if old is not None and (old.deployment, old.credential) == (
                target.deployment,
                target.credential,
            ):
                same = old.deployment is target.deployment and old.credential is target.credential
                assert (old is target) == same

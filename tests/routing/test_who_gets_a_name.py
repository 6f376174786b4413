"""Which pool a name means to whom: the rules of "Who gets a name"."""

from collections.abc import Iterable

import pytest

from sluicegate.config import (
    AmbientCredential,
    Config,
    Credential,
    Deployment,
    EchoUpstream,
    Entry,
    Pool,
    Sharing,
    UnresolvedCredential,
    entry_revision,
)
from sluicegate.routing.snapshot import Snapshot, build_steps

ALL = Sharing(source="All")
SAME = Sharing()
READY = AmbientCredential()
MISSING = UnresolvedCredential(reason="SecretNotFound")


def pool(
    namespace: str,
    model: str,
    sharing: Sharing = SAME,
    *,
    credential: Credential = READY,
    suspended: bool = False,
) -> list[Entry]:
    """A pool of one deployment."""
    name = model.rstrip("*-") + "-0"
    return [
        Deployment(
            namespace=namespace,
            name=name,
            model=model,
            upstream=EchoUpstream(),
            credential=credential,
            sharing=sharing,
            suspended=suspended,
        ),
        Pool(namespace=namespace, model=model, members=(name,), shared=sharing.source != "Same"),
    ]


def snapshot(*pools: Iterable[Entry]) -> Snapshot[str]:
    entries = {entry.id: entry for each in pools for entry in each}
    config = Config(entries, {id_: entry_revision(entry) for id_, entry in entries.items()})
    steps = build_steps(config, "0" * 12, 1, lambda deployment, _: deployment.name)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


def meant(made: Snapshot[str], namespace: str, model: str) -> tuple[str, str] | None:
    found = made.resolve(namespace, model)
    return None if found is None else (found[0].pool.id, found[1])


def listed(made: Snapshot[str], namespace: str) -> list[str]:
    return sorted(route.pool.id for route in made.visible(namespace))


def test_the_own_namespace_comes_first() -> None:
    made = snapshot(pool("a", "gpt"), pool("b", "gpt", ALL))
    assert meant(made, "a", "gpt") == ("pool/a/gpt", "gpt")
    assert meant(made, "c", "gpt") == ("pool/b/gpt", "gpt")
    assert meant(made, "a", "gpt@b") == ("pool/b/gpt", "gpt")


def test_exact_names_win_over_prefixes_and_longer_prefixes_over_shorter_ones() -> None:
    made = snapshot(pool("a", "gpt-*"), pool("a", "gpt-4*"), pool("a", "gpt-4.1"))
    assert meant(made, "a", "gpt-4.1") == ("pool/a/gpt-4.1", "gpt-4.1")
    assert meant(made, "a", "gpt-4.2") == ("pool/a/gpt-4*", "gpt-4.2")
    assert meant(made, "a", "gpt-5") == ("pool/a/gpt-*", "gpt-5")


def test_a_namespace_that_is_named_is_meant_whatever_prefixes_there_are() -> None:
    made = snapshot(pool("a", "own-*"), pool("zeta", "own-a", ALL))
    assert meant(made, "a", "own-a@zeta") == ("pool/zeta/own-a", "own-a")
    assert meant(made, "a", "own-b@zeta") is None


def test_an_at_sign_that_no_namespace_follows_is_part_of_the_name() -> None:
    made = snapshot(pool("a", "vertex/*"))
    assert meant(made, "a", "vertex/claude@20240620") == (
        "pool/a/vertex/*",
        "vertex/claude@20240620",
    )


@pytest.mark.parametrize("sharing", [SAME, Sharing(source="Names", names=("b",))])
@pytest.mark.parametrize(
    "state", [{}, {"credential": MISSING}, {"suspended": True}], ids=["up", "missing", "suspended"]
)
def test_what_is_not_for_a_namespace_is_not_there_for_it(
    sharing: Sharing, state: dict[str, bool]
) -> None:
    made = snapshot(pool("acme", "secret-x", sharing, **state))  # pyright: ignore[reportArgumentType] - a parametrised keyword
    assert meant(made, "other", "secret-x") is None
    assert meant(made, "other", "secret-x@acme") is None
    assert listed(made, "other") == []
    assert meant(made, "acme", "secret-x") == ("pool/acme/secret-x", "secret-x")
    assert listed(made, "acme") == ["pool/acme/secret-x"]


def test_a_shared_pool_out_of_service_keeps_its_name() -> None:
    made = snapshot(pool("acme", "gpt", ALL, suspended=True))
    assert meant(made, "other", "gpt") == ("pool/acme/gpt", "gpt")


def test_a_name_that_is_not_for_the_caller_hides_none_that_is() -> None:
    made = snapshot(
        pool("acme", "gpt-x", Sharing(source="Names", names=("b",))), pool("zeta", "gpt-*", ALL)
    )
    assert meant(made, "b", "gpt-x") == ("pool/acme/gpt-x", "gpt-x")
    assert meant(made, "other", "gpt-x") == ("pool/zeta/gpt-*", "gpt-x")
    assert listed(made, "other") == ["pool/zeta/gpt-*"]


def test_only_names_that_mean_the_listed_pool_are_listed() -> None:
    made = snapshot(pool("a", "own-*"), pool("zeta", "own-a", ALL), pool("zeta", "free", ALL))
    assert listed(made, "a") == ["pool/a/own-*", "pool/zeta/free"]
    assert listed(made, "zeta") == ["pool/zeta/free", "pool/zeta/own-a"]

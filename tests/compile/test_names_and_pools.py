"""Who gets a name, what a pool's members agree on, and where fallbacks lead."""

from __future__ import annotations

from manifest_objects import (
    compiled,
    condition,
    deployment,
    deployment_entry,
    entry,
    pool_entry,
)
from sluicegate.compile import Compilation, Settings
from sluicegate.resources import Resource, ResourceRef

SHARED = {"allowedNamespaces": {"from": "All"}}


def shared(name: str, namespace: str, model: str = "m") -> Resource:
    return deployment(name, namespace, {"model": model, **SHARED})


def falls_back(name: str, *models: str, namespace: str = "default") -> Resource:
    return deployment(
        name, namespace, {"pool": {"fallbacks": [{"model": model} for model in models]}}
    )


def fallbacks_of(compilation: Compilation, model: str, namespace: str = "default") -> list[str]:
    return [fallback.model for fallback in pool_entry(compilation, model, namespace).fallbacks]


def told(compilation: Compilation) -> set[ResourceRef]:
    """The objects about which there is anything to say."""
    return set(compilation.findings)


def test_a_shared_name_goes_to_the_smaller_namespace() -> None:
    first, second = shared("x", "b"), shared("y", "a")
    result = compiled(first, second)
    assert pool_entry(result, "m", "a").shared
    assert not pool_entry(result, "m", "b").shared
    assert condition(result, first) == ("False", "ModelNameTaken")
    assert condition(result, second) == ("True", "Valid")
    # It still serves its own namespace, and others as m@b.
    assert deployment_entry(result, "x", "b").sharing.source == "All"


def test_the_previous_holder_keeps_a_shared_name() -> None:
    holder, rival = shared("x", "b"), shared("y", "a")
    before = compiled(holder)
    for previous in (before, before.config):
        result = compiled(holder, rival, previous=previous)
        assert pool_entry(result, "m", "b").shared
        assert condition(result, rival) == ("False", "ModelNameTaken")
        assert result.changed == {"md/a/y", "pool/a/m"}


def test_a_name_that_is_given_up_goes_to_the_other() -> None:
    holder, rival = shared("x", "b"), shared("y", "a")
    both = compiled(holder, rival, previous=compiled(holder))
    result = compiled(rival, previous=both)
    assert pool_entry(result, "m", "a").shared
    assert condition(result, rival) == ("True", "Valid")


def test_a_pool_that_is_not_shared_takes_no_name() -> None:
    private, public = deployment("x", "a", {"model": "m"}), shared("y", "b")
    result = compiled(private, public)
    assert pool_entry(result, "m", "b").shared
    assert not pool_entry(result, "m", "a").shared
    assert condition(result, private) == ("True", "Valid")


def test_prefixes_are_names_too() -> None:
    result = compiled(shared("x", "a", "openai/*"), shared("y", "b", "openai/*"))
    assert pool_entry(result, "openai/*", "a").shared
    assert not pool_entry(result, "openai/*", "b").shared


def test_members_are_in_the_order_of_priority_and_name() -> None:
    result = compiled(
        deployment("c", spec={"model": "m"}),
        deployment("b", spec={"model": "m", "priority": 1}),
        deployment("a", spec={"model": "m", "priority": 1, "suspended": True}),
    )
    assert pool_entry(result, "m").members == ("c", "a", "b")


def test_members_need_not_repeat_the_policy() -> None:
    result = compiled(
        deployment("a", spec={"model": "m"}),
        deployment("b", spec={"model": "m", "pool": {"strategy": "LeastBusy"}}),
        deployment("c", spec={"model": "m", "pool": {"affinity": "ApiKey"}}),
    )
    pool = pool_entry(result, "m")
    assert (pool.strategy, pool.affinity, pool.fallbacks) == ("LeastBusy", "ApiKey", ())
    assert not told(result)


def test_of_policies_that_differ_the_first_by_priority_and_name_holds() -> None:
    loser = deployment("a", spec={"model": "m", "priority": 1, "pool": {"strategy": "LeastBusy"}})
    holder = deployment("z", spec={"model": "m", "pool": {"strategy": "LowestCost"}})
    result = compiled(loser, holder)
    assert pool_entry(result, "m").strategy == "LowestCost"
    assert condition(result, loser, "PoolConflict") == ("True", "PoolConflict")
    assert condition(result, loser) == ("True", "Valid")
    assert condition(result, holder, "PoolConflict") is None


def test_an_unknown_fallback_leaves_the_pool_working() -> None:
    each = falls_back("a", "nowhere")
    result = compiled(each)
    assert condition(result, each, "ResolvedRefs") == ("False", "FallbackNotFound")
    assert condition(result, each) == ("True", "Valid")
    assert fallbacks_of(result, "a") == ["nowhere"]
    healed = compiled(each, deployment("nowhere"), previous=result)
    assert condition(healed, each, "ResolvedRefs") == ("True", "Resolved")
    assert healed.changed == {"md/default/nowhere", "pool/default/nowhere"}


def test_a_fallback_is_resolved_as_if_the_pools_own_namespace_had_asked() -> None:
    asking = falls_back("a", "m", namespace="team")
    names = deployment(
        "x", "b", {"model": "m", "allowedNamespaces": {"from": "Names", "names": ["team"]}}
    )
    private = deployment("x", "b", {"model": "m"})
    others = deployment(
        "x", "b", {"model": "m", "allowedNamespaces": {"from": "Names", "names": ["z"]}}
    )
    prefix = deployment("x", "b", {"model": "m*", **SHARED})
    for other, found in ((names, True), (private, False), (others, False), (prefix, True)):
        result = compiled(asking, other)
        status = condition(result, asking, "ResolvedRefs")
        assert status == (("True", "Resolved") if found else ("False", "FallbackNotFound"))


def test_a_fallback_may_name_its_namespace() -> None:
    result = compiled(falls_back("a", "m@b", namespace="team"), shared("x", "a"), shared("y", "b"))
    assert not [ref for ref in told(result) if ref.namespace == "team"]


def test_of_a_circle_the_newest_edge_is_left_out() -> None:
    first = compiled(falls_back("a", "b"), deployment("b"))
    closing = falls_back("b", "a")
    result = compiled(falls_back("a", "b"), closing, previous=first)
    assert condition(result, closing) == ("False", "FallbackLoop")
    assert fallbacks_of(result, "b") == []
    assert fallbacks_of(result, "a") == ["b"]
    assert condition(result, falls_back("a", "b")) == ("True", "Valid")
    opened = compiled(deployment("a"), closing, previous=result)
    assert condition(opened, closing) == ("True", "Valid")
    assert fallbacks_of(opened, "b") == ["a"]


def test_of_a_circle_without_a_past_one_edge_is_left_out() -> None:
    result = compiled(
        falls_back("a", "b"), falls_back("b", "c"), falls_back("c", "q", "a"), deployment("q")
    )
    assert fallbacks_of(result, "a") == ["b"]
    assert fallbacks_of(result, "b") == ["c"]
    assert fallbacks_of(result, "c") == ["q"]


def test_a_pool_that_serves_its_own_fallback_is_a_circle() -> None:
    each = deployment("a", spec={"model": "m/*", "pool": {"fallbacks": [{"model": "m/1"}]}})
    result = compiled(each)
    assert condition(result, each) == ("False", "FallbackLoop")
    assert fallbacks_of(result, "m/*") == []


def test_a_long_chain_of_fallbacks_is_no_circle() -> None:
    chain = [falls_back(f"n{number}", f"n{number + 1}") for number in range(300)]
    result = compiled(*chain, deployment("n300"))
    assert not told(result)
    closed = compiled(*chain, falls_back("n300", "n0"), previous=result)
    assert [ref.name for ref in told(closed)] == ["n300"]


def test_sharing_is_for_the_namespaces_named_for_it() -> None:
    settings = Settings.cluster("config")
    allowed, refused = shared("x", "config"), shared("x", "team")
    result = compiled(allowed, refused, settings=settings)
    assert condition(result, allowed) == ("True", "Valid")
    assert condition(result, refused) == ("False", "SharingNotAllowed")
    assert deployment_entry(result, "x", "team").sharing.source == "Same"
    assert not pool_entry(result, "m", "team").shared


def test_a_pool_without_members_is_gone() -> None:
    before = compiled(deployment("a", spec={"model": "m"}), deployment("b", spec={"model": "m"}))
    moved = deployment("b", spec={"model": "n"})
    result = compiled(moved, previous=before)
    assert entry(result, "pool/default/m") is None
    assert result.changed == {
        "md/default/a",
        "md/default/b",
        "pool/default/m",
        "pool/default/n",
    }

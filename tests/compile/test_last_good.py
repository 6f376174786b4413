"""What a broken object keeps, and what fails closed."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from manifest_objects import (
    NOW,
    api_key,
    client,
    compiled,
    condition,
    deployment,
    deployment_entry,
    entry,
    hash_of,
    openai,
    pool_entry,
    resource,
    secret,
)
from sluicegate.compile import Compilation
from sluicegate.config import ClientKey, CredentialEntry, SecretCredential, UnresolvedCredential
from sluicegate.resources import Resource, Secret

UP = {"upstream": {"secretRef": {"name": "s", "key": "k"}}}


def client_entry(compilation: Compilation, name: str) -> ClientKey | None:
    found = entry(compilation, f"ak/default/{name}")
    assert found is None or isinstance(found, ClientKey)
    return found


def test_a_deployment_that_no_longer_compiles_keeps_its_entry_and_says_so() -> None:
    good = deployment("a", spec={"model": "m", "weight": 7, "pool": {"strategy": "LeastBusy"}})
    bad = deployment("a", spec={"model": "m2", "weight": "heavy"})
    before = compiled(good)
    for previous in (before, before.config):
        result = compiled(bad, previous=previous)
        assert result.changed == frozenset()
        assert deployment_entry(result, "a").weight == 7
        assert pool_entry(result, "m").strategy == "LeastBusy"
        assert condition(result, bad) == ("False", "InvalidSpec")
        message = result.conditions(bad.ref)[0].message
        assert "spec.weight: weight must be a whole number" in message
        assert "last good version is still served" in message


def test_a_deployment_that_never_compiled_has_no_entry() -> None:
    bad = deployment("a", spec={"weight": -1})
    result = compiled(bad)
    assert result.config.entries == {}
    assert condition(result, bad) == ("False", "InvalidSpec")
    assert "last good" not in result.conditions(bad.ref)[0].message


@pytest.mark.parametrize(
    ("newest", "sharing", "suspended"),
    [
        ({}, "Same", False),
        ({"allowedNamespaces": {"from": "Same"}}, "Same", False),
        (
            {"allowedNamespaces": {"from": "Names", "names": ["b"]}, "suspended": True},
            "Names",
            True,
        ),
        ({"allowedNamespaces": {"from": "Everybody"}, "suspended": True}, "Same", True),
        ({"allowedNamespaces": 7, "suspended": "no"}, "Same", True),
    ],
)
def test_grants_come_from_the_newest_spec_even_if_another_field_is_invalid(
    newest: dict[str, Any], sharing: str, suspended: bool
) -> None:
    good = deployment(
        "a", spec={"allowedNamespaces": {"from": "All"}, "suspended": "no" in str(newest)}
    )
    bad = deployment("a", spec={**newest, "weight": -1})
    found = deployment_entry(compiled(bad, previous=compiled(good)), "a")
    assert (found.sharing.source, found.suspended) == (sharing, suspended)


def test_a_last_good_deployment_looks_its_secret_up_again() -> None:
    good = openai("a", spec={"credentials": {"secretRef": {"name": "s", "key": "k"}}})
    bad = openai("a", spec={"weight": -1})
    before = compiled(good, secret("s", {"k": "sk-1"}))
    rotated = compiled(bad, secret("s", {"k": "sk-2"}), previous=before.config)
    assert deployment_entry(rotated, "a").credential == SecretCredential("sk-2", "Secret/s/k")
    gone = compiled(bad, previous=rotated.config)
    assert deployment_entry(gone, "a").credential == UnresolvedCredential(
        "SecretNotFound", "Secret/s/k"
    )
    back = compiled(bad, secret("s", {"k": "sk-3"}), previous=gone)
    assert deployment_entry(back, "a").credential == SecretCredential("sk-3", "Secret/s/k")


def test_an_invalid_client_key_is_out_at_once() -> None:
    before = compiled(client("k"), client("other"))
    bad = client("k", spec={"limits": {"requestsPerMinute": 0}})
    result = compiled(bad, client("other"), previous=before)
    assert client_entry(result, "k") is None
    assert client_entry(result, "other") is not None
    assert result.changed == {"ak/default/k"}
    assert condition(result, bad) == ("False", "InvalidSpec")


def test_an_invalid_client_key_that_is_revoked_is_still_refused_by_name() -> None:
    before = compiled(client("k"))
    revoked = client("k", spec={"revoked": True, "limits": 7})
    found = client_entry(compiled(revoked, previous=before), "k")
    assert found is not None
    assert found.revoked
    expired = client("k", spec={"expiresAt": "2020-01-01T00:00:00Z", "limits": 7})
    found = client_entry(compiled(expired, previous=before), "k")
    assert found is not None
    assert found.expires_at is not None
    assert found.expires_at < NOW


def test_a_client_key_whose_secret_is_gone_is_out_at_once() -> None:
    each = client("k", spec={"secretRef": {"name": "s", "key": "k"}})
    before = compiled(each, secret("s", {"k": "0123456789abcdef"}))
    assert client_entry(before, "k") is not None
    result = compiled(each, previous=before)
    assert client_entry(result, "k") is None
    assert condition(result, each, "ResolvedRefs") == ("False", "SecretNotFound")
    emptied = compiled(each, secret("s", {}), previous=before)
    assert client_entry(emptied, "k") is None
    assert condition(emptied, each, "ResolvedRefs") == ("False", "SecretKeyMissing")


def test_an_upstream_key_keeps_its_credential_as_the_secret_is_now() -> None:
    before = compiled(api_key("u", UP), secret("s", {"k": "sk-1"}))
    bad = api_key("u", {"upstream": {**UP["upstream"], "typo": 1}})
    rotated = compiled(bad, secret("s", {"k": "sk-2"}), previous=before)
    found = entry(rotated, "ak/default/u")
    assert isinstance(found, CredentialEntry)
    assert found.credential == SecretCredential("sk-2", "Secret/s/k")
    gone = entry(compiled(bad, previous=rotated), "ak/default/u")
    assert isinstance(gone, CredentialEntry)
    assert isinstance(gone.credential, UnresolvedCredential)


def test_an_upstream_key_that_becomes_a_client_key_keeps_nothing() -> None:
    before = compiled(api_key("u", UP), secret("s", {"k": "sk-1"}))
    both = api_key("u", {**UP, "client": {"keyHash": hash_of("x")}})
    assert (
        entry(compiled(both, secret("s", {"k": "sk-1"}), previous=before), "ak/default/u") is None
    )


def test_deleting_a_broken_object_deletes_its_entry() -> None:
    before = compiled(deployment("a"))
    broken = compiled(deployment("a", spec={"weight": -1}), previous=before)
    assert compiled(previous=broken).config.entries == {}


def world() -> list[Resource | Secret]:
    return [
        deployment("a", spec={"model": "m", "pool": {"fallbacks": [{"model": "n"}]}}),
        openai("b", spec={"model": "n", "credentials": {"apiKeyRef": {"name": "u"}}}),
        deployment("c", "team", {"model": "m", "allowedNamespaces": {"from": "All"}}),
        api_key("u", UP),
        secret("s", {"k": "sk-1"}),
        client("k"),
        client("k2", "team"),
    ]


specs = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-5, 5), st.text(max_size=5)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(
                ["client", "upstream", "provider", "model", "pool", "echo", "revoked", "x"]
            ),
            inner,
            max_size=3,
        ),
    ),
    max_leaves=8,
)


@given(st.sampled_from(["ModelDeployment", "ApiKey"]), specs)
def test_a_broken_object_never_affects_another(kind: str, spec: object) -> None:
    """An object of its own namespace, name and model, whatever its spec says."""
    before = compiled(*world())
    stranger = resource(kind, "stranger", spec, "elsewhere")
    result = compiled(*world(), stranger, previous=before)
    assert {entry_id for entry_id in result.changed if "/elsewhere/" not in entry_id} == set()
    for ref, findings in before.findings.items():
        assert result.findings[ref] == findings
    assert {ref for ref in result.findings if ref != stranger.ref} == set(before.findings)

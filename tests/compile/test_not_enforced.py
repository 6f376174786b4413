"""Fields that have no effect in this version: said once each, and nothing else changes."""

from __future__ import annotations

from typing import Any

import pytest

from manifest_objects import client, compiled, deployment, entry, hash_of
from sluicegate.resources import Resource

LIMITS = {"requestsPerMinute": 5}
BUDGET = {"amountUSD": "1.00", "period": "1d"}
SHARED = {"from": "All", "perNamespace": {"limits": LIMITS}}
NOT_SET: tuple[dict[str, Any], ...] = (
    {},
    {"allowedNamespaces": {"from": "All"}, "retry": {"attempts": 3}, "timeouts": {"total": "1m"}},
    {"pool": {"strategy": "LeastBusy", "fallbacks": [{"model": "b"}], "affinity": "ApiKey"}},
    {"cooldown": {"failures": 3, "duration": "5s"}},
    {"weight": 3, "priority": 1, "pricing": {"input": "1"}, "headers": {"x-a": "b"}},
)


def said(each: Resource) -> list[tuple[str, str]]:
    return [
        (found.field, found.severity)
        for found in compiled(each).diagnostics()
        if found.reason == "NotEnforced"
    ]


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        ({"limits": LIMITS}, "spec.limits"),
        ({"allowedNamespaces": SHARED}, "spec.allowedNamespaces.perNamespace"),
    ],
)
def test_a_deployments_field_without_effect_is_a_warning(spec: dict[str, Any], field: str) -> None:
    assert said(deployment("a", spec=spec)) == [(field, "warning")]


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        ({"limits": LIMITS}, "spec.client.limits"),
        ({"budget": BUDGET}, "spec.client.budget"),
        ({"endUsers": {"required": True}}, "spec.client.endUsers"),
    ],
)
def test_a_client_keys_field_without_effect_is_a_warning(spec: dict[str, Any], field: str) -> None:
    assert said(client("k", spec=spec)) == [(field, "warning")]


@pytest.mark.parametrize("spec", NOT_SET)
def test_nothing_is_said_of_a_deployment_whose_fields_all_hold(spec: dict[str, Any]) -> None:
    assert said(deployment("a", spec=spec)) == []


def test_nothing_is_said_of_a_client_key_whose_fields_all_hold() -> None:
    spec = {"tags": {"team": "a"}, "models": ["m"], "revoked": False}
    assert said(client("k", spec=spec)) == []


def test_all_are_said_and_the_objects_are_as_good_as_any() -> None:
    limited = deployment(
        "a", spec={"limits": LIMITS, "allowedNamespaces": SHARED, "pool": {"affinity": "EndUser"}}
    )
    key = client("k", spec={"keyHash": hash_of("k"), "limits": LIMITS, "budget": BUDGET})
    result = compiled(limited, key)
    assert len(result.findings[limited.ref]) == 2
    assert len(result.findings[key.ref]) == 2
    for each in (limited, key):
        conditions = result.conditions(each.ref)
        assert [(found.type, found.status) for found in conditions] == [
            ("Accepted", "True"),
            ("ResolvedRefs", "True"),
        ]
    assert entry(result, "ak/default/k") is not None
    messages = {found.message for found in result.diagnostics()}
    assert (
        "limits are not enforced by this version: the field is checked, and has no effect yet"
        in (messages)
    )


def test_it_is_over_with_the_field() -> None:
    before = compiled(deployment("a", spec={"limits": LIMITS}))
    assert not compiled(deployment("a"), previous=before).findings

"""What speaks against an object is gone: it is Ready when every gateway serves it without that."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cluster_identities import make_namespace
from operated_cluster import Object, OperatedCluster, condition, is_ready, reason
from sluicegate.cluster import API_KEYS, MODEL_DEPLOYMENTS

MD = MODEL_DEPLOYMENTS
OPENAI = {"openai": {"model": "m", "baseURL": "https://api.example.com/v1"}}

pytestmark = pytest.mark.usefixtures("crds")


def served(found: Object) -> bool:
    return reason(found, "Programmed") == "Converged"


def resolved(found: Object) -> bool:
    return condition(found, "ResolvedRefs")["status"] == "True"


async def test_a_credential_that_comes_is_served_before_its_users_are_ready(
    cluster: OperatedCluster,
) -> None:
    await cluster.start_operator()
    [gateway] = await cluster.start_gateways(1)
    upstream = {"secretRef": {"name": "late", "key": "token"}}
    await cluster.apply(API_KEYS, "provider", {"upstream": upstream})
    await cluster.deployment("a", provider=OPENAI, credentials={"apiKeyRef": {"name": "provider"}})
    await cluster.until(MD, "a", lambda o: reason(o) == "SecretNotFound")
    await cluster.until(MD, "a", served)
    gateway.holds = True
    await cluster.secret("late", token="sk-1234567890123456")
    found = await cluster.until(MD, "a", resolved)
    assert not is_ready(found), found["status"]
    gateway.holds = False
    await cluster.ready("a")


async def test_a_fallback_that_comes_is_served_before_its_users_are_ready(
    cluster: OperatedCluster,
) -> None:
    await cluster.start_operator()
    [gateway] = await cluster.start_gateways(1)
    await cluster.deployment("a", pool={"fallbacks": [{"model": "late"}]})
    await cluster.until(MD, "a", lambda o: reason(o) == "FallbackNotFound")
    await cluster.until(MD, "a", served)
    gateway.holds = True
    await cluster.deployment("late")
    found = await cluster.until(MD, "a", resolved)
    assert not is_ready(found), found["status"]
    gateway.holds = False
    await cluster.ready("a")


async def test_a_name_that_is_free_again_is_served_before_its_next_holder_is_ready(
    cluster: OperatedCluster,
) -> None:
    other = replace(cluster, namespace=f"{cluster.namespace}-z")
    await make_namespace(cluster.admin, other.namespace)
    names = (cluster.namespace, other.namespace)
    watched = [f"--watch-namespace={name}" for name in names]
    await cluster.start_operator(*watched, *(f"--sharing-namespace={name}" for name in names))
    [gateway] = await cluster.start_gateways(1)
    await cluster.deployment("a", model="m", allowedNamespaces={"from": "All"})
    await cluster.ready("a")
    await other.deployment("z", model="m", allowedNamespaces={"from": "All"})
    await other.until(MD, "z", lambda o: reason(o) == "ModelNameTaken" and served(o))
    gateway.holds = True
    await cluster.admin.delete(MD, "a", namespace=cluster.namespace)
    found = await other.until(MD, "z", lambda o: condition(o, "Accepted")["status"] == "True")
    assert not is_ready(found), found["status"]
    gateway.holds = False
    await other.ready("z")

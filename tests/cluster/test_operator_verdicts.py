"""What speaks against an object is gone: it is Ready when every gateway serves it without that."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator
from dataclasses import replace

import pytest

from cluster_identities import make_namespace
from lease_gateway import LeaseGateway
from operated_cluster import Object, OperatedCluster, condition, is_ready, reason
from sluicegate.cluster import API_KEYS, MODEL_DEPLOYMENTS

MD = MODEL_DEPLOYMENTS
OPENAI = {"openai": {"model": "m", "baseURL": "https://api.example.com/v1"}}

pytestmark = pytest.mark.usefixtures("crds")


def served(found: Object) -> bool:
    return reason(found, "Programmed") == "Converged"


@contextlib.asynccontextmanager
async def mended(
    cluster: OperatedCluster, name: str, kind: str, gateway: LeaseGateway
) -> AsyncGenerator[None]:
    """What is done within mends the condition; Ready follows when the gateway has taken it."""
    gateway.holds = True
    yield
    found = await cluster.until(MD, name, lambda o: condition(o, kind)["status"] == "True")
    assert not is_ready(found), found["status"]
    gateway.holds = False
    await cluster.ready(name)


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
    async with mended(cluster, "a", "ResolvedRefs", gateway):
        await cluster.secret("late", token="sk-1234567890123456")


async def test_a_fallback_that_comes_is_served_before_its_users_are_ready(
    cluster: OperatedCluster,
) -> None:
    await cluster.start_operator()
    [gateway] = await cluster.start_gateways(1)
    await cluster.deployment("a", pool={"fallbacks": [{"model": "late"}]})
    await cluster.until(MD, "a", lambda o: reason(o) == "FallbackNotFound")
    await cluster.until(MD, "a", served)
    async with mended(cluster, "a", "ResolvedRefs", gateway):
        await cluster.deployment("late")


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
    async with mended(other, "z", "Accepted", gateway):
        await cluster.admin.delete(MD, "a", namespace=cluster.namespace)

"""What a tenant may try with the two kinds: each gets a condition, and nothing else."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cluster_identities import make_namespace
from operated_cluster import OperatedCluster, condition, reason
from sluicegate.cluster import API_KEYS, MODEL_DEPLOYMENTS, SECRETS, Selection
from sluicegate.config import canonical

pytestmark = pytest.mark.usefixtures("crds")
FOREIGN_VALUE = "sk-the-secret-of-another"
MINE = "https://mine.example.com/v1"


@pytest.fixture
async def tenant(cluster: OperatedCluster) -> OperatedCluster:
    """A namespace beside the one with the operator and the gateway."""
    namespace = f"{cluster.namespace}-tenant"
    await make_namespace(cluster.admin, namespace)
    await cluster.secret("another", token=FOREIGN_VALUE)
    await cluster.start_gateways(1)
    await cluster.start_operator(f"--watch-namespace={namespace}")
    return replace(cluster, namespace=namespace)


def openai(base_url: str | None = None) -> dict[str, object]:
    more = {} if base_url is None else {"baseURL": base_url}
    return {"openai": {"model": "m", **more}}


def served(tenant: OperatedCluster) -> bytes:
    """All that the gateway has of the tenant's."""
    entries = tenant.gateways[0].config.entries
    prefix = f"md/{tenant.namespace}/"
    return b"".join(canonical(entries[one]) for one in entries if one.startswith(prefix))


@pytest.mark.parametrize(
    ("provider", "credentials", "expected"),
    [
        (
            openai("https://mine.example.com/v1"),
            {"name": "another", "key": "token"},
            "SecretNotFound",
        ),
        (openai(), {"name": "plain", "key": "token"}, "SecretNotLabelled"),
        (openai(), None, "AmbientNotAllowed"),
        (openai(MINE), None, "AmbientNotAllowed"),
        (openai("http://10.0.0.1/v1"), {"name": "own", "key": "token"}, "AddressNotAllowed"),
        (openai("http://[fd00::1]/v1"), {"name": "own", "key": "token"}, "AddressNotAllowed"),
        (openai("http://localhost/v1"), {"name": "own", "key": "token"}, "AddressNotAllowed"),
        (
            openai("http://kubernetes.default.svc/v1"),
            {"name": "own", "key": "token"},
            "AddressNotAllowed",
        ),
    ],
)
async def test_a_deployment_reaches_no_further_than_its_namespace(
    tenant: OperatedCluster,
    provider: dict[str, object],
    credentials: dict[str, str] | None,
    expected: str,
) -> None:
    await tenant.secret("own", token="sk-of-the-tenant-itself")
    await tenant.secret("plain", labelled=False, token="sk-not-meant-for-this")
    more = {} if credentials is None else {"credentials": {"secretRef": credentials}}
    await tenant.deployment("a", provider=provider, **more)
    found = await tenant.until(
        MODEL_DEPLOYMENTS, "a", lambda o: reason(o) not in {"", "Pending", "Waiting"}
    )
    assert reason(found) == expected
    assert condition(found, "Ready")["status"] == "False"
    for secret in (FOREIGN_VALUE, "sk-not-meant-for-this"):
        assert secret.encode() not in served(tenant)


async def test_a_tenant_can_share_with_nobody(tenant: OperatedCluster) -> None:
    await tenant.deployment("a", allowedNamespaces={"from": "All"})
    await tenant.until(MODEL_DEPLOYMENTS, "a", lambda o: reason(o) == "SharingNotAllowed")


async def test_a_credential_that_reads_files_is_refused(tenant: OperatedCluster) -> None:
    reading = '{"type": "external_account", "credential_source": {"file": "/etc/passwd"}}'
    await tenant.secret("gcp", json=reading)
    google = {"google": {"secretRef": {"name": "gcp", "key": "json"}}}
    await tenant.apply(API_KEYS, "gcp", {"upstream": google})
    await tenant.until(API_KEYS, "gcp", lambda o: reason(o) == "AmbientNotAllowed")


async def test_the_bundle_is_nobodys_credential(cluster: OperatedCluster) -> None:
    [gateway] = await cluster.start_gateways(1)
    await cluster.start_operator("--no-require-label")
    credentials = {"secretRef": {"name": "sluicegate", "key": "index"}}
    await cluster.deployment("a", provider=openai(), credentials=credentials)
    await cluster.until(MODEL_DEPLOYMENTS, "a", lambda o: reason(o) == "SecretKeyMissing")
    await cluster.key("k", generate={"secretName": "sluicegate-07"})
    await cluster.until(API_KEYS, "k", lambda o: reason(o) == "SecretExists")
    selection = _named(cluster.namespace, "sluicegate-07")
    selected = [one async for one in cluster.admin.pages(SECRETS, selection)]
    assert sum(len(page.items) for page in selected) == 0
    assert gateway.sequences


def _named(namespace: str, name: str) -> Selection:
    return Selection(namespace, field_selector=f"metadata.name={name}")

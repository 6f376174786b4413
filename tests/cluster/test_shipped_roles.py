"""The roles and policies of examples/cluster: what each identity needs, and each attack refused."""

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator

import pytest

from cluster_identities import make_pod, make_service_account, service_account_token, speaking_with
from control_plane import ControlPlane
from sluicegate.cluster import (
    API_KEYS,
    DEPLOYMENTS,
    EVENTS,
    LEASES,
    MODEL_DEPLOYMENTS,
    PODS,
    SECRETS,
    ClusterClient,
    Forbidden,
    Lease,
    Metadata,
    NotFound,
    ResourceType,
    Selection,
)

MANAGED_BY = "app.kubernetes.io/managed-by"
OURS = {MANAGED_BY: "sluicegate"}
BUNDLE = ["sluicegate", *(f"sluicegate-{shard:02}" for shard in range(16))]
POLICY = "ValidatingAdmissionPolicy"
RBAC = "cannot"


def secret(name: str, labels: dict[str, str], **fields: object) -> dict[str, object]:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "labels": labels, **fields},
        "data": {},
    }


def lease(name: str, pod_uid: str | None) -> dict[str, object]:
    owner = {"apiVersion": "v1", "kind": "Pod", "name": "any", "uid": pod_uid}
    return {
        "apiVersion": LEASES.api_version,
        "kind": "Lease",
        "metadata": {"name": name, "ownerReferences": [] if pod_uid is None else [owner]},
    }


async def list_all(client: ClusterClient, resource: ResourceType, selection: Selection) -> int:
    return sum([len(page.items) async for page in client.pages(resource, selection)])


@pytest.fixture
async def gateway(
    control_plane: ControlPlane, admin: ClusterClient, installed: str
) -> AsyncIterator[ClusterClient]:
    """As the pod gateway-0."""
    async with pod_client(control_plane, admin, installed, "gateway-0") as client:
        yield client


@pytest.fixture
async def operator(
    control_plane: ControlPlane, admin: ClusterClient, installed: str
) -> AsyncIterator[ClusterClient]:
    token = await service_account_token(admin, installed, "sluicegate-operator")
    async with speaking_with(control_plane, token, installed) as client:
        yield client


@contextlib.asynccontextmanager
async def pod_client(
    plane: ControlPlane, admin: ClusterClient, namespace: str, pod: str
) -> AsyncGenerator[ClusterClient]:
    await make_pod(admin, namespace, pod, service_account="sluicegate-gateway")
    token = await service_account_token(admin, namespace, "sluicegate-gateway", pod=pod)
    async with speaking_with(plane, token, namespace) as client:
        yield client


async def uid_of(admin: ClusterClient, namespace: str, pod: str) -> str:
    return (await admin.get(PODS, pod, Metadata, namespace=namespace)).metadata.uid


async def test_a_gateway_reads_the_bundle_and_no_other_secret(
    gateway: ClusterClient, admin: ClusterClient, installed: str
) -> None:
    for name in (*BUNDLE, "sluicegate-16", "tenant"):
        await admin.create(SECRETS, secret(name, {}), Metadata, namespace=installed)
    for name in BUNDLE:
        await gateway.get(SECRETS, name, Metadata, namespace=installed)
    index = Selection(installed, field_selector="metadata.name=sluicegate")
    assert await list_all(gateway, SECRETS, index) == 1
    async with gateway.watch(SECRETS, index, "", seconds=5, idle=5):
        pass
    for name in ("sluicegate-16", "tenant"):
        with pytest.raises(Forbidden, match=RBAC):
            await gateway.get(SECRETS, name, Metadata, namespace=installed)
    for name in ("sluicegate-00", "sluicegate-16", "tenant"):
        other = Selection(installed, field_selector=f"metadata.name={name}")
        with pytest.raises(Forbidden, match=RBAC):
            await list_all(gateway, SECRETS, other)
    for everything in (
        Selection(installed),
        Selection(installed, label_selector="a=b"),
        Selection(),
        Selection("default", field_selector="metadata.name=sluicegate"),
    ):
        with pytest.raises(Forbidden, match=RBAC):
            await list_all(gateway, SECRETS, everything)


async def test_a_gateway_changes_no_secret(
    gateway: ClusterClient, admin: ClusterClient, installed: str
) -> None:
    bundle = secret("sluicegate", OURS)
    await admin.create(SECRETS, bundle, Metadata, namespace=installed)
    with pytest.raises(Forbidden, match=RBAC):
        await gateway.apply(
            SECRETS, "sluicegate", bundle, Metadata, namespace=installed, manager="x"
        )
    with pytest.raises(Forbidden, match=RBAC):
        await gateway.replace(SECRETS, "sluicegate", bundle, Metadata, namespace=installed)
    with pytest.raises(Forbidden, match=RBAC):
        await gateway.delete(SECRETS, "sluicegate", namespace=installed)


async def test_a_gateway_writes_its_own_lease(
    gateway: ClusterClient, admin: ClusterClient, installed: str
) -> None:
    mine = lease("gateway-0", await uid_of(admin, installed, "gateway-0"))
    for _ in range(2):
        await gateway.apply(
            LEASES, "gateway-0", mine, Metadata, namespace=installed, manager="gateway"
        )
    await gateway.delete(LEASES, "gateway-0", namespace=installed)
    with pytest.raises(NotFound):
        await admin.get(LEASES, "gateway-0", Metadata, namespace=installed)


async def test_a_gateway_writes_no_other_pods_lease(
    control_plane: ControlPlane, gateway: ClusterClient, admin: ClusterClient, installed: str
) -> None:
    own_uid = await uid_of(admin, installed, "gateway-0")
    async with pod_client(control_plane, admin, installed, "gateway-1") as other:
        theirs = lease("gateway-1", await uid_of(admin, installed, "gateway-1"))
        # Not there yet, and there.
        for _ in range(2):
            for manifest in (theirs, lease("gateway-1", own_uid)):
                with pytest.raises(Forbidden, match=POLICY):
                    await gateway.apply(
                        LEASES, "gateway-1", manifest, Metadata, namespace=installed, manager="x"
                    )
            await other.apply(
                LEASES, "gateway-1", theirs, Metadata, namespace=installed, manager="gateway"
            )
        with pytest.raises(Forbidden, match=POLICY):
            await gateway.delete(LEASES, "gateway-1", namespace=installed)
        await admin.get(LEASES, "gateway-1", Metadata, namespace=installed)


async def test_a_gateways_lease_ends_with_its_pod(
    control_plane: ControlPlane, gateway: ClusterClient, admin: ClusterClient, installed: str
) -> None:
    async with pod_client(control_plane, admin, installed, "gateway-1"):
        foreign_uid = await uid_of(admin, installed, "gateway-1")
    for uid in (None, foreign_uid):
        with pytest.raises(Forbidden, match="ends with the pod"):
            await gateway.apply(
                LEASES,
                "gateway-0",
                lease("gateway-0", uid),
                Metadata,
                namespace=installed,
                manager="x",
            )


async def test_a_token_of_no_pod_writes_no_lease(
    control_plane: ControlPlane, admin: ClusterClient, installed: str
) -> None:
    token = await service_account_token(admin, installed, "sluicegate-gateway")
    async with speaking_with(control_plane, token, installed) as client:
        for name in ("gateway-0", "sluicegate-operator"):
            with pytest.raises(Forbidden, match=POLICY):
                await client.create(
                    LEASES, lease(name, "no-such-uid"), Metadata, namespace=installed
                )


async def test_a_gateway_has_no_other_rights(gateway: ClusterClient, installed: str) -> None:
    for resource in (MODEL_DEPLOYMENTS, API_KEYS, PODS, LEASES, DEPLOYMENTS):
        with pytest.raises(Forbidden, match=RBAC):
            await list_all(gateway, resource, Selection(installed))
    accounts = ResourceType("", "v1", "ServiceAccount", "serviceaccounts")
    with pytest.raises(Forbidden, match=RBAC):
        await gateway.create(
            accounts,
            {"spec": {}},
            Metadata,
            namespace=installed,
            name="sluicegate-operator",
            subresource="token",
        )


async def test_the_operator_writes_its_own_secrets(
    operator: ClusterClient, admin: ClusterClient, installed: str
) -> None:
    for place in (installed, "default"):  # the bundle; a key that a tenant's ApiKey asks for
        manifest = secret(f"ours-{installed}", OURS)
        await operator.create(SECRETS, manifest, Metadata, namespace=place)
        await operator.replace(SECRETS, f"ours-{installed}", manifest, Metadata, namespace=place)
        await admin.delete(SECRETS, f"ours-{installed}", namespace=place)


@pytest.mark.parametrize("labels", [{}, {MANAGED_BY: "Helm"}], ids=["unmarked", "another's"])
async def test_the_operator_writes_no_foreign_secret(
    operator: ClusterClient, admin: ClusterClient, installed: str, labels: dict[str, str]
) -> None:
    with pytest.raises(Forbidden, match=POLICY):
        await operator.create(SECRETS, secret("new", labels), Metadata, namespace=installed)
    await admin.create(SECRETS, secret("theirs", labels), Metadata, namespace=installed)
    for taken in (labels, OURS):  # as it is, and made its own on the way
        with pytest.raises(Forbidden, match=POLICY):
            await operator.replace(
                SECRETS, "theirs", secret("theirs", taken), Metadata, namespace=installed
            )
    await operator.create(SECRETS, secret("ours", OURS), Metadata, namespace=installed)
    with pytest.raises(Forbidden, match=POLICY):
        await operator.replace(
            SECRETS, "ours", secret("ours", labels), Metadata, namespace=installed
        )
    for name in ("theirs", "ours"):
        with pytest.raises(Forbidden, match=RBAC):
            await operator.delete(SECRETS, name, namespace=installed)
        with pytest.raises(Forbidden, match=RBAC):
            await operator.patch(SECRETS, name, {}, Metadata, namespace=installed)


async def test_the_operator_gets_no_token_by_way_of_a_secret(
    operator: ClusterClient, admin: ClusterClient, installed: str
) -> None:
    await make_service_account(admin, installed, "mighty")
    annotations = {"kubernetes.io/service-account.name": "mighty"}
    manifest = secret("token", OURS, annotations=annotations)
    manifest["type"] = "kubernetes.io/service-account-token"
    with pytest.raises(Forbidden, match="of the type Opaque"):
        await operator.create(SECRETS, manifest, Metadata, namespace=installed)


async def test_the_operator_leads_by_its_own_lease_alone(
    operator: ClusterClient, admin: ClusterClient, installed: str
) -> None:
    manifest = lease("sluicegate-operator", None)
    await operator.create(LEASES, manifest, Metadata, namespace=installed)
    manifest = await operator.get(LEASES, "sluicegate-operator", Lease, namespace=installed)
    await operator.replace(LEASES, "sluicegate-operator", manifest, Metadata, namespace=installed)
    await admin.create(LEASES, lease("gateway-0", None), Metadata, namespace=installed)
    assert await list_all(operator, LEASES, Selection(installed)) == 2
    with pytest.raises(Forbidden, match=RBAC):
        await operator.replace(
            LEASES, "gateway-0", lease("gateway-0", None), Metadata, namespace=installed
        )
    with pytest.raises(Forbidden, match=RBAC):
        await operator.delete(LEASES, "gateway-0", namespace=installed)
    with pytest.raises(Forbidden, match=RBAC):
        await list_all(operator, LEASES, Selection("default"))


async def test_the_operator_sees_what_it_needs_and_no_pods(
    operator: ClusterClient, installed: str
) -> None:
    marked = Selection(label_selector="sluicegate.dev/credential=true", metadata_only=True)
    await list_all(operator, SECRETS, marked)
    gateways = Selection(installed, field_selector="metadata.name=sluicegate-gateway")
    assert await list_all(operator, DEPLOYMENTS, gateways) == 1
    for resource, selection in ((DEPLOYMENTS, Selection(installed)), (PODS, Selection(installed))):
        with pytest.raises(Forbidden, match=RBAC):
            await list_all(operator, resource, selection)


async def test_the_operator_leaves_specs_alone(operator: ClusterClient, installed: str) -> None:
    for resource in (MODEL_DEPLOYMENTS, API_KEYS):
        with pytest.raises(Forbidden, match=RBAC):
            await operator.patch(resource, "any", {"spec": {}}, Metadata, namespace=installed)
        with pytest.raises(NotFound):  # it is allowed, but there is no such object
            await operator.patch(
                resource, "any", {"status": {}}, Metadata, namespace=installed, subresource="status"
            )


async def test_the_operator_makes_events(operator: ClusterClient, installed: str) -> None:
    event = {
        "metadata": {"generateName": "test-"},
        "eventTime": "2026-01-01T00:00:00.000000Z",
        "reportingController": "sluicegate-operator",
        "reportingInstance": "test",
        "action": "Test",
        "reason": "Test",
        "type": "Normal",
        "regarding": {"kind": "Secret", "name": "any", "namespace": installed},
    }
    await operator.create(EVENTS, event, Metadata, namespace=installed)
    with pytest.raises(Forbidden, match=RBAC):
        await list_all(operator, EVENTS, Selection(installed))

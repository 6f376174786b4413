"""The client against a real API server: what is written is read, and each refusal has its kind."""

import pytest

from sluicegate.cluster import (
    LEASES,
    SECRETS,
    AlreadyExists,
    ClusterClient,
    ClusterSecret,
    Conflict,
    Invalid,
    Lease,
    Metadata,
    NotFound,
    Selection,
)


def secret(name: str, value: str = "one", **metadata: object) -> dict[str, object]:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, **metadata},
        "stringData": {"entry": value},
    }


async def test_what_is_applied_is_read(admin: ClusterClient, namespace: str) -> None:
    applied = await admin.apply(
        SECRETS, "a", secret("a"), ClusterSecret, namespace=namespace, manager="tests"
    )
    read = await admin.get(SECRETS, "a", ClusterSecret, namespace=namespace)
    assert read == applied
    assert read.data == {"entry": b"one"}
    assert "one" not in repr(read)


async def test_writes_are_fenced_by_the_version(admin: ClusterClient, namespace: str) -> None:
    old = await admin.create(SECRETS, secret("a"), Metadata, namespace=namespace)
    version = old.metadata.resource_version
    fence = secret("a", "two", resourceVersion=version)
    await admin.replace(SECRETS, "a", fence, Metadata, namespace=namespace)
    with pytest.raises(Conflict):
        await admin.replace(SECRETS, "a", fence, Metadata, namespace=namespace)
    with pytest.raises(Conflict):
        await admin.patch(SECRETS, "a", fence, Metadata, namespace=namespace)
    with pytest.raises(Conflict):
        await admin.apply(SECRETS, "a", fence, Metadata, namespace=namespace, manager="tests")
    with pytest.raises(Conflict):
        await admin.delete(SECRETS, "a", namespace=namespace, resource_version=version)
    kept = await admin.get(SECRETS, "a", ClusterSecret, namespace=namespace)
    assert kept.data == {"entry": b"two"}


async def test_each_refusal_has_its_kind(admin: ClusterClient, namespace: str) -> None:
    with pytest.raises(NotFound, match="not found"):
        await admin.get(SECRETS, "absent", Metadata, namespace=namespace)
    await admin.create(SECRETS, secret("a"), Metadata, namespace=namespace)
    with pytest.raises(AlreadyExists):
        await admin.create(SECRETS, secret("a"), Metadata, namespace=namespace)
    with pytest.raises(Invalid, match="RFC 1123"):
        await admin.create(SECRETS, secret("No Name"), Metadata, namespace=namespace)


async def test_fields_of_another_manager_need_force(admin: ClusterClient, namespace: str) -> None:
    async def applied(holder: str, manager: str, *, force: bool) -> None:
        manifest = {
            "apiVersion": LEASES.api_version,
            "kind": "Lease",
            "metadata": {"name": "a"},
            "spec": {"holderIdentity": holder},
        }
        await admin.apply(
            LEASES, "a", manifest, Lease, namespace=namespace, manager=manager, force=force
        )

    await applied("one", "first", force=False)
    with pytest.raises(Conflict, match="conflict"):
        await applied("two", "second", force=False)
    await applied("two", "second", force=True)
    lease = await admin.get(LEASES, "a", Lease, namespace=namespace)
    assert lease.spec.holder_identity == "two"


async def test_a_list_comes_whole_and_of_one_version(admin: ClusterClient, namespace: str) -> None:
    names = [f"s-{number:03}" for number in range(25)]
    for name in names:
        await admin.create(SECRETS, secret(name), Metadata, namespace=namespace)
    pages = [page async for page in admin.pages(SECRETS, Selection(namespace), first=10)]
    assert [len(page.items) for page in pages] == [10, 15]
    assert len({page.resource_version for page in pages}) == 1
    assert all(b"data" in item for page in pages for item in page.items)


async def test_metadata_alone_never_brings_values(admin: ClusterClient, namespace: str) -> None:
    await admin.create(SECRETS, secret("a", "quite-secret"), Metadata, namespace=namespace)
    selection = Selection(namespace, metadata_only=True)
    (page,) = [page async for page in admin.pages(SECRETS, selection)]
    assert b'"name":"a"' in page.items[0]
    assert b'"data"' not in page.items[0]

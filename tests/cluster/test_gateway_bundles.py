"""Gateway processes on a real API server, each as the ServiceAccount of its own pod."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest

from bundle_secrets import large_config, plan, revision_of
from cluster_identities import (
    install,
    make_namespace,
    make_pod,
    service_account_kubeconfig,
)
from control_plane import ControlPlane
from eventually import eventually
from running_gateway import config_of, echo_entry, key_entry
from served_folder import Served, served
from sluicegate.bundle import (
    SecretData,
    Standing,
    index_data,
    secret_name,
    secret_names,
)
from sluicegate.cluster import (
    LEASES,
    SECRETS,
    ClusterClient,
    Lease,
    Metadata,
    NotFound,
    load_access,
)
from sluicegate.config import Config, EchoUpstream, Entry

ASK = b'{"model":"echo","input":"hi"}'
NAME = "sluicegate"


def saying(text: str, *more: Entry, revoked: bool = False) -> Config:
    key = msgspec.structs.replace(key_entry(), revoked=revoked)
    return config_of(key, echo_entry(EchoUpstream(text=text)), *more)


def many() -> tuple[Entry, ...]:
    """So many entries that the bundle has shards."""
    return tuple(large_config(keys=2000, deployments=200).entries.values())


@dataclass
class Site:
    """A namespace with the shipped roles, and an operator's hand that writes the bundle."""

    plane: ControlPlane
    admin: ClusterClient
    namespace: str
    folder: Path
    standing: Standing = field(default_factory=Standing.nothing)

    async def publish(self, config: Config, *, epoch: str = "epoch-1") -> None:
        publication = plan(self.standing, config, epoch=epoch)
        if publication is not None:
            await asyncio.gather(*map(self.write, publication.shards))
            await self.write(publication.index)
            self.standing = publication.standing

    async def write(self, secret: SecretData) -> None:
        name = secret_name(NAME, secret.number)
        manifest = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": name, "labels": {"app.kubernetes.io/managed-by": "sluicegate"}},
            "data": secret.data,
        }
        await self.admin.apply(
            SECRETS, name, manifest, Metadata, namespace=self.namespace, manager="tests"
        )

    async def forge(self, **fields: object) -> None:
        """An index that is like the current one but for these fields, its checksum right."""
        index, bundle = self.standing.index, self.standing.bundle
        assert index is not None
        assert bundle is not None
        text: dict[str, object] = msgspec.to_builtins(index)
        forged = msgspec.convert({**text, **fields}, type(index))
        await self.write(SecretData(None, index_data(forged, bundle.beside())))

    async def lease(self, pod: str) -> Lease | None:
        with contextlib.suppress(NotFound):
            return await self.admin.get(LEASES, pod, Lease, namespace=self.namespace)
        return None

    async def until_acknowledged(self, *pods: str) -> None:
        """Until each of them says that what was published last serves there."""
        index = self.standing.index
        assert index is not None

        async def does() -> bool:
            leases = [await self.lease(pod) for pod in pods]
            told = [lease.metadata.annotations if lease is not None else {} for lease in leases]
            return all(
                one.get("sluicegate.dev/sequence") == str(index.sequence)
                and one.get("sluicegate.dev/revision") == index.revision
                and "sluicegate.dev/config-error" not in one
                for one in told
            )

        await eventually(does)

    async def identity(self, pod: str) -> dict[str, str]:
        """The environment of a gateway in a new pod of this name."""
        account = "sluicegate-gateway"
        made = await make_pod(self.admin, self.namespace, pod, service_account=account)
        kubeconfig = await service_account_kubeconfig(
            self.plane, self.admin, self.namespace, account, pod=pod, folder=self.folder
        )
        return {
            "KUBECONFIG": str(kubeconfig),
            "SLUICEGATE_CLUSTER": "true",
            "SLUICEGATE_POD_NAME": pod,
            "SLUICEGATE_POD_UID": made.metadata.uid,
            "SLUICEGATE_STATE_DIR": str(self.folder / pod),
        }

    @contextlib.asynccontextmanager
    async def gateway(self, pod: str) -> AsyncGenerator[Served]:
        async with served(environ=await self.identity(pod)) as gateway:
            yield gateway


@pytest.fixture
async def site(
    control_plane: ControlPlane, admin: ClusterClient, installed: str, tmp_path: Path
) -> Site:
    return Site(control_plane, admin, installed, tmp_path)


@pytest.fixture
async def own_site(own_control_plane: ControlPlane, tmp_path: Path) -> AsyncIterator[Site]:
    """On a control plane of its own, to be broken."""
    environ = {"KUBECONFIG": str(own_control_plane.admin_kubeconfig)}
    async with ClusterClient(await asyncio.to_thread(load_access, environ)) as admin:
        await make_namespace(admin, "own")
        await install(own_control_plane, admin, "own")
        yield Site(own_control_plane, admin, "own", tmp_path)


async def said(gateway: Served) -> tuple[int, str, str]:
    """Status, text and revision of an answer."""
    answer = await gateway.post(ASK)
    if answer.status != 200:
        return answer.status, "", ""
    text = answer.json()["output"][0]["content"][0]["text"]
    return 200, text, answer.headers["x-sluicegate-config"]


async def until_said(gateway: Served, text: str) -> None:
    async def does() -> bool:
        return (await said(gateway))[1] == text

    await eventually(does)


async def readyz(gateway: Served) -> tuple[int, dict[str, Any]]:
    answer = await gateway.admin("/readyz")
    return answer.status, answer.json()["config"]


async def until_told(gateway: Served, *words: str) -> None:
    """Until /readyz speaks of all of these; without any, until it has nothing to tell."""

    async def does() -> bool:
        status, config = await readyz(gateway)
        problems = "\n".join(config.get("problems", ()))
        return status == 200 and all(w in problems for w in words) and bool(words) == bool(problems)

    await eventually(does)


# --- the ordinary life ----------------------------------------------------------------------------


@pytest.mark.parametrize("more", [(), many()], ids=["inline", "in shards"])
async def test_three_gateways_serve_what_is_published_and_say_so(
    site: Site, more: tuple[Entry, ...]
) -> None:
    pods = ("gateway-0", "gateway-1", "gateway-2")
    await site.publish(saying("one", *more))
    async with contextlib.AsyncExitStack() as stack:
        gateways = [await stack.enter_async_context(site.gateway(pod)) for pod in pods]
        await site.until_acknowledged(*pods)
        for text in ("two", "three"):
            config = saying(text, *more)
            await site.publish(config)
            await site.until_acknowledged(*pods)
            # Acknowledged means that it serves: no answer may be older from here on.
            for gateway in gateways:
                assert await said(gateway) == (200, text, revision_of(config))
        await site.publish(saying("three", *more, revoked=True))
        await site.until_acknowledged(*pods)
        assert [(await gateway.post(ASK)).status for gateway in gateways] == [401] * 3
        status, config = await readyz(gateways[0])
        assert (status, config["ok"], config["sequence"]) == (200, True, 4)
        assert (config["source"], config["epoch"]) == ("cluster", "epoch-1")
        assert config["bundle"] == f"{site.namespace}/{NAME}"
        lease = await site.lease("gateway-0")
        assert lease is not None
        assert lease.spec.holder_identity == "gateway-0"
        assert [owner.name for owner in lease.metadata.owner_references] == ["gateway-0"]
        for gateway in gateways:
            gateway.signal()
        assert [await gateway.exit_code() for gateway in gateways] == [0, 0, 0]
        assert [await site.lease(pod) for pod in pods] == [None, None, None]
        assert not any("Traceback" in line for gateway in gateways for line in gateway.log)
    refused = [e for e in site.plane.audit() if e.namespace == site.namespace and e.code == 403]
    assert [e for e in refused if e.user.endswith("gateway") and e.name != "nobodys"] == []


async def test_a_gateway_waits_for_the_first_bundle(site: Site) -> None:
    async with site.gateway("gateway-0") as gateway:
        status, config = await readyz(gateway)
        assert (status, config["ok"], config["sequence"]) == (503, False, 0)
        assert await site.lease("gateway-0") is None
        await site.publish(saying("first"))
        await until_said(gateway, "first")
        await until_told(gateway)
        await site.until_acknowledged("gateway-0")


# --- bundles that are not to be served ------------------------------------------------------------


async def test_through_any_bad_bundle_the_last_good_one_serves(site: Site) -> None:
    more = many()
    await site.publish(saying("good", *more))
    async with site.gateway("gateway-0") as gateway:

        async def goes_on(*words: str) -> None:
            await until_told(gateway, *words)
            assert (await said(gateway))[:2] == (200, "good")

        await site.forge(schemaVersion=7, sequence=100)
        await goes_on("schemaVersion 7", "sequence 1 still serves")
        await site.forge(revision="0123456789ab", sequence=100, inline=True)
        await goes_on("not those of the index's revision")
        await site.publish(saying("good again", *more))
        await until_said(gateway, "good again")
        await until_told(gateway)
        await site.forge(sequence=1)
        await until_told(gateway, "the bundle has sequence 1; 2 serves")

        publication = plan(site.standing, saying("torn", *more), fold=True)
        assert publication is not None
        await site.write(publication.index)
        await until_told(gateway, "does not hold what the index names")
        (shard,) = publication.shards
        spoiled = {name: octets[:-8] + bytes(8) for name, octets in shard.data.items()}
        await site.write(SecretData(shard.number, spoiled))
        await until_told(gateway, "a shard can't be expanded")
        assert (await said(gateway))[:2] == (200, "good again")

        async def refusal_is_told() -> bool:
            lease = await site.lease("gateway-0")
            said = lease.metadata.annotations if lease is not None else {}
            refused = "sluicegate.dev/config-error" in said
            return refused and said["sluicegate.dev/sequence"] == "2"

        await eventually(refusal_is_told)

        for name in secret_names(NAME):
            await site.admin.delete(SECRETS, name, namespace=site.namespace)
        await until_told(gateway, "there is no such Secret", "sequence 2 still serves")
        assert (await said(gateway))[:2] == (200, "good again")
        site.standing = Standing.nothing()
        await site.publish(saying("anew", *more), epoch="epoch-2")
        await until_said(gateway, "anew")
        await until_told(gateway)


# --- the API server is away -----------------------------------------------------------------------


@pytest.mark.parametrize("more", [(), many()], ids=["inline", "in shards"])
async def test_the_api_server_is_killed_and_no_request_fails(
    own_site: Site, more: tuple[Entry, ...]
) -> None:
    site, plane = own_site, own_site.plane
    await site.publish(saying("before", *more))
    async with contextlib.AsyncExitStack() as stack:
        staying = await stack.enter_async_context(site.gateway("staying"))
        identity = await site.identity("restarted")
        restarted = await stack.enter_async_context(served(environ=identity))
        await site.until_acknowledged("staying", "restarted")
        failures: list[int] = []

        async def ask() -> None:
            while True:
                status, _, _ = await said(staying)
                if status != 200:
                    failures.append(status)
                await asyncio.sleep(0.01)

        asking = asyncio.create_task(ask())
        plane.api_server.kill()
        await until_told(staying, "no news from the API server since")
        restarted.process.kill()
        await restarted.process.wait()
        again = await stack.enter_async_context(served(environ=identity))
        assert (await said(again))[:2] == (200, "before")
        status, config = await readyz(again)
        assert (status, config["ok"], config["sequence"]) == (200, False, 1)

        await plane.compact()  # what the watches have seen is no longer known
        plane.api_server.start()
        await plane.ready()
        await site.publish(saying("after", *more))
        await site.until_acknowledged("staying", "restarted")
        for gateway in (staying, again):
            assert (await said(gateway))[:2] == (200, "after")
            await until_told(gateway)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        assert failures == []


async def test_without_api_server_and_copy_a_gateway_waits_unready(own_site: Site) -> None:
    site, plane = own_site, own_site.plane
    await site.publish(saying("there"))
    identity = await site.identity("gateway-0")
    plane.api_server.kill()
    async with served(environ=identity) as gateway:
        assert (await readyz(gateway))[0] == 503
        assert (await gateway.admin("/healthz")).status == 200
        plane.api_server.start()
        await plane.ready()
        await until_said(gateway, "there")
        await site.until_acknowledged("gateway-0")


async def test_a_frozen_api_server_holds_up_nothing(own_site: Site) -> None:
    """Alive, but it answers nobody: a partition. Leases and bundles wait, requests don't."""
    site, plane = own_site, own_site.plane
    await site.publish(saying("before"))
    identity = await site.identity("gateway-0")
    async with served(environ=identity) as gateway:
        await site.until_acknowledged("gateway-0")
        plane.api_server.pause()
        try:
            for _ in range(20):
                assert (await said(gateway))[:2] == (200, "before")
            gateway.signal()
            assert await gateway.exit_code() == 0
            async with served(environ=identity) as again:
                assert (await said(again))[:2] == (200, "before")
        finally:
            plane.api_server.resume()

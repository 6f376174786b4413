"""What commands read from a cluster, as the person who runs them."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click
import msgspec

from sluicegate.cluster import (
    API_KEYS,
    LEASES,
    MODEL_DEPLOYMENTS,
    AccessError,
    ApiStatusError,
    ClusterClient,
    ClusterError,
    Lease,
    NotFound,
    ObjectMeta,
    ResourceType,
    Selection,
    load_personal_access,
)
from sluicegate.cluster.shallow import members, metadata_of
from sluicegate.resources import Resource, ResourceRef

GATEWAY_LABEL = "sluicegate.dev/gateway"
_KINDS = (MODEL_DEPLOYMENTS, API_KEYS)
_MISSING = "this cluster does not have the kinds of sluicegate.dev: kubectl apply -f crds/"

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Cluster:
    """Which cluster, and as whom: as kubectl is told it."""

    kubeconfig: Path | None = None
    context: str = ""

    def arguments(self) -> list[str]:
        """The same for kubectl."""
        more = [] if self.kubeconfig is None else [f"--kubeconfig={self.kubeconfig}"]
        return [*more, *([f"--context={self.context}"] if self.context else [])]

    def ask(self, question: Callable[[ClusterClient], Coroutine[Any, Any, T]]) -> T:
        """What `question` finds. Raises click.ClickException where the cluster does not answer."""
        try:
            access = load_personal_access(os.environ, self.kubeconfig, self.context)
        except AccessError as error:
            raise click.ClickException(str(error)) from error

        async def asked() -> T:
            async with ClusterClient(access) as client:
                return await question(client)

        try:
            return asyncio.run(asked())
        except NotFound as error:
            raise click.ClickException(f"{_MISSING} ({error.message})") from error
        except ApiStatusError as error:
            raise click.ClickException(str(error)) from error
        except (ClusterError, msgspec.DecodeError) as error:  # perhaps it is another server
            raise click.ClickException(f"{access.server}: {error}") from error


def cluster_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """`--kubeconfig` and `--context`, as parameters of these names."""
    for decorate in (
        click.option("--context", default="", metavar="NAME", help="the kubeconfig's context"),
        click.option(
            "--kubeconfig",
            type=click.Path(path_type=Path),
            help="whom to ask, and as whom  [default: $KUBECONFIG, else ~/.kube/config]",
        ),
    ):
        command = decorate(command)
    return command


class Condition(msgspec.Struct, frozen=True, rename="camel"):
    """One condition of an object."""

    type: str
    status: str
    reason: str = ""
    message: str = ""


class Gateways(msgspec.Struct, frozen=True):
    """How many gateways serve an object as it is, as in "2/3"."""

    summary: str = ""


class StoredStatus(msgspec.Struct, frozen=True, rename="camel"):
    """What the operator has said of an object."""

    observed_generation: int = 0
    conditions: tuple[Condition, ...] = ()
    controller: str = ""
    revision: str | None = None
    gateways: Gateways = Gateways()
    model: str | None = None


class Stored(msgspec.Struct, frozen=True):
    """A ModelDeployment or an ApiKey, as the API server holds it."""

    kind: str = ""
    metadata: ObjectMeta = ObjectMeta()
    spec: msgspec.Raw = msgspec.Raw(b"{}")
    status: StoredStatus = StoredStatus()

    @property
    def ref(self) -> ResourceRef:
        """Which object it is."""
        return ResourceRef(self.kind, self.metadata.namespace, self.metadata.name)

    def resource(self) -> Resource:
        """As compile takes it."""
        manifest = {
            "apiVersion": MODEL_DEPLOYMENTS.api_version,
            "kind": self.kind,
            "metadata": {"name": self.metadata.name, "namespace": self.metadata.namespace},
            "spec": self.spec,
        }
        return Resource(self.ref, msgspec.json.encode(manifest))


async def stored_objects(client: ClusterClient, namespace: str | None) -> list[Stored]:
    """All objects of both kinds, by kind and name; of all namespaces for None.

    Raises ClusterError.
    """
    kinds = [_stored(client, kind, namespace) for kind in _KINDS]
    found = [one for each in await asyncio.gather(*kinds) for one in each]
    return sorted(found, key=lambda one: (one.kind != "ModelDeployment", one.ref))


async def _stored(client: ClusterClient, kind: ResourceType, namespace: str | None) -> list[Stored]:
    return [
        msgspec.structs.replace(_read(item), kind=kind.kind)
        async for page in client.pages(kind, Selection(namespace))
        for item in page.items
    ]


def _read(content: bytes) -> Stored:
    try:
        return msgspec.json.decode(content, type=Stored)
    except RecursionError:  # thousands of brackets in its spec, which is not to hide the others
        return _read_shallow(content)
    except msgspec.ValidationError:  # a status that is not the operator's
        return msgspec.json.decode(content, type=_WithoutStatus).stored()


def _read_shallow(content: bytes) -> Stored:
    parts = members(content)
    metadata = msgspec.json.decode(metadata_of(content), type=ObjectMeta)
    try:
        status = msgspec.json.decode(parts.get("status", b"{}"), type=StoredStatus)
    except (msgspec.ValidationError, RecursionError):  # not the operator's
        status = StoredStatus()
    return Stored("", metadata, msgspec.Raw(parts.get("spec", b"{}")), status)


class _WithoutStatus(msgspec.Struct, frozen=True):
    metadata: ObjectMeta = ObjectMeta()
    spec: msgspec.Raw = msgspec.Raw(b"{}")

    def stored(self) -> Stored:
        return Stored("", self.metadata, self.spec)


async def gateway_leases(client: ClusterClient, controller: str) -> list[Lease]:
    """The Leases of an operator's gateways, by name; `controller` as statuses name it.

    Raises ClusterError.
    """
    namespace, _, name = controller.partition("/")
    selection = Selection(namespace, label_selector=f"{GATEWAY_LABEL}={name}")
    found = [
        msgspec.json.decode(item, type=Lease)
        async for page in client.pages(LEASES, selection)
        for item in page.items
    ]
    return sorted(found, key=lambda lease: lease.metadata.name)


def controllers(objects: list[Stored]) -> list[str]:
    """The operators that have written into these objects, as namespace/name of their config."""
    return sorted({one.status.controller for one in objects if "/" in one.status.controller})

"""What the API server tells: one reflector for each kind, and its callbacks.

The truth about what there is comes from here and from nowhere else: a list replaces what was
known, so an object that was deleted while a watch was broken is gone after it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec

from sluicegate.bundle import secret_names
from sluicegate.cluster import (
    API_KEYS,
    DEPLOYMENTS,
    LEASES,
    MODEL_DEPLOYMENTS,
    SECRETS,
    ClusterClient,
    Lease,
    Metadata,
    ObjectKey,
    ObjectMeta,
    Reflector,
    ResourceType,
)
from sluicegate.resources import ResourceRef, SecretRef
from sluicegate_operator.objects import (
    CONFIG_LABEL,
    CREDENTIAL_LABEL,
    GATEWAY_LABEL,
    Observed,
    decoder,
    report_of,
)
from sluicegate_operator.status.fleet import Report

_KINDS = (MODEL_DEPLOYMENTS, API_KEYS)


@dataclass(frozen=True, slots=True)
class Scope:
    """What an operator looks after. No namespaces: all of them."""

    config_namespace: str
    config_name: str
    namespaces: tuple[str, ...] = ()
    selector: str = ""
    require_label: bool = True
    gateway_deployment: str | None = None

    @property
    def bundle(self) -> frozenset[SecretRef]:
        """The Secrets that the bundle is in."""
        names = secret_names(self.config_name)
        return frozenset(SecretRef(self.config_namespace, name) for name in names)

    @property
    def leader_lease(self) -> str:
        """Name of the Lease of the operator that writes."""
        return f"{self.config_name}-operator"

    @property
    def controller(self) -> str:
        """Who writes the statuses, as it stands in them."""
        return f"{self.config_namespace}/{self.config_name}"


class Listener(Protocol):
    """Who is told of changes, in the event loop."""

    def object_changed(self, ref: ResourceRef, observed: Observed | None) -> None:
        """An object is as it is now; None: it is gone, or on its way."""
        ...

    def secret_changed(self, ref: SecretRef) -> None:
        """A labelled Secret came, changed or went."""
        ...

    def gateway_heard(self, name: str, report: Report | None, *, first_list: bool) -> None:
        """A gateway's Lease says this; None: it is gone."""
        ...

    def bundle_changed(self, name: str, meta: ObjectMeta | None) -> None:
        """A Secret of the bundle was written by somebody, or is gone."""
        ...

    def replicas_changed(self, replicas: int | None) -> None:
        """So many gateways are wanted."""
        ...


class _Replicas(msgspec.Struct):
    replicas: int = 1


class _Deployment(msgspec.Struct):
    spec: _Replicas = msgspec.field(default_factory=_Replicas)


class Observation:
    """The reflectors of one operator; `run` keeps them."""

    def __init__(self, client: ClusterClient, scope: Scope, listener: Listener) -> None:
        self.client = client
        self.scope = scope
        self.listener = listener
        namespaces = scope.namespaces or (None,)
        self._objects = [
            self._reflect_objects(kind, namespace) for namespace in namespaces for kind in _KINDS
        ]
        self._secrets = {
            namespace or "": self._reflect_secrets(namespace) for namespace in namespaces
        }
        self._leases = self._reflect_leases()
        self._others: list[Reflector[Any]] = [self._leases, self._reflect_bundle()]
        if scope.gateway_deployment is not None:
            self._others.append(self._reflect_deployment(scope.gateway_deployment))

    @property
    def all(self) -> Sequence[Reflector[Any]]:
        """Every reflector."""
        return (*self._objects, *self._secrets.values(), *self._others)

    async def run(self) -> None:
        """Follow everything until cancelled."""
        async with asyncio.TaskGroup() as group:
            for reflector in self.all:
                group.create_task(reflector.run())

    @property
    def synced(self) -> bool:
        """Whether a whole list of every kind has been taken in."""
        return all(reflector.synced for reflector in self.all)

    async def wait_synced(self) -> None:
        """Wait until a whole list of every kind has been taken in."""
        for reflector in self.all:
            await reflector.wait_synced()

    @property
    def hears_gateways(self) -> bool:
        """Whether the gateways' Leases are followed at present."""
        return self._leases.failure is None

    async def confirm(self) -> None:
        """Return when all that can be dropped has been listed anew. Raises ClusterError."""
        reflectors = (*self._objects, *self._secrets.values())
        await asyncio.gather(*(reflector.relist() for reflector in reflectors))

    def secret(self, ref: SecretRef) -> ObjectMeta | None:
        """The metadata of a labelled Secret."""
        reflector = self._secrets.get(ref.namespace) or self._secrets.get("")
        return None if reflector is None else reflector.objects.get(ObjectKey(*_key(ref)))

    @property
    def silence(self) -> float:
        """Seconds since the kind that is heard least was heard."""
        now = time.monotonic()
        return max(now - reflector.last_sign_of_life for reflector in self.all)

    @property
    def failures(self) -> tuple[str, ...]:
        """What keeps kinds from being followed at present."""
        return tuple(dict.fromkeys(one.failure for one in self.all if one.failure is not None))

    # --- the kinds --------------------------------------------------------------------------------

    def _reflect_objects(
        self, kind: ResourceType, namespace: str | None
    ) -> Reflector[Observed | None]:
        def changed(keys: frozenset[ObjectKey]) -> None:
            for key in keys:
                ref = ResourceRef(kind.kind, key.namespace, key.name)
                self.listener.object_changed(ref, reflector.objects.get(key))

        reflector = Reflector(
            self.client,
            kind,
            decoder(kind),
            on_change=changed,
            namespace=namespace,
            label_selector=self.scope.selector,
        )
        return reflector

    def _reflect_secrets(self, namespace: str | None) -> Reflector[ObjectMeta]:
        def changed(keys: frozenset[ObjectKey]) -> None:
            for key in keys:
                self.listener.secret_changed(SecretRef(key.namespace, key.name))

        return Reflector(
            self.client,
            SECRETS,
            _metadata,
            on_change=changed,
            namespace=namespace,
            label_selector=f"{CREDENTIAL_LABEL}=true" if self.scope.require_label else "",
            metadata_only=True,
        )

    def _reflect_leases(self) -> Reflector[Report]:
        first = True

        def changed(keys: frozenset[ObjectKey]) -> None:
            nonlocal first
            for key in keys:
                report = reflector.objects.get(key)
                self.listener.gateway_heard(key.name, report, first_list=first)
            first = False

        decode = msgspec.json.Decoder(Lease).decode
        reflector = Reflector(
            self.client,
            LEASES,
            lambda content: report_of(decode(content)),
            on_change=changed,
            namespace=self.scope.config_namespace,
            label_selector=f"{GATEWAY_LABEL}={self.scope.config_name}",
        )
        return reflector

    def _reflect_bundle(self) -> Reflector[ObjectMeta]:
        def changed(keys: frozenset[ObjectKey]) -> None:
            for key in keys:
                self.listener.bundle_changed(key.name, reflector.objects.get(key))

        reflector = Reflector(
            self.client,
            SECRETS,
            _metadata,
            on_change=changed,
            namespace=self.scope.config_namespace,
            label_selector=f"{CONFIG_LABEL}={self.scope.config_name}",
            metadata_only=True,
        )
        return reflector

    def _reflect_deployment(self, name: str) -> Reflector[int]:
        def changed(keys: frozenset[ObjectKey]) -> None:
            for key in keys:
                self.listener.replicas_changed(reflector.objects.get(key))

        decode = msgspec.json.Decoder(_Deployment).decode
        reflector = Reflector(
            self.client,
            DEPLOYMENTS,
            lambda content: decode(content).spec.replicas,
            on_change=changed,
            namespace=self.scope.config_namespace,
            field_selector=f"metadata.name={name}",
        )
        return reflector


_partial = msgspec.json.Decoder(Metadata)


def _metadata(content: bytes) -> ObjectMeta:
    return _partial.decode(content).metadata


def _key(ref: SecretRef) -> tuple[str, str]:
    return ref.namespace, ref.name

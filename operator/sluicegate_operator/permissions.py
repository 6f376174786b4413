"""Whether the operator may do what it has to: asked once, at start, and told in one line each."""

from __future__ import annotations

import logging
from typing import NamedTuple

import msgspec

from sluicegate.cluster import (
    API_KEYS,
    DEPLOYMENTS,
    LEASES,
    MODEL_DEPLOYMENTS,
    SECRETS,
    ClusterClient,
    ClusterError,
    ResourceType,
)
from sluicegate.telemetry.logs import log
from sluicegate_operator.observe import Scope

_REVIEWS = ResourceType(
    "authorization.k8s.io", "v1", "SelfSubjectAccessReview", "selfsubjectaccessreviews"
)


class _Allowed(msgspec.Struct):
    allowed: bool = False


class _Review(msgspec.Struct):
    status: _Allowed = msgspec.field(default_factory=_Allowed)


class Need(NamedTuple):
    """Verbs on a resource; no namespace: in all of them."""

    resource: ResourceType
    verbs: tuple[str, ...]
    namespace: str | None
    subresource: str = ""
    name: str = ""

    def __str__(self) -> str:
        resource = f"{self.resource.plural}{'/' if self.subresource else ''}{self.subresource}"
        where = f"namespace {self.namespace}" if self.namespace else "all namespaces"
        return f"{resource} {self.name}{' ' if self.name else ''}in {where}"


def needs(scope: Scope) -> tuple[Need, ...]:
    """What an operator of this scope has to be allowed."""
    found: list[Need] = []
    for namespace in scope.namespaces or (None,):
        for kind in (MODEL_DEPLOYMENTS, API_KEYS):
            found.append(Need(kind, ("list", "watch"), namespace))
            found.append(Need(kind, ("patch",), namespace, "status"))
        found.append(Need(SECRETS, ("get", "list", "watch", "create", "update"), namespace))
    place = scope.config_namespace
    found.append(Need(SECRETS, ("get", "list", "watch", "create", "update"), place))
    found.append(Need(LEASES, ("list", "watch", "create"), place))
    found.append(Need(LEASES, ("get", "update"), place, name=scope.leader_lease))
    if scope.gateway_deployment is not None:
        found.append(Need(DEPLOYMENTS, ("list", "watch"), place, name=scope.gateway_deployment))
    return tuple(found)


async def check_permissions(client: ClusterClient, scope: Scope) -> None:
    """Log what is missing. It is no reason to end: a role may come after the operator."""
    for need in needs(scope):
        try:
            missing = [verb for verb in need.verbs if not await _may(client, need, verb)]
        except ClusterError:
            return  # who asks has other worries, and tells of them
        if missing:
            log(logging.ERROR, f"not allowed to {', '.join(missing)} {need}: mend the roles")


async def _may(client: ClusterClient, need: Need, verb: str) -> bool:
    attributes = {
        "verb": verb,
        "group": need.resource.group,
        "resource": need.resource.plural,
        "subresource": need.subresource,
        "namespace": need.namespace or "",
        "name": need.name,
    }
    manifest = {
        "apiVersion": _REVIEWS.api_version,
        "kind": _REVIEWS.kind,
        "spec": {"resourceAttributes": attributes},
    }
    answer = await client.create(_REVIEWS, manifest, _Review)
    return answer.status.allowed

"""What identities may do by the roles of a chart, and what of it the API server's log has seen."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from control_plane import AuditEvent

_FORBIDDEN = 403


@dataclass(frozen=True, order=True)
class Right:
    """One verb on one kind; `name` is empty where the rule names no object."""

    user: str
    verb: str
    resource: str
    name: str = ""

    def covers(self, event: AuditEvent) -> bool:
        return (
            (self.user, self.verb, self.resource) == (event.user, event.verb, event.resource)
            and self.name in {"", event.name}
            and event.code != _FORBIDDEN
        )


def rights(documents: Iterable[Any]) -> set[Right]:
    """Those of every ServiceAccount that is bound to a Role or ClusterRole among the documents."""
    found = list(documents)
    roles = {
        (each["kind"], each["metadata"]["name"]): each["rules"]
        for each in found
        if each["kind"] in {"Role", "ClusterRole"}
    }
    return {
        right
        for binding in found
        if binding["kind"] in {"RoleBinding", "ClusterRoleBinding"}
        for subject in binding["subjects"]
        for right in granted(
            f"system:serviceaccount:{subject['namespace']}:{subject['name']}",
            roles[binding["roleRef"]["kind"], binding["roleRef"]["name"]],
        )
    }


def granted(user: str, rules: Iterable[Any]) -> Iterator[Right]:
    """What rules let a user do."""
    for rule in rules:
        for verb in rule["verbs"]:
            for resource in rule["resources"]:
                for name in rule.get("resourceNames", ("",)):
                    yield Right(user, verb, resource, name)


def unused(granted_rights: set[Right], events: Iterable[AuditEvent]) -> set[Right]:
    """Those that no answered request has needed."""
    seen = set(events)
    return {right for right in granted_rights if not any(map(right.covers, seen))}


def refused(users: set[str], events: Iterable[AuditEvent]) -> set[AuditEvent]:
    """Requests of these users that were not allowed."""
    return {event for event in events if event.user in users and event.code == _FORBIDDEN}

"""What compile has to say about an object, and the conditions that follow from it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

from msgspec import Struct

from sluicegate.resources.diagnostics import Diagnostic, Severity, field_name
from sluicegate.resources.objects import Resource, ResourceRef
from sluicegate.resources.yaml_documents import FieldPath

ConditionType = Literal["Accepted", "ResolvedRefs", "PoolConflict", "PriceUnknown", "ExpiringSoon"]
# A client key's end is announced this long before (seconds).
EXPIRY_WARNING = 7 * 86_400


class Finding(Struct, frozen=True, gc=False):
    """One thing to say. `condition` is the one that it makes false (or, for an abnormal one, true).

    `external`: it is about something outside the manifests, a Secret or an environment variable,
    which an offline check can't know. The message never holds a value from a Secret.
    """

    condition: ConditionType | None
    reason: str
    message: str
    path: FieldPath = ()
    severity: Severity = "error"
    external: bool = False


class Condition(NamedTuple):
    """One of an object's conditions, as Kubernetes writes them."""

    type: str
    status: Literal["True", "False"]
    reason: str
    message: str


_ACCEPTED = Condition("Accepted", "True", "Valid", "The object is valid.")
_RESOLVED = Condition("ResolvedRefs", "True", "Resolved", "All that it refers to is there.")
_FINE = (_ACCEPTED, _RESOLVED)


def conditions_of(findings: Sequence[Finding], note: str = "") -> tuple[Condition, ...]:
    """The conditions that findings amount to; `note` is added to what `Accepted=False` says.

    What makes no condition false or true is told by `Accepted=True`.
    """
    if not findings:
        return _FINE
    conditions = [
        _negative(findings, "Accepted", note) or _accepted(findings),
        _negative(findings, "ResolvedRefs", "") or _RESOLVED,
    ]
    for kind in ("PoolConflict", "PriceUnknown", "ExpiringSoon"):
        first = next((finding for finding in findings if finding.condition == kind), None)
        if first is not None:
            conditions.append(Condition(kind, "True", first.reason, first.message))
    return tuple(conditions)


def _accepted(findings: Sequence[Finding]) -> Condition:
    hints = [finding for finding in findings if finding.condition is None]
    if not hints:
        return _ACCEPTED
    told = f"{field_name(hints[0].path)}: {hints[0].message}"
    more = f" (and {len(hints) - 1} more)" if len(hints) > 1 else ""
    return _ACCEPTED._replace(message=f"{_ACCEPTED.message} {told}{more}.")


def _negative(findings: Sequence[Finding], kind: ConditionType, note: str) -> Condition | None:
    against = [finding for finding in findings if finding.condition == kind]
    if not against:
        return None
    first = against[0]
    place = field_name(first.path)
    message = f"{place}: {first.message}" if place else first.message
    more = sum(finding.reason == first.reason for finding in against) - 1
    if more:
        message += f" (and {more} more)"
    return Condition(kind, "False", first.reason, f"{message}. {note}".removesuffix(" "))


def diagnostic(ref: ResourceRef, resource: Resource | None, finding: Finding) -> Diagnostic:
    """A finding with its place; line 0 of no file for an object that comes from none."""
    origin = resource.origin if resource is not None else None
    return Diagnostic(
        file=origin.file if origin is not None else "",
        line=origin.line_of(finding.path) if origin is not None else 0,
        kind=ref.kind,
        namespace=ref.namespace,
        name=ref.name,
        field=field_name(finding.path),
        reason=finding.reason,
        severity=finding.severity,
        message=finding.message,
    )

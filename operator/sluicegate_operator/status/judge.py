"""What the status of one object has to say: conditions, their reasons, the columns.

Design section 4, "Status". Pure: the same facts, gateways and status before give the same status,
so a second look at nothing new changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple, TypeAlias

from msgspec import Struct

from sluicegate_operator.status.fleet import Fleet, Gateway
from sluicegate_operator.status.values import Columns, Condition, Gateways, Status, Truth

Standing: TypeAlias = Literal["Ready", "Suspended", "Revoked", "Expired"]

_ABNORMAL = ("PoolConflict", "PriceUnknown", "ExpiringSoon")
_NAMED = 3  # gateways that a message names
_LONGEST = 2000  # characters of a message

_SUMMARY: dict[Standing, str] = {
    "Ready": "Every gateway serves it.",
    "Suspended": "It is suspended, as spec.suspended says: every gateway leaves it out.",
    "Revoked": "It is revoked, as spec.client.revoked says: every gateway refuses it.",
    "Expired": "It has expired: every gateway refuses it. Write a later spec.client.expiresAt.",
}


class Said(NamedTuple):
    """A condition before it is known when it became so."""

    type: str
    status: Truth
    reason: str
    message: str


class Facts(Struct, frozen=True, gc=False):
    """What compiling one object, and publishing it, came to.

    `conditions`: those of compile. `revision` is None where the object has no entry. `held_since`:
    the sequence whose configuration was the first with this revision; None: it is not published,
    and `hindrance` says why not. `inherited`: this operator found it published when it began.
    `entry_id` is what gateways call its entry.
    """

    generation: int
    conditions: tuple[tuple[str, Truth, str, str], ...]
    revision: str | None = None
    held_since: int | None = None
    standing: Standing = "Ready"
    columns: Columns = Columns()
    hindrance: str = ""
    inherited: bool = False
    entry_id: str = ""


def plan_status(
    facts: Facts, before: Status, fleet: Fleet, controller: str, now: str, *, latch: bool
) -> Status:
    """The status that an object should have. `now` is an RFC 3339 time.

    `latch`: what `before` says of this revision was said of this very publication of it. Otherwise
    there may have been another revision in between, which some gateway still serves.
    """
    said = [Said(*condition) for condition in facts.conditions]
    positive = [one for one in said if one.type not in _ABNORMAL]
    positive.append(_programmed(facts, before, fleet, latch=latch))
    ready = _ready(positive, facts.standing)
    conditions = [*positive, ready, *(one for one in said if one.type in _ABNORMAL)]
    conditions += _progress(positive, ready)
    columns = facts.columns
    return Status(
        conditions=tuple(_timed(one, before, facts.generation, now) for one in conditions),
        observed_generation=facts.generation,
        controller=controller,
        revision=facts.revision,
        gateways=_counted(facts, fleet),
        model=columns.model,
        provider=columns.provider,
        type=columns.type,
        secret_name=columns.secret_name,
        keys=columns.keys,
    )


def is_of(before: Status, facts: Facts) -> bool:
    """Whether a status was written of this generation, and found as little against it.

    Otherwise it does not say that the gateways have taken what came since.
    """
    return before.observed_generation == facts.generation and all(
        (told := before.condition(kind)) is not None and told.status == "True"
        for kind, truth, *_ in facts.conditions
        if truth == "True" and kind not in _ABNORMAL
    )


def _programmed(  # noqa: PLR0911 -- a list of reasons
    facts: Facts, before: Status, fleet: Fleet, *, latch: bool
) -> Said:
    """Whether every gateway serves this version: a latch, see design section 4.

    An entry that a gateway has acknowledged is not in doubt because that gateway refuses a later
    configuration.
    """
    since = facts.held_since
    if facts.revision is None:
        return _not_programmed("Waiting", "No version of it can be served: see the others.")
    refusing = [
        gateway
        for gateway in fleet.gateways
        if gateway.error
        and gateway.voice != "silent"
        and (since is None or gateway.sequence < since)
    ]
    if refusing:
        first = refusing[0]
        return _not_programmed(
            "Rejected",
            f"{_listed(refusing)} refuses the configuration and serves the one before: "
            f"{first.error}",
        )
    if not fleet.gateways:
        return _not_programmed("NoGateways", "There is no gateway.")
    serving = fleet.serving
    silent = [gateway for gateway in serving if gateway.voice == "silent"]
    if silent:
        return _not_programmed(
            "GatewayUnreachable",
            f"{_listed(silent)} neither renews its Lease nor is gone, and may serve an older "
            "version: delete its Pod or its Lease if it no longer runs.",
        )
    if since is None:
        return _not_programmed("Waiting", facts.hindrance or "It is about to be published.")
    unable = [gateway for gateway in serving if _refuses(gateway, facts, since)]
    if unable:
        return _not_programmed(
            "Rejected", f"{_listed(unable)} can't call it: {unable[0].refused[facts.entry_id]}."
        )
    if serving and latch and _latched(facts, before):
        return Said("Programmed", "True", "Converged", "Every gateway serves this version.")
    behind = [gateway for gateway in serving if gateway.sequence < since]
    if not serving:
        return _not_programmed("Waiting", f"{_listed(fleet.gateways)} has not started to serve.")
    if behind:
        return _not_programmed("Waiting", f"{_listed(behind)} has not taken this version yet.")
    unheard = [gateway for gateway in serving if gateway.voice == "unconfirmed"]
    if unheard:
        return _not_programmed("Waiting", f"{_listed(unheard)} has not been heard from yet.")
    return Said("Programmed", "True", "Converged", "Every gateway serves this version.")


def _refuses(gateway: Gateway, facts: Facts, since: int) -> bool:
    """Whether a gateway has this version, and can't call it."""
    return gateway.sequence >= since and facts.entry_id in gateway.refused


def _not_programmed(reason: str, message: str) -> Said:
    return Said("Programmed", "False", reason, message[:_LONGEST])


def _latched(facts: Facts, before: Status) -> bool:
    programmed = before.condition("Programmed")
    return (
        programmed is not None and programmed.status == "True" and before.revision == facts.revision
    )


def _listed(gateways: Sequence[Gateway]) -> str:
    names = ", ".join(gateway.name for gateway in gateways[:_NAMED])
    more = len(gateways) - _NAMED
    many = "gateways" if len(gateways) > 1 else "gateway"
    return f"{many} {names}" + (f" and {more} more" if more > 0 else "")


def _counted(facts: Facts, fleet: Fleet) -> Gateways:
    serving = fleet.serving
    desired = max(len(serving), fleet.replicas or 0)
    since = facts.held_since
    updated = 0
    if facts.revision is not None and since is not None:
        updated = sum(
            gateway.sequence >= since
            and gateway.voice != "silent"
            and facts.entry_id not in gateway.refused
            for gateway in serving
        )
    return Gateways(desired, updated, f"{updated}/{desired}")


def _ready(positive: Sequence[Said], standing: Standing) -> Said:
    for one in positive:
        if one.status != "True":
            return Said("Ready", "False", one.reason, one.message)
    if standing == "Expired":
        return Said("Ready", "False", standing, _SUMMARY[standing])
    return Said("Ready", "True", standing, _SUMMARY[standing])


def _progress(positive: Sequence[Said], ready: Said) -> tuple[Said, ...]:
    """Stalled: only a change of the object helps. Reconciling: it may get ready by itself."""
    failing = next((one for one in positive if one.status != "True"), None)
    if failing is None:
        return ()
    kind = "Stalled" if failing.type == "Accepted" else "Reconciling"
    return (Said(kind, "True", ready.reason, ready.message),)


def _timed(said: Said, before: Status, generation: int, now: str) -> Condition:
    old = before.condition(said.type)
    since = old.last_transition_time if old is not None and old.status == said.status else now
    return Condition(
        said.type, said.status, said.reason, said.message[:_LONGEST], since, generation
    )

"""`sluicegate status`: which version of which object is live where, and what is to be changed.

Guide: docs/operations.md.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path

import click
import msgspec

from sluicegate.cli.cluster_objects import (
    Cluster,
    Condition,
    Stored,
    cluster_options,
    controllers,
    gateway_leases,
    stored_objects,
)
from sluicegate.cli.columns import columns, harmless
from sluicegate.cluster import ClusterClient, Forbidden, Lease

_SHORT = {"ModelDeployment": "md", "ApiKey": "ak"}
_POSITIVE = frozenset({"Accepted", "ResolvedRefs", "Programmed"})
_SUMMARIES = frozenset({"Ready", "Reconciling", "Stalled"})  # they repeat what others say
_NOT_SEEN = "NotSeen"
_HEADINGS = ("KIND", "NAME", "MODEL", "READY", "REASON", "GATEWAYS", "REVISION")


class ObjectStatus(msgspec.Struct, frozen=True):
    """One object. `problems` are the conditions that say that something is to be changed."""

    kind: str
    namespace: str
    name: str
    model: str | None
    ready: str
    reason: str
    revision: str | None
    gateways: str
    problems: tuple[Condition, ...]
    conditions: tuple[Condition, ...]

    @property
    def label(self) -> str:
        """As a person would name it."""
        return f"{_SHORT[self.kind]} {self.namespace}/{self.name}"


class GatewayStatus(msgspec.Struct, frozen=True):
    """One gateway, by its Lease. `behind`: how many publications it lacks that another has."""

    name: str
    config: str
    sequence: int
    behind: int
    revision: str
    error: str
    seconds_silent: float | None


class Answer(msgspec.Struct, frozen=True):
    """All of it; `--json` prints it."""

    objects: tuple[ObjectStatus, ...]
    gateways: tuple[GatewayStatus, ...]
    not_shown: tuple[str, ...]


@click.command(name="status")
@click.argument("name", metavar="[[NAMESPACE/]NAME]", required=False)
@click.option("-n", "--namespace", metavar="NS", help="of the objects  [default: the context's]")
@click.option("-A", "--all-namespaces", is_flag=True, help="the objects of all namespaces")
@click.option("--json", "as_json", is_flag=True, help="one JSON object")
@cluster_options
def status(
    *,
    name: str | None,
    namespace: str | None,
    all_namespaces: bool,
    as_json: bool,
    kubeconfig: Path | None,
    context: str,
) -> None:
    """Say which ModelDeployments and ApiKeys of a cluster are live, and what is to be changed.

    With a name: every condition of the object (or of both kinds, if there are two).

    Exits with 1 where one of them is not Ready.
    """
    place, _, wanted = (name or "").rpartition("/")
    if place and (namespace or all_namespaces):
        raise click.UsageError(f"{name} says the namespace already")
    if all_namespaces and namespace:
        raise click.UsageError("--namespace or --all-namespaces, not both")

    async def found(client: ClusterClient) -> Answer:
        where = None if all_namespaces else place or namespace or client.access.namespace
        objects = await stored_objects(client, where)
        shown = [one for one in objects if wanted in {"", one.metadata.name}]
        if wanted and not shown:
            within = "any namespace" if where is None else f"namespace {where}"
            raise click.ClickException(
                f"there is no ModelDeployment or ApiKey {wanted} in {within}"
            )
        return await _answer(client, shown)

    answer = Cluster(kubeconfig, context).ask(found)
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(answer)).decode())
    else:
        for line in _named(answer) if wanted else _all(answer):
            # There are texts of gateways in it, and of whoever may write a status.
            click.echo(harmless(line))
    if any(one.ready != "True" for one in answer.objects):
        raise click.exceptions.Exit(1)


async def _answer(client: ClusterClient, objects: list[Stored]) -> Answer:
    gateways: list[GatewayStatus] = []
    not_shown: list[str] = []
    for controller in controllers(objects):
        try:
            leases = await gateway_leases(client, controller)
        except Forbidden:
            namespace = controller.partition("/")[0]
            not_shown.append(f"the gateways: you may not list the Leases of namespace {namespace}")
        else:
            gateways += _gateways(controller, leases, time.time())
    return Answer(tuple(map(_judged, objects)), tuple(gateways), tuple(not_shown))


# -------------------------------------------------------------------------------------------- judge


def _judged(stored: Stored) -> ObjectStatus:
    said = stored.status
    ready = next((one for one in said.conditions if one.type == "Ready"), None)
    problems = _problems(said.conditions)
    generation = stored.metadata.generation
    if ready is None or said.observed_generation < generation:
        # What is there is about an older version of the spec.
        ready = Condition("Ready", "Unknown", _NOT_SEEN)
        message = f"The operator has not seen generation {generation} of it: does one run that"
        message += " looks after this namespace and these labels?"
        problems = (Condition("Ready", "Unknown", _NOT_SEEN, message),)
    return ObjectStatus(
        kind=stored.kind,
        namespace=stored.metadata.namespace,
        name=stored.metadata.name,
        model=said.model,
        ready=ready.status,
        reason=ready.reason,
        revision=said.revision,
        gateways=said.gateways.summary,
        problems=problems,
        conditions=said.conditions,
    )


def _problems(conditions: Sequence[Condition]) -> tuple[Condition, ...]:
    wrong = [
        one
        for one in conditions
        if one.type not in _SUMMARIES and (one.status != "True") == (one.type in _POSITIVE)
    ]
    if any(one.type in {"Accepted", "ResolvedRefs"} for one in wrong):
        # That no gateway has it follows from that.
        wrong = [one for one in wrong if one.reason != "Waiting"]
    return tuple(wrong)


def _gateways(controller: str, leases: list[Lease], now: float) -> Iterator[GatewayStatus]:
    """`now` is Unix seconds."""
    said = [(lease, lease.metadata.annotations) for lease in leases]
    sequences = [_number(notes.get("sluicegate.dev/sequence", "")) for _, notes in said]
    for (lease, notes), sequence in zip(said, sequences, strict=True):
        renewed = lease.spec.renew_time
        yield GatewayStatus(
            name=lease.metadata.name,
            config=controller,
            sequence=sequence,
            behind=max(sequences) - sequence,
            revision=notes.get("sluicegate.dev/revision", ""),
            error=notes.get("sluicegate.dev/config-error", ""),
            seconds_silent=None if renewed is None else round(now - _moment(renewed), 1),
        )


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 16 else 0


def _moment(text: str) -> float:
    """RFC 3339 as Unix seconds."""
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:  # somebody else has written it
        return 0.0


# -------------------------------------------------------------------------------------------- print


def _all(answer: Answer) -> Iterator[str]:
    if not answer.objects:
        yield "There are no ModelDeployments and no ApiKeys here (-A: of all namespaces)."
    else:
        yield from columns([_HEADINGS, *map(_row, answer.objects)], indent="")
    problems = [(one, each) for one in answer.objects for each in one.problems]
    if problems:
        yield ""
        yield "What is not as it should be:"
        for one, each in problems:
            yield f"  {one.label}: {each.reason}: {each.message}"
    yield from _rest(answer)


def _row(one: ObjectStatus) -> tuple[str, ...]:
    return (
        _SHORT[one.kind],
        f"{one.namespace}/{one.name}",
        one.model or "",
        one.ready,
        one.reason,
        one.gateways,
        one.revision or "",
    )


def _named(answer: Answer) -> Iterator[str]:
    for number, one in enumerate(answer.objects):
        if number:
            yield ""
        yield f"{one.kind} {one.namespace}/{one.name}: {_in_words(one)}"
        yield from columns(
            [(each.type, each.status, each.reason, each.message) for each in one.conditions]
        )
        if one.reason == _NOT_SEEN:
            yield from (f"  {each.message}" for each in one.problems)
    yield from _rest(answer)


def _in_words(one: ObjectStatus) -> str:
    ready = "Ready" if one.ready == "True" else "not Ready"
    why = "" if one.reason == "Ready" else f" ({one.reason})"
    serving = f", served by {one.gateways} gateways" if one.gateways else ""
    revision = f", revision {one.revision}" if one.revision else ""
    return f"{ready}{why}{serving}{revision}"


def _rest(answer: Answer) -> Iterator[str]:
    for config in sorted({one.config for one in answer.gateways}):
        yield ""
        yield f"Gateways of {config}:"
        yield from columns([_gateway(one) for one in answer.gateways if one.config == config])
    if answer.not_shown:
        yield ""
        yield "Not shown:"
        yield from (f"  {line}" for line in answer.not_shown)


def _gateway(one: GatewayStatus) -> tuple[str, ...]:
    serves = f"serves publication {one.sequence}" if one.sequence else "serves nothing yet"
    behind = f"{one.behind} behind" if one.behind and one.sequence else ""
    heard = "" if one.seconds_silent is None else f"heard {max(one.seconds_silent, 0):.0f} s ago"
    return (one.name, serves, behind, heard, one.error)

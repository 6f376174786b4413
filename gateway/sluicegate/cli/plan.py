"""`sluicegate plan`: what a change of manifests does, before it is merged. Guide: docs/plan.md."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Literal, TypeAlias

import click
import msgspec

from sluicegate.cli.difference import (
    AccessChange,
    Difference,
    FieldChange,
    NameChange,
    ObjectChange,
    difference,
)
from sluicegate.cli.lint import findings_of
from sluicegate.cli.manifests import inventory_of, load
from sluicegate.compile import Compilation, Settings, compile_all
from sluicegate.resources import Diagnostic

Format: TypeAlias = Literal["text", "json"]
_MARKS = {"add": "+", "change": "~", "remove": "-"}


class Plan(msgspec.Struct, frozen=True):
    """What changes, and what is wrong with the new manifests that was not wrong with the old."""

    changes: Difference
    problems: tuple[Diagnostic, ...]


@click.command()
@click.argument("old", type=click.Path(exists=True))
@click.argument("new", type=click.Path(exists=True))
@click.option(
    "--format",
    "output",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="how to print it",
)
def plan(old: str, new: str, output: Format) -> None:
    """Say what the way from the manifests in OLD to those in NEW does to models, keys and pools.

    OLD and NEW are files or folders. Names that several namespaces want stay with who has them in
    OLD, and an object that is broken in NEW keeps what it was, as in a cluster.

    Exits with 1 where NEW has an error that OLD did not have.
    """
    found = compare(old, new, time.time())
    if output == "json":
        click.echo(msgspec.json.format(msgspec.json.encode(found)).decode())
    else:
        for line in _lines(found):
            click.echo(line)
    if any(problem.severity == "error" for problem in found.problems):
        raise click.exceptions.Exit(1)


def compare(old: str, new: str, now: float) -> Plan:
    """Compile both, the new one as what follows the old. `now` is Unix seconds."""
    before, was_wrong = _compiled(old, None, now)
    after, is_wrong = _compiled(new, before, now)
    known = {_identity(problem) for problem in was_wrong}
    return Plan(
        difference(before, after),
        tuple(problem for problem in is_wrong if _identity(problem) not in known),
    )


def _compiled(
    path: str, previous: Compilation | None, now: float
) -> tuple[Compilation, list[Diagnostic]]:
    inventory = inventory_of(load([path]))
    compilation = compile_all(inventory.snapshot(), previous, Settings.folder(), now)
    return compilation, findings_of(inventory, compilation)


def _identity(problem: Diagnostic) -> tuple[str, ...]:
    """All but where it stands."""
    return problem.kind, problem.namespace, problem.name, problem.field, problem.message


# ------------------------------------------------------------------------------------------- print


def _lines(found: Plan) -> Iterator[str]:
    changes = found.changes
    if not (changes.objects or changes.names or changes.access or found.problems):
        yield "Nothing changes."
        return
    yield from _section("Objects", [line for each in changes.objects for line in _object(each)])
    yield from _section("Names", [_name(each) for each in changes.names])
    yield from _section("Access", [line for each in changes.access for line in _access(each)])
    yield from _section("New problems", [f"  {_problem(each)}" for each in found.problems])
    actions = [each.action for each in changes.objects]
    losing = sum(bool(each.lost) for each in changes.access)
    yield (
        f"{actions.count('add')} to add, {actions.count('change')} to change, "
        f"{actions.count('remove')} to remove; "
        f"{losing} {'key loses' if losing == 1 else 'keys lose'} access to a model"
    )


def _section(title: str, lines: list[str]) -> Iterator[str]:
    if lines:
        yield f"{title}:"
        yield from lines
        yield ""


def _object(change: ObjectChange) -> Iterator[str]:
    yield f"  {_MARKS[change.action]} {change.kind} {change.namespace}/{change.name}"
    yield from (f"      {_field(field)}" for field in change.fields)


def _field(change: FieldChange) -> str:
    if change.old is None:
        return f"{change.path}: {change.new} (new)"
    if change.new is None:
        return f"{change.path}: was {change.old}"
    return f"{change.path}: {change.old} → {change.new}"


def _name(change: NameChange) -> str:
    counts = f"{change.deployments_before} → {change.deployments_after} deployments"
    line = f"  {_MARKS[change.action]} {change.model} ({change.namespace}): {counts}"
    if change.audience_before != change.audience_after:
        was, now = map(_whom, (change.audience_before, change.audience_after))
        line += f", for {was} → {now}"
    return line


def _whom(audience: tuple[str, ...]) -> str:
    if "*" in audience:
        return "every namespace"
    return ", ".join(("its own namespace", *audience))


def _access(change: AccessChange) -> Iterator[str]:
    for mark, verb, names in (("-", "loses", change.lost), ("+", "gains", change.gained)):
        if names:
            yield f"  {mark} key {change.key} {verb} {', '.join(names)}"


def _problem(found: Diagnostic) -> str:
    return str(found) if found.severity == "error" else f"{found} [warning]"

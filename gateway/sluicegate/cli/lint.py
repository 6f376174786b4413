"""`sluicegate lint`: judge manifests offline with the operator's own compile.

Guide: docs/lint.md.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import Literal, TypeAlias

import click
import msgspec
from msgspec.structs import replace

from sluicegate.cli.manifests import inventory_of, load
from sluicegate.cli.unfit_parameters import unfit_parameters
from sluicegate.compile import Compilation, Settings, compile_all
from sluicegate.compile.compilation import entry_id
from sluicegate.compile.findings import Finding, diagnostic
from sluicegate.config import Deployment
from sluicegate.resources import Diagnostic, Inventory, LoadedFile, ResourceRef

Format: TypeAlias = Literal["text", "json", "github"]


class Report(msgspec.Struct, frozen=True):
    """What lint found; `--format json` prints it."""

    objects: int
    errors: int
    warnings: int
    ignored: int
    diagnostics: tuple[Diagnostic, ...]

    def summary(self) -> str:
        """One line."""
        counts = (
            _count(self.objects, "object"),
            _count(self.errors, "error"),
            _count(self.warnings, "warning"),
            _count(self.ignored, "object") + " of other kinds ignored",
        )
        return ", ".join(counts)


@click.command()
@click.argument("paths", metavar="PATH...", nargs=-1, required=True)
@click.option(
    "--format",
    "output",
    type=click.Choice(["text", "json", "github"]),
    default="text",
    show_default=True,
    help="how to print what was found; github makes annotations of a GitHub workflow",
)
def lint(paths: tuple[str, ...], output: Format) -> None:
    """Judge manifests offline, as the operator would.

    PATH is a file, or a folder of which every *.yaml and *.yml is read. Unknown fields are errors.
    A Secret that is not in the paths is a warning, since Secrets are seldom kept with manifests.

    Exits with 1 where there is an error.
    """
    report = judge(load(paths), time.time())
    if output == "json":
        click.echo(msgspec.json.format(msgspec.json.encode(report)).decode())
    else:
        for found in report.diagnostics:
            click.echo(_annotation(found) if output == "github" else _line(found))
        click.echo(report.summary(), err=output == "github")
    if report.errors:
        raise click.exceptions.Exit(1)


def judge(files: dict[str, LoadedFile], now: float) -> Report:
    """All that there is to say about some files. `now` is Unix seconds."""
    inventory = inventory_of(files)
    compilation = compile_all(inventory.snapshot(), None, Settings.folder(), now)
    found = findings_of(inventory, compilation)
    errors = sum(each.severity == "error" for each in found)
    return Report(
        objects=sum(len(loaded.resources) + len(loaded.secrets) for loaded in files.values()),
        errors=errors,
        warnings=len(found) - errors,
        ignored=inventory.ignored,
        diagnostics=tuple(found),
    )


def findings_of(inventory: Inventory, compilation: Compilation) -> list[Diagnostic]:
    """What there is to say about the objects, by file and line."""
    found = list(inventory.diagnostics())
    for ref, resource in compilation.inputs.resources.items():
        entry = compilation.config.entries.get(entry_id(ref))
        unfit = unfit_parameters(entry) if isinstance(entry, Deployment) else ()
        found += [diagnostic(ref, resource, finding) for finding in unfit]
    for ref, findings in compilation.findings.items():
        resource = compilation.inputs.resources.get(ref)
        found += [diagnostic(ref, resource, finding) for finding in _offline(ref, findings)]
    found.sort(key=lambda each: (each.file, each.line, each.field, each.message))
    return found


def _offline(ref: ResourceRef, findings: Iterable[Finding]) -> Iterator[Finding]:
    """Findings about what is outside the manifests, as warnings.

    A key that is still to be minted is as it should be.
    """
    for finding in findings:
        if not finding.external:
            yield finding
        elif ref.kind != "ApiKey" or finding.path != ("spec", "client", "generate"):
            yield replace(finding, severity="warning")


def _line(found: Diagnostic) -> str:
    return str(found) if found.severity == "error" else f"{found} [warning]"


def _annotation(found: Diagnostic) -> str:
    """A workflow command of GitHub Actions, with its escapes."""
    title = f"{found.kind} {found.namespace}/{found.name}" if found.name else found.reason
    text = ": ".join(part for part in (found.field, found.message) if part)
    properties = {"file": found.file, "line": str(found.line), "title": title}
    escaped = ",".join(
        f"{name}={_escaped(value).replace(':', '%3A').replace(',', '%2C')}"
        for name, value in properties.items()
    )
    return f"::{found.severity} {escaped}::{_escaped(text)}"


def _escaped(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"

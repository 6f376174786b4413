"""What is wrong with a folder, in words. Pure; what was put in words before is remembered."""

from __future__ import annotations

import traceback
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import NamedTuple

from sluicegate.compile import Compilation
from sluicegate.compile.findings import Finding, diagnostic
from sluicegate.resources import Resource, ResourceRef
from sluicegate.source.files import FileSet
from sluicegate.source.keystore import WantedKey

_GENERATE = ("spec", "client", "generate")


class Report(NamedTuple):
    """What is wrong, one text each.

    `failures`: what the folder says and is not served. `unresolved`: what is referred to and is not
    there, so that the object is left out until it is.
    """

    failures: tuple[str, ...]
    unresolved: tuple[str, ...]


def defect(error: Exception) -> str:
    """A defect of our own: where it is, but not its message, which may hold what a file holds."""
    *_, frame = traceback.extract_tb(error.__traceback__)
    place = f"{Path(frame.filename).name}:{frame.lineno} in {frame.name}"
    return f"internal error, loading was not finished: {type(error).__name__} at {place}"


class _Told(NamedTuple):
    findings: tuple[Finding, ...]
    resource: Resource | None
    report: Report


class Reporter:
    """Makes reports. Finding a line means parsing a document, so each object's words are kept."""

    def __init__(self) -> None:
        self._told: dict[ResourceRef, _Told] = {}

    def steps(
        self, files: FileSet, compilation: Compilation | None, refused: Mapping[WantedKey, str]
    ) -> Generator[None, None, Report]:
        """The report on what is known now. Yields after each object."""
        failures = list(files.problems())
        unresolved: list[str] = []
        told: dict[ResourceRef, _Told] = {}
        if compilation is not None:
            findings = _with_refusals(compilation, refused)
            for ref in sorted(findings):
                resource = compilation.inputs.resources.get(ref)
                told[ref] = self._tell(ref, resource, findings[ref])
                failures += told[ref].report.failures
                unresolved += told[ref].report.unresolved
                yield
        self._told = told
        return Report(tuple(failures), tuple(unresolved))

    def _tell(
        self, ref: ResourceRef, resource: Resource | None, findings: tuple[Finding, ...]
    ) -> _Told:
        before = self._told.get(ref)
        if before is not None and before.resource is resource and before.findings == findings:
            return before
        failures: list[str] = []
        unresolved: list[str] = []
        for finding in findings:
            if finding.severity == "error":
                waits = finding.condition == "ResolvedRefs"
                text = str(diagnostic(ref, resource, finding))
                (unresolved if waits else failures).append(text)
        return _Told(findings, resource, Report(tuple(failures), tuple(unresolved)))


def _with_refusals(
    compilation: Compilation, refused: Mapping[WantedKey, str]
) -> Mapping[ResourceRef, tuple[Finding, ...]]:
    if not refused:
        return compilation.findings
    findings = dict(compilation.findings)
    for wanted, why in refused.items():
        ref = ResourceRef("ApiKey", wanted.namespace, wanted.name)
        mine = Finding(None, "KeyNotMinted", f"the key can't be minted: {why}", _GENERATE)
        others = (one for one in findings.get(ref, ()) if one.path != _GENERATE)
        findings[ref] = (mine, *others)
    return findings

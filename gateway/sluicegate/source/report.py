"""What is wrong with a folder, in words. Pure; what was put in words before is remembered."""

from __future__ import annotations

from collections.abc import Generator, Mapping
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

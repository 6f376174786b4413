"""What is wrong with a folder, in words. Pure; what was put in words before is remembered."""

from __future__ import annotations

import traceback
from collections.abc import Collection, Generator, Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from sluicegate.compile import Compilation, WantedKey
from sluicegate.compile.compilation import entry_id
from sluicegate.compile.findings import Finding, diagnostic
from sluicegate.config import ClientKey
from sluicegate.resources import Resource, ResourceRef

_GENERATE = ("spec", "client", "generate")
_NONE_REFUSED: Mapping[WantedKey, str] = MappingProxyType({})
_STEP = 25  # objects that are looked at in one slice


class Report(NamedTuple):
    """What is wrong, one text each.

    `failures`: what the folder says and is not served. `unresolved`: what is referred to and is not
    there, so that the object is left out until it is. `doubtful`: what is served as it is written,
    though somebody should look.
    """

    failures: tuple[str, ...]
    unresolved: tuple[str, ...]
    doubtful: tuple[str, ...] = ()


def defect(error: Exception) -> str:
    """A defect of our own: where it is, but not its message, which may hold what a file holds."""
    *_, frame = traceback.extract_tb(error.__traceback__)
    place = f"{Path(frame.filename).name}:{frame.lineno} in {frame.name}"
    return f"internal error, loading was not finished: {type(error).__name__} at {place}"


def consequence(compilation: Compilation, ref: ResourceRef) -> str:
    """What becomes of an object that has an error."""
    outcome = compilation.state.outcomes.get(ref)
    served = compilation.config.entries.get(entry_id(ref))
    if outcome is not None and outcome.kept and not isinstance(served, ClientKey):
        return "its last good version is served"
    if served is not None and not (outcome is not None and outcome.kept):
        return "the rest of it is served"
    if ref.kind == "ApiKey":
        return "the key is out until this is right"
    return "not served until this is right"


class _Told(NamedTuple):
    findings: tuple[Finding, ...]
    resource: Resource | None
    consequence: str
    report: Report


class Reporter:
    """Makes reports. Finding a line means parsing a document, so each object's words are kept."""

    def __init__(self) -> None:
        self._told: dict[ResourceRef, _Told] = {}

    def steps(
        self,
        problems: Iterable[str],
        compilation: Compilation | None,
        *,
        refused: Mapping[WantedKey, str] = _NONE_REFUSED,
        told: Collection[ResourceRef] = (),
    ) -> Generator[None, None, Report]:
        """The report on what is known now. Yields after each object.

        `problems` are those of files, in words; they tell what is wrong with the objects `told`.
        """
        failures = list(problems)
        unresolved: list[str] = []
        doubtful: tuple[str, ...] = ()
        kept: dict[ResourceRef, _Told] = {}
        if compilation is not None:
            findings = _with_refusals(compilation, refused)
            wrong, doubtful = yield from _by_severity(findings, compilation.inputs.resources)
            for ref in wrong:
                if ref in told:
                    continue
                resource = compilation.inputs.resources.get(ref)
                then = consequence(compilation, ref)
                kept[ref] = self._tell(ref, resource, findings[ref], then)
                failures += kept[ref].report.failures
                unresolved += kept[ref].report.unresolved
                yield
        self._told = kept
        return Report(tuple(failures), tuple(unresolved), doubtful)

    def _tell(
        self,
        ref: ResourceRef,
        resource: Resource | None,
        findings: tuple[Finding, ...],
        then: str,
    ) -> _Told:
        before = self._told.get(ref)
        if (
            before is not None
            and before.resource is resource
            and (before.findings, before.consequence) == (findings, then)
        ):
            return before
        failures: list[str] = []
        unresolved: list[str] = []
        for finding in findings:
            if finding.severity == "error":
                waits = finding.condition == "ResolvedRefs"
                text = str(diagnostic(ref, resource, finding))
                if waits:
                    unresolved.append(text)
                else:
                    failures.append(f"{text} ({then})")
        return _Told(findings, resource, then, Report(tuple(failures), tuple(unresolved)))


def _by_severity(
    findings: Mapping[ResourceRef, tuple[Finding, ...]], resources: Mapping[ResourceRef, Resource]
) -> Generator[None, None, tuple[list[ResourceRef], tuple[str, ...]]]:
    """The objects with an error, and all warnings in words; in order.

    Warnings are told with their files only: lines would take as long to find as those of errors.
    """
    wrong: list[ResourceRef] = []
    doubtful: list[tuple[ResourceRef, str]] = []
    for count, (ref, found) in enumerate(findings.items(), 1):
        if any(finding.severity == "error" for finding in found):
            wrong.append(ref)
        doubtful += ((ref, one.message) for one in found if one.severity == "warning")
        if count % _STEP == 0:
            yield
    words: list[str] = []
    for ref, text in sorted(doubtful):
        resource = resources.get(ref)
        origin = resource.origin if resource is not None else None
        place = f"{origin.file}: " if origin is not None else ""
        words.append(f"{place}{ref.kind} {ref.namespace}/{ref.name}: {text}")
    return sorted(wrong), tuple(words)


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

"""The result of a compile, and what the next one needs to be incremental."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import NamedTuple

from msgspec import Struct

from sluicegate.compile.edits import Shelves
from sluicegate.compile.findings import Condition, Finding, conditions_of, diagnostic
from sluicegate.compile.outcome import Outcome, Use
from sluicegate.compile.pool_stage import PoolIndexes
from sluicegate.compile.settings import Settings
from sluicegate.config import Config
from sluicegate.resources.diagnostics import Diagnostic
from sluicegate.resources.inventory import Inputs
from sluicegate.resources.objects import ResourceRef, SecretRef

_KEPT = "The last good version is still served."


def entry_id(ref: ResourceRef) -> str:
    """The id of an object's entry in the configuration."""
    return f"{'ak' if ref.kind == 'ApiKey' else 'md'}/{ref.namespace}/{ref.name}"


class MintRequest(NamedTuple):
    """An ApiKey with `generate` whose Secret is not there."""

    namespace: str
    name: str
    secret_name: str


class State(Struct, frozen=True, eq=False, gc=False):
    """Indexes over the objects as they were compiled; never changed, a compile edits copies.

    `extra`: findings that come from comparing objects. `users`: who looked up a Secret or an
    ApiKey. `claims`: the ApiKeys with a digest. `due`: when time alone changes an object's outcome.
    """

    outcomes: Shelves[ResourceRef, Outcome] = Shelves[ResourceRef, Outcome]()
    extra: Shelves[ResourceRef, tuple[Finding, ...]] = Shelves[ResourceRef, tuple[Finding, ...]]()
    users: Shelves[Use, Mapping[ResourceRef, None]] = Shelves[Use, Mapping[ResourceRef, None]]()
    claims: Shelves[str, Mapping[ResourceRef, None]] = Shelves[str, Mapping[ResourceRef, None]]()
    due: Shelves[ResourceRef, int] = Shelves[ResourceRef, int]()
    pools: PoolIndexes = PoolIndexes()


class Compilation(Struct, frozen=True, eq=False, gc=False):
    """What the objects became: the configuration, and what there is to say about each.

    `changed`: ids of entries that were added, changed or removed against the previous
    configuration. `next_due`: Unix seconds at which time alone changes the result. `findings` has
    no key for an object without any.
    """

    config: Config
    changed: frozenset[str]
    next_due: int | None
    findings: Mapping[ResourceRef, tuple[Finding, ...]]
    inputs: Inputs
    settings: Settings
    now: float
    state: State

    def conditions(self, ref: ResourceRef) -> tuple[Condition, ...]:
        """Accepted and ResolvedRefs, and those of the abnormal ones that are true."""
        outcome = self.state.outcomes.get(ref)
        note = _KEPT if outcome is not None and outcome.kept else ""
        return conditions_of(self.findings.get(ref, ()), note)

    def secrets_of(self, ref: ResourceRef) -> tuple[SecretRef, ...]:
        """The Secrets that were looked up for an object, found or not."""
        outcome = self.state.outcomes.get(ref)
        uses = outcome.uses if outcome is not None else ()
        return tuple(use for use in uses if isinstance(use, SecretRef))

    def users_of(self, secret: SecretRef) -> Collection[ResourceRef]:
        """The objects that a Secret was looked up for."""
        return self.state.users.get(secret) or ()

    def diagnostics(self) -> Iterator[Diagnostic]:
        """All findings with file and line, by object."""
        for ref in sorted(self.findings):
            for finding in self.findings[ref]:
                yield diagnostic(ref, self.inputs.resources.get(ref), finding)

    def minting(self) -> Iterator[MintRequest]:
        """The keys to mint: `generate` without its Secret."""
        wanting = [
            MintRequest(ref.namespace, ref.name, outcome.mint)
            for ref in self.findings
            if (outcome := self.state.outcomes.get(ref)) is not None and outcome.mint is not None
        ]
        yield from sorted(wanting)

    def __repr__(self) -> str:
        return f"Compilation({self.config!r}, {len(self.changed)} changed)"

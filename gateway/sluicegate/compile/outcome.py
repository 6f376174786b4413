"""What one object became, before it is compared with others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, Protocol, TypeAlias

from msgspec import Struct

from sluicegate.compile.findings import Finding
from sluicegate.compile.settings import Settings
from sluicegate.config import ClientKey, CredentialEntry, Deployment
from sluicegate.resources.objects import ResourceRef, Secret, SecretRef

Offer: TypeAlias = Literal["key", "aws", "google"]
Use: TypeAlias = ResourceRef | SecretRef


class Outcome(Struct, frozen=True, gc=False):
    """The entry of one object, what there is to say about it, and what it depends on.

    `uses`: the Secrets and ApiKeys that were looked up, found or not. `offers`: the kind of an
    upstream credential. `due`: when (Unix seconds) time alone changes this. `kept`: the entry is
    the last good one. `mint`: the Secret that a `generate` waits for.
    """

    entry: Deployment | CredentialEntry | ClientKey | None
    findings: tuple[Finding, ...] = ()
    uses: tuple[Use, ...] = ()
    offers: Offer | None = None
    due: int | None = None
    kept: bool = False
    mint: str | None = None


class KeyOutcomes(Protocol):
    """The outcomes of the ApiKeys."""

    def get(self, ref: ResourceRef, /) -> Outcome | None:
        """The outcome of one, None where there is no such object."""
        ...


class View(Struct, frozen=True, eq=False, gc=False):
    """What an object's compile may look at besides the object itself."""

    settings: Settings
    secrets: Mapping[SecretRef, Secret]
    keys: KeyOutcomes
    now: float

"""Objects as loaded.

Who they are, where they stand, and their content, before their spec is judged.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct, field

from sluicegate.resources.yaml_documents import FieldPath, line_of


class ResourceRef(Struct, frozen=True, order=True, gc=False):
    """A ModelDeployment or an ApiKey."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}"


class SecretRef(Struct, frozen=True, order=True, gc=False):
    """A Secret."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"Secret {self.namespace}/{self.name}"


class Origin(Struct, frozen=True, gc=False):
    """Where an object stands.

    `line` (from 0) is where its document begins, `path` leads to it in a List.
    """

    file: str
    line: int
    text: str
    path: FieldPath = ()

    def line_of(self, path: FieldPath) -> int:
        """The line (from 1) of a field of the object, or of its nearest ancestor that is there."""
        return self.line + line_of(self.text, self.path + path) + 1

    def __repr__(self) -> str:  # the text may be a Secret's
        return f"Origin({self.file}:{self.line + 1})"


class Resource(Struct, frozen=True, gc=False):
    """A custom resource.

    `manifest` is its canonical JSON; resources with equal manifests are equal to compile.

    `origin` is None for an object that comes from no file.
    """

    ref: ResourceRef
    manifest: bytes
    origin: Origin | None = None

    def __repr__(self) -> str:
        return f"Resource({self.ref})"


class Secret(Struct, frozen=True, gc=False):
    """A core/v1 Secret, decoded. Its values appear in no repr.

    `missing` says why an entry that is written has no value; `unset` names the environment variable
    that an entry wants and that is not set. `labelled`: it carries `sluicegate.dev/credential:
    "true"`. `minted_for`: the ApiKey whose key the operator (or the folder source) minted into it;
    never set by a manifest.
    """

    namespace: str
    name: str
    values: Mapping[str, str]
    missing: Mapping[str, str] = field(default_factory=dict[str, str])
    unset: Mapping[str, str] = field(default_factory=dict[str, str])
    labelled: bool = False
    minted_for: str | None = None
    origin: Origin | None = None

    @property
    def ref(self) -> SecretRef:
        """Namespace and name."""
        return SecretRef(self.namespace, self.name)

    def same_content(self, other: Secret) -> bool:
        """Whether both are equal to compile: where they stand does not count."""
        return (self.values, self.missing, self.unset, self.labelled, self.minted_for) == (
            other.values,
            other.missing,
            other.unset,
            other.labelled,
            other.minted_for,
        )

    def __repr__(self) -> str:
        return f"Secret({self.namespace}/{self.name}, …)"

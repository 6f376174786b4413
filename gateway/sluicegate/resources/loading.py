"""A file's text to objects and diagnostics.

Document by document, remembering documents that did not change.

Called by the folder source (through the step generator, so that a big file never holds the event
loop), by `lint` and by tests. Specs are judged by compile, not here, but for those of objects
without a proper name: compile never sees them.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from types import MappingProxyType

import msgspec
from msgspec import Struct

from sluicegate.resources.diagnostics import Diagnostic, field_name
from sluicegate.resources.documents import (
    Document,
    Problem,
    ResourceDocument,
    SecretDocument,
    read_document,
)
from sluicegate.resources.objects import Origin, Resource, ResourceRef, Secret, SecretRef
from sluicegate.resources.yaml_documents import JsonValue, Piece, split_documents

_NOTHING: Mapping[str, str] = MappingProxyType({})
_NO_DOCUMENTS: Mapping[str, Document] = MappingProxyType({})


class LoadedFile(Struct, frozen=True, gc=False):
    """What a file holds. `documents` is the memo for the next load of the same file.

    `unreadable`: a document can't be read whole. Objects of the previous load that are missing now
    may be what it was about, so they are kept (`carried`), but for client keys: what grants access
    fails closed.
    """

    file: str
    resources: Mapping[ResourceRef, Resource]
    secrets: Mapping[SecretRef, Secret]
    diagnostics: tuple[Diagnostic, ...] = ()
    ignored: int = 0
    unreadable: bool = False
    carried: int = 0
    documents: Mapping[str, Document] = _NO_DOCUMENTS

    def __repr__(self) -> str:
        return (
            f"LoadedFile({self.file}, {len(self.resources)} resources, {len(self.secrets)} secrets)"
        )


def load_text(
    file: str,
    text: str,
    previous: LoadedFile | None = None,
    environ: Mapping[str, str] = _NOTHING,
) -> LoadedFile:
    """Load a file's text; never raises on its content.

    `previous` is what the last load of this file gave.
    """
    steps = load_steps(file, text, previous, environ)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


def load_steps(
    file: str,
    text: str,
    previous: LoadedFile | None = None,
    environ: Mapping[str, str] = _NOTHING,
) -> Generator[None, None, LoadedFile]:
    """As `load_text`, in steps of one document each."""
    loader = _Loader(file, environ)
    known: Mapping[str, Document] = previous.documents if previous is not None else _NO_DOCUMENTS
    for piece in split_documents(text):
        document = known.get(piece.text)
        loader.add(piece, read_document(piece.text) if document is None else document)
        yield
    if previous is not None and loader.unreadable:
        loader.carry(previous)
    return loader.result()


def unreadable_file(file: str, message: str, previous: LoadedFile | None = None) -> LoadedFile:
    """The result for a file that can't be read at all.

    Keeps what the previous load gave, but for client keys.
    """
    loader = _Loader(file, _NOTHING)
    loader.diagnostics.append(Diagnostic(file, 1, "", "", "", "", "Unreadable", "error", message))
    loader.unreadable = True
    if previous is not None:
        loader.carry(previous)
        loader.documents.update(previous.documents)
    return loader.result()


class _Loader:
    """Gathers the objects of one file."""

    def __init__(self, file: str, environ: Mapping[str, str]) -> None:
        self._file = file
        self._environ = environ
        self._resources: dict[ResourceRef, Resource] = {}
        self._secrets: dict[SecretRef, Secret] = {}
        self._ignored = 0
        self._carried = 0
        self.documents: dict[str, Document] = {}
        self.diagnostics: list[Diagnostic] = []
        self.unreadable = False

    def add(self, piece: Piece, document: Document) -> None:
        self.documents[piece.text] = document
        self._ignored += document.ignored
        self.unreadable |= not document.readable or bool(document.problems)
        for problem in document.problems:
            self.diagnostics.append(self._diagnostic(piece, problem))
        for found in document.resources:
            self._add_resource(piece, found)
        for found in document.secrets:
            self._add_secret(piece, found)

    def _add_resource(self, piece: Piece, found: ResourceDocument) -> None:
        origin = Origin(self._file, piece.line, piece.text, found.path)
        first = self._resources.get(found.ref)
        if first is None:
            self._resources[found.ref] = Resource(found.ref, found.manifest, origin)
        else:
            self._twice(found.ref, first.origin, origin)

    def _add_secret(self, piece: Piece, found: SecretDocument) -> None:
        values, unset = dict(found.values), dict[str, str]()
        for key, variable in found.variables.items():
            value = self._environ.get(variable)
            if value is None:
                unset[key] = variable
            else:
                values[key] = value
        origin = Origin(self._file, piece.line, piece.text, found.path)
        secret = Secret(
            found.namespace, found.name, values, found.missing, unset, found.labelled, origin=origin
        )
        first = self._secrets.get(secret.ref)
        if first is None:
            self._secrets[secret.ref] = secret
        else:
            self._twice(ResourceRef("Secret", secret.namespace, secret.name), first.origin, origin)

    def _twice(self, ref: ResourceRef, first: Origin | None, second: Origin) -> None:
        if first is not None:
            self.diagnostics.extend(conflict(ref, first, [second]))

    def _diagnostic(self, piece: Piece, problem: Problem) -> Diagnostic:
        origin = Origin(self._file, piece.line, piece.text)
        line = (
            origin.line_of(problem.path) if problem.line is None else piece.line + problem.line + 1
        )
        return Diagnostic(
            self._file,
            line,
            problem.kind,
            problem.namespace,
            problem.name,
            field_name(problem.path),
            problem.reason,
            "error",
            problem.message,
        )

    def carry(self, previous: LoadedFile) -> None:
        """Keep what the previous load had and this one misses, but for client keys."""
        for ref, resource in previous.resources.items():
            if ref not in self._resources and not _grants(resource):
                self._resources[ref] = resource
                self._carried += 1
        for ref, secret in previous.secrets.items():
            if ref not in self._secrets:
                self._secrets[ref] = secret
                self._carried += 1

    def result(self) -> LoadedFile:
        return LoadedFile(
            self._file,
            self._resources,
            self._secrets,
            tuple(self.diagnostics),
            self._ignored,
            unreadable=self.unreadable,
            carried=self._carried,
            documents=self.documents,
        )


def _grants(resource: Resource) -> bool:
    """Whether it is a client key."""
    if resource.ref.kind != "ApiKey":
        return False
    manifest: dict[str, JsonValue] = msgspec.json.decode(resource.manifest)
    spec = manifest.get("spec")
    return isinstance(spec, dict) and "client" in spec


def conflict(ref: ResourceRef, holder: Origin, others: list[Origin]) -> list[Diagnostic]:
    """The diagnostics of one object in several places: one at each, naming the other."""
    places = [f"{origin.file}:{origin.line_of(())}" for origin in (holder, *others)]
    found: list[Diagnostic] = []
    for index, origin in enumerate((holder, *others)):
        if index == 0:
            message = f"the same object is also in {', '.join(places[1:])}; this one is used"
        else:
            message = f"the same object is also in {places[0]}, and that one is used"
        found.append(
            Diagnostic(
                origin.file,
                origin.line_of(()),
                ref.kind,
                ref.namespace,
                ref.name,
                "metadata.name",
                "DuplicateObject",
                "error",
                message + "; keep one of them",
            )
        )
    return found

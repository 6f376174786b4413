"""One document to the objects in it: identity, Lists, Secrets.

What does not depend on file, line or environment.

The result is remembered by the document's text (see `loading`), so it holds only lines relative to
the document.
"""

from __future__ import annotations

import base64
import binascii
import difflib
import re
from collections.abc import Iterator, Mapping
from typing import Protocol, TypeAlias

import msgspec
from msgspec import Struct

from sluicegate.resources.fields import LABEL, SUBDOMAIN
from sluicegate.resources.manifest import API_VERSION, GROUP
from sluicegate.resources.objects import Resource, ResourceRef
from sluicegate.resources.validation import Invalid, validate
from sluicegate.resources.yaml_documents import (
    DocumentError,
    FieldPath,
    JsonValue,
    parse_document,
)

CREDENTIAL_LABEL = "sluicegate.dev/credential"
# What stands for a key in a shell, a pod's template, LiteLLM: as a key, anybody would guess it.
PLACEHOLDER = re.compile(r"\$(\([^()]*\)|\{[^{}]*\}|[A-Z_][A-Z0-9_]*)|os\.environ/.*", re.ASCII)
KINDS = ("ModelDeployment", "ApiKey")
_NAME = re.compile(SUBDOMAIN, re.ASCII)
_NAMESPACE = re.compile(LABEL, re.ASCII)
_FROM_ENVIRONMENT = re.compile(r"\$\(([A-Za-z_][A-Za-z0-9_]*)\)", re.ASCII)
_ENTRY = re.compile(r"[-._a-zA-Z0-9]{1,253}", re.ASCII)
_MAX_NAME = 253
_MAX_NAMESPACE = 63

_encoder = msgspec.json.Encoder(order="sorted")
_JsonObject: TypeAlias = dict[str, JsonValue]


class Problem(Struct, frozen=True, gc=False):
    """Something wrong in a document; `path` leads to the field from the document's top."""

    reason: str
    message: str
    path: FieldPath = ()
    line: int | None = None
    kind: str = ""
    namespace: str = ""
    name: str = ""


class ResourceDocument(Struct, frozen=True, gc=False):
    """A custom resource: its identity and canonical JSON."""

    ref: ResourceRef
    manifest: bytes
    path: FieldPath


class SecretDocument(Struct, frozen=True, gc=False):
    """A Secret: `variables` names the environment variable of each `$(NAME)` entry."""

    namespace: str
    name: str
    values: Mapping[str, str]
    missing: Mapping[str, str]
    variables: Mapping[str, str]
    labelled: bool
    path: FieldPath

    def __repr__(self) -> str:
        return f"SecretDocument({self.namespace}/{self.name}, …)"


class Document(Struct, frozen=True, gc=False):
    """What one document holds. `readable` is False where its YAML does not parse."""

    resources: tuple[ResourceDocument, ...] = ()
    secrets: tuple[SecretDocument, ...] = ()
    problems: tuple[Problem, ...] = ()
    ignored: int = 0
    readable: bool = True


class _Refused(Exception):
    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem


def read_document(text: str) -> Document:
    """The objects of one document's text; never raises."""
    try:
        value = parse_document(text)
    except DocumentError as error:
        problem = Problem("InvalidYAML", str(error), line=error.line)
        return Document(problems=(problem,), readable=False)
    resources: list[ResourceDocument] = []
    secrets: list[SecretDocument] = []
    problems: list[Problem] = []
    ignored = 0
    for path, item in _items(value, ()):
        try:
            found = _object(item, path, problems)
        except _Refused as refused:
            problems.append(refused.problem)
            continue
        if isinstance(found, ResourceDocument):
            resources.append(found)
        elif isinstance(found, SecretDocument):
            secrets.append(found)
        else:
            ignored += 1
    return Document(tuple(resources), tuple(secrets), tuple(problems), ignored)


def _items(value: JsonValue, path: FieldPath) -> Iterator[tuple[FieldPath, JsonValue]]:
    """The objects in a value: itself, or the items of a List, as kubectl expands it."""
    if value is None:
        return
    if isinstance(value, dict):
        kind, items = value.get("kind"), value.get("items")
        if isinstance(kind, str) and kind.endswith("List") and isinstance(items, list):
            for index, item in enumerate(items):
                yield from _items(item, (*path, "items", index))
            return
    yield path, value


def _object(
    value: JsonValue, path: FieldPath, problems: list[Problem]
) -> ResourceDocument | SecretDocument | None:
    if not isinstance(value, dict):
        raise _refuse("must be an object with apiVersion, kind, metadata and spec", path)
    version, kind = value.get("apiVersion"), value.get("kind")
    if not isinstance(version, str) or not version:
        raise _refuse(f"apiVersion is required, as in apiVersion: {API_VERSION}", path)
    if not isinstance(kind, str) or not kind:
        raise _refuse("kind is required, as in kind: ModelDeployment", path)
    is_secret = version == "v1" and kind == "Secret"
    if not is_secret and version != GROUP and not version.startswith(GROUP + "/"):
        if kind in KINDS and _is_mistyped(version.partition("/")[0]):
            raise _refuse(f"apiVersion must be {API_VERSION}", (*path, "apiVersion"))
        return None
    if not is_secret and kind not in KINDS:
        raise _refuse(f"kind must be {' or '.join(KINDS)}{_similar(kind)}", (*path, "kind"))
    try:
        namespace, name = _identity(value, kind, path)
    except _Refused as refused:
        # Nobody else looks at an object without a name, and one look shall tell all.
        if is_secret:
            _secret(value, "", "", path, problems)
        elif version == API_VERSION:
            problems.extend(_other_flaws(value, kind, path, refused.problem))
        raise
    if is_secret:
        return _secret(value, namespace, name, path, problems)
    if version != API_VERSION:
        where = (*path, "apiVersion")
        message = f"apiVersion must be {API_VERSION}"
        raise _Refused(Problem("InvalidSpec", message, where, None, kind, namespace, name))
    ref = ResourceRef(kind, namespace, name)
    return ResourceDocument(ref, _encoder.encode(value), path)


def _other_flaws(
    value: _JsonObject, kind: str, path: FieldPath, told: Problem
) -> Iterator[Problem]:
    """What is wrong with a custom resource that has no proper name, beside what is `told`."""
    judged = validate(Resource(ResourceRef(kind, "", ""), _encoder.encode(value)))
    if isinstance(judged, Invalid):
        for flaw in judged.flaws:
            if path + flaw.path != told.path:
                yield Problem("InvalidSpec", flaw.message, path + flaw.path, None, kind)


def _similar(kind: str) -> str:
    close = difflib.get_close_matches(kind, KINDS, n=1)
    return f"; did you mean {close[0]}?" if close else ""


def _is_mistyped(group: str) -> bool:
    """Whether a group is meant to be ours, but is not."""
    return bool(difflib.get_close_matches(group, (GROUP,), n=1, cutoff=0.7))


def _refuse(message: str, path: FieldPath, kind: str = "") -> _Refused:
    return _Refused(Problem("InvalidManifest", message, path, None, kind))


def _identity(value: _JsonObject, kind: str, path: FieldPath) -> tuple[str, str]:
    metadata = value.get("metadata")
    if not isinstance(metadata, dict):
        message = "metadata is required, as in metadata: {name: my-name}"
        raise _refuse(message, (*path, "metadata"), kind)
    name, namespace = metadata.get("name"), metadata.get("namespace")
    where = (*path, "metadata", "name")
    if not isinstance(name, str):
        hint = "" if name is None else ", a string (put it in quotes)"
        raise _refuse(
            f"metadata.name is required{hint}, as in metadata: {{name: my-name}}", where, kind
        )
    if len(name) > _MAX_NAME or _NAME.fullmatch(name) is None:
        raise _refuse(
            f"metadata.name must be at most {_MAX_NAME} lower-case letters, digits, '-' and '.', "
            "beginning and ending with a letter or digit",
            where,
            kind,
        )
    if namespace is None or namespace == "":
        return "default", name
    if (
        not isinstance(namespace, str)
        or len(namespace) > _MAX_NAMESPACE
        or _NAMESPACE.fullmatch(namespace) is None
    ):
        raise _refuse(
            f"metadata.namespace must be at most {_MAX_NAMESPACE} lower-case letters, digits and "
            "'-', "
            "beginning and ending with a letter or digit, and a string (put digits in quotes)",
            (*path, "metadata", "namespace"),
            kind,
        )
    return namespace, name


def _secret(
    value: _JsonObject, namespace: str, name: str, path: FieldPath, problems: list[Problem]
) -> SecretDocument:
    values: dict[str, str] = {}
    missing: dict[str, str] = {}
    variables: dict[str, str] = {}

    def wrong(message: str, *where: str) -> None:
        at = (*path, *where)
        problems.append(Problem("InvalidManifest", message, at, None, "Secret", namespace, name))
        if len(where) > 1:
            values.pop(where[-1], None)
            missing[where[-1]] = message

    for key, encoded in _entries(value, "data", wrong):
        text = _decoded(encoded)
        if text is None:
            wrong("must be base64 of UTF-8 text; plain text belongs into stringData", "data", key)
        else:
            values[key] = text
    for key, text in _entries(value, "stringData", wrong):
        missing.pop(key, None)
        variable = _FROM_ENVIRONMENT.fullmatch(text)
        if variable is not None:
            values.pop(key, None)
            variables[key] = variable.group(1)
        else:
            values[key] = text
    labelled = _label(value) == "true"
    return SecretDocument(namespace, name, values, missing, variables, labelled, path)


class _Report(Protocol):
    def __call__(self, message: str, *where: str) -> None: ...


def _entries(value: _JsonObject, section: str, report: _Report) -> Iterator[tuple[str, str]]:
    entries = value.get(section)
    if entries is None:
        return
    if not isinstance(entries, dict):
        report("must be a mapping", section)
        return
    for key, text in entries.items():
        if _ENTRY.fullmatch(key) is None:
            report("must have entries named by letters, digits, '-', '_' and '.'", section)
        elif not isinstance(text, str):
            report("must be a string: put the value in quotes", section, key)
        else:
            yield key, text


def _decoded(encoded: str) -> str | None:
    try:
        return base64.b64decode("".join(encoded.split()), validate=True).decode()
    except (binascii.Error, ValueError):
        return None


def _label(value: _JsonObject) -> JsonValue:
    metadata = value.get("metadata")
    labels = metadata.get("labels") if isinstance(metadata, dict) else None
    return labels.get(CREDENTIAL_LABEL) if isinstance(labels, dict) else None

"""The files of a configuration as one: the first, and those that its `include` names."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from dataclasses import dataclass, field

from sluicegate.litellm_config.findings import Findings, Place, SourceFile
from sluicegate.litellm_config.values import Environment, ReadFile, Section, Unreadable
from sluicegate.resources.yaml_documents import (
    DocumentError,
    JsonValue,
    parse_document,
    split_documents,
)
from sluicegate.resources.yaml_scalars import JsonScalar, plain_scalar

_MOST_FILES = 100


@dataclass(frozen=True, slots=True)
class Part:
    """The value of a top-level key in one file."""

    value: JsonValue
    place: Place


@dataclass(slots=True)
class Configuration:
    """The top-level keys. A list has a part for each file; of anything else the last one holds."""

    first: SourceFile
    readable: bool = True
    parts: dict[str, list[Part]] = field(default_factory=dict[str, list[Part]])

    def take(self, key: str) -> list[Part]:
        """The parts of a key, which is then done with."""
        return [part for part in self.parts.pop(key, []) if part.value is not None]

    def section(self, key: str, findings: Findings, environment: Environment) -> Section:
        """The mapping under a key; an empty one where there is none."""
        for part in self.take(key):
            if isinstance(part.value, dict):
                return Section(part.value, part.place, findings, environment)
            findings.error(part.place, "must be a mapping")
        return Section({}, Place(self.first, (key,)), findings, environment)

    def items(self, key: str, findings: Findings) -> Iterator[tuple[Place, JsonValue]]:
        """The items of the list under a key."""
        for part in self.take(key):
            if isinstance(part.value, list):
                for index, item in enumerate(part.value):
                    yield part.place.below(index), item
            else:
                findings.error(part.place, "must be a list")
                self.readable = False


def load(name: str, text: str, read: ReadFile, findings: Findings) -> Configuration:
    """Read the first file's text and what it includes. What is wrong is among the findings."""
    first = SourceFile(name, text)
    found = Configuration(first)
    _add(found, first, text, findings)
    folder, seen = posixpath.dirname(name), {name}
    waiting = _includes(found, findings)
    while waiting:
        place, include = waiting.pop(0)
        path = posixpath.join(folder, include)
        if path in seen:
            findings.note(place, "is included twice: it counts once")
            continue
        seen.add(path)
        if len(seen) > _MOST_FILES:
            findings.error(place, f"is one of more than {_MOST_FILES} files")
            found.readable = False
            break
        try:
            content = read(path)
        except Unreadable as error:
            findings.error(place, f"can't be read: {error}")
            found.readable = False
            continue
        _add(found, SourceFile(path, content), content, findings)
        waiting += _includes(found, findings)
    return found


def _add(found: Configuration, source: SourceFile, text: str, findings: Findings) -> None:
    content = _parse(source, text, findings)
    if content is None:
        found.readable = False
        return
    for key, value in content.items():
        part = Part(value, Place(source, (key,)))
        before = found.parts.get(key)
        if before and isinstance(value, list):
            before.append(part)
        else:
            for replaced in before or ():
                if replaced.value is not None:
                    findings.warning(
                        replaced.place, f"does not count: {source.name} has the same key"
                    )
            found.parts[key] = [part]


def _parse(source: SourceFile, text: str, findings: Findings) -> dict[str, JsonValue] | None:
    top = Place(source, ())
    pieces = list(split_documents(text))
    if len(pieces) != 1:
        findings.error(
            top, "holds several documents; a configuration is one" if pieces else "is empty"
        )
        return None
    try:
        content = parse_document("\n" * pieces[0].line + pieces[0].text, plain=_plain)
    except DocumentError as error:
        findings.error_at(source, error.line, str(error))
        return None
    if not isinstance(content, dict):
        findings.error(top, "must be a mapping with model_list and settings")
        return None
    return content


def _plain(text: str) -> JsonScalar:
    # To PyYAML, which LiteLLM reads with, these are no booleans; `n` is a request parameter.
    return text if text in {"y", "Y", "n", "N"} else plain_scalar(text)


def _includes(found: Configuration, findings: Findings) -> list[tuple[Place, str]]:
    paths: list[tuple[Place, str]] = []
    for place, item in found.items("include", findings):
        if isinstance(item, str) and item:
            paths.append((place, item))
        else:
            findings.error(place, "must be the path of a file")
            found.readable = False
    return paths

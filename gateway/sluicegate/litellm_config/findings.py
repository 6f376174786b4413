"""What there is to say about a LiteLLM configuration, with file and line."""

from __future__ import annotations

from functools import cached_property
from typing import Literal, NamedTuple, TypeAlias

import yaml
from msgspec import Struct
from yaml._yaml import CParser
from yaml.events import (
    AliasEvent,
    CollectionEndEvent,
    Event,
    MappingStartEvent,
    ScalarEvent,
    SequenceStartEvent,
    StreamEndEvent,
)

from sluicegate.resources import field_name
from sluicegate.resources.yaml_documents import FieldPath

# error: the configuration is wrong, and something of it is not served. warning: it has no
# counterpart, or another meaning here. note: translated, or needs nothing, and good to know.
Severity: TypeAlias = Literal["error", "warning", "note"]


class Finding(Struct, frozen=True, order=True, gc=False):
    """One thing to say. `line` counts from 1. The message never holds a credential."""

    file: str
    line: int
    key: str
    severity: Severity
    message: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}"
        text = ": ".join(part for part in (place, self.key, self.message) if part)
        return text if self.severity == "error" else f"{text} [{self.severity}]"


class SourceFile:
    """A file of the configuration, and the line of each of its keys."""

    def __init__(self, name: str, text: str) -> None:
        self.name = name
        self._text = text

    def line_of(self, path: FieldPath) -> int:
        """The line (from 1) of a key, or of its nearest ancestor that is there."""
        while path and path not in self._lines:
            path = path[:-1]
        return self._lines.get(path, 0) + 1

    @cached_property
    def _lines(self) -> dict[FieldPath, int]:
        return _lines(self._text)

    def __repr__(self) -> str:  # the text may hold keys
        return f"SourceFile({self.name!r}, …)"


class Place(NamedTuple):
    """A key of a file."""

    source: SourceFile
    path: FieldPath

    def below(self, *parts: str | int) -> Place:
        """A key in this one."""
        return Place(self.source, self.path + parts)

    @property
    def line(self) -> int:
        """Its line, from 1."""
        return self.source.line_of(self.path)


class Findings:
    """Gathers findings."""

    def __init__(self) -> None:
        self._found: dict[Finding, None] = {}
        self.errors = 0

    def error(self, place: Place, message: str) -> None:
        """Something is wrong with the configuration."""
        self._add(place, "error", message)
        self.errors += 1

    def error_at(self, source: SourceFile, line: int, message: str) -> None:
        """Something is wrong in a line (from 0) of which no key is known."""
        self._found[Finding(source.name, line + 1, "", "error", message)] = None
        self.errors += 1

    def warning(self, place: Place, message: str) -> None:
        """Something is lost, or means something else."""
        self._add(place, "warning", message)

    def note(self, place: Place, message: str) -> None:
        """Something is good to know."""
        self._add(place, "note", message)

    def add(self, place: Place, severity: Severity, message: str) -> None:
        """One of any severity."""
        {"error": self.error, "warning": self.warning, "note": self.note}[severity](place, message)

    def _add(self, place: Place, severity: Severity, message: str) -> None:
        key = field_name(place.path)
        self._found[Finding(place.source.name, place.line, key, severity, message)] = None

    def all(self) -> tuple[Finding, ...]:
        """All of them, each once, in the order of the files' lines."""
        return tuple(sorted(self._found))


def _lines(text: str) -> dict[FieldPath, int]:
    """The line (from 0) of every node that is written out, by its path; of a value, its key's."""
    lines: dict[FieldPath, int] = {}
    parser = CParser(text)
    try:
        _walk(parser, lines)
    except (yaml.YAMLError, UnicodeError):
        pass  # what was found before it is enough for a message
    finally:
        parser.dispose()
    return lines


def _walk(parser: CParser, lines: dict[FieldPath, int]) -> None:
    # A frame is [the last part of the path, whether the value of that key is due]; a sequence's
    # part counts up.
    stack: list[list[str | int]] = []
    path: list[str | int] = []
    while True:
        event = parser.get_event()
        if event is None or isinstance(event, StreamEndEvent):
            return
        if isinstance(event, CollectionEndEvent):
            stack.pop()
            del path[len(stack) - 1 :]
            continue
        opens = isinstance(event, (MappingStartEvent, SequenceStartEvent))
        if not opens and not isinstance(event, (ScalarEvent, AliasEvent)):
            continue
        if stack:
            part = _step(stack[-1], event)
            lines.setdefault((*path, part), _line(event))
            if opens:
                path.append(part)
        if opens:
            stack.append([-1, False] if isinstance(event, SequenceStartEvent) else ["", False])


def _step(frame: list[str | int], event: Event) -> str | int:
    """The part of the path that a node belongs to: an item, a key, or the value of that key."""
    part, is_value = frame
    if isinstance(part, int):
        frame[0] = part + 1
    else:
        frame[1] = not is_value
        if not is_value:
            frame[0] = event.value if isinstance(event, ScalarEvent) else ""
    return frame[0]


def _line(event: Event) -> int:
    line: object = getattr(event.start_mark, "line", 0)
    return line if isinstance(line, int) else 0

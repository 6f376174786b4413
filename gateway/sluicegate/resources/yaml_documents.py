"""Strict YAML: text to documents, a document to JSON values, a field's path to its line.

The text is first cut at lines that begin with `---` or `...`, which YAML allows nowhere else in the
first column, so a caller can remember the value of each piece and parse only those that changed.
Parsing works on libyaml's events with a stack of our own: nesting can't overflow the C stack, and
aliases can't blow up. Lines are found by a second walk, only when there is something to say about
them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

import yaml
from yaml._yaml import CParser
from yaml.events import (
    AliasEvent,
    CollectionEndEvent,
    DocumentStartEvent,
    Event,
    MappingStartEvent,
    ScalarEvent,
    SequenceStartEvent,
    StreamEndEvent,
)

from sluicegate.resources.yaml_scalars import JsonScalar, ScalarError, plain_scalar

JsonValue: TypeAlias = "JsonScalar | list[JsonValue] | dict[str, JsonValue]"
FieldPath: TypeAlias = tuple[str | int, ...]

MAX_DEPTH = 64
# What aliases may add to a document, in characters and nodes: a bound on "billion laughs".
MAX_ALIASED = 1_000_000
_CORE = "tag:yaml.org,2002:"
_CONTENT = re.compile(r"^[ \t]*[^\s#]", re.MULTILINE)
_MARKER = re.compile(r"^(---|\.\.\.)(?=\s|$)", re.MULTILINE)
# What to write where libyaml says only what it has met.
_REMEDIES = {
    "mapping values are not allowed in this context": (
        "put a value that holds ': ' in quotes, or mend the line before"
    ),
    "did not find expected alphabetic or numeric character": (
        "put a value that begins with '*' or '&' in quotes"
    ),
    "found character that cannot start any token": (
        "put a value that begins with '@', '`' or '%' in quotes"
    ),
    "found unexpected end of stream": "a quote is opened and not closed",
    "could not find expected ':'": "a key needs ': ' after it",
    "did not find expected <document start>": "begin all keys of a mapping in one column",
}
_TAB_BEFORE = re.compile(r"[ ?-]*\t")
_BETWEEN = "; between two objects there must be a line '---'"
_TAB = "indent with spaces: YAML takes no tab there"


class Piece(NamedTuple):
    """A document's text; `line` is the number (from 0) of its first line in the file."""

    line: int
    text: str

    def __repr__(self) -> str:  # the text may be a Secret's
        return f"Piece(line={self.line}, …)"


class DocumentError(ValueError):
    """The document can't be read; `line` counts from 0 within it.

    The message says what to write.
    """

    def __init__(self, message: str, line: int) -> None:
        super().__init__(message)
        self.line = line


def split_documents(text: str) -> Iterator[Piece]:
    """The documents of a file. Pieces that hold only white space and comments are left out."""
    text = text.removeprefix("\ufeff")
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    start = line = 0
    for match in _MARKER.finditer(text):
        if match.start() > start:
            piece = text[start : match.start()]
            if not _is_blank(piece):
                yield Piece(line, piece)
            line += piece.count("\n")
        start = match.start()
    if not _is_blank(text[start:]):
        yield Piece(line, text[start:])


def _is_blank(piece: str) -> bool:
    """Whether a piece has neither content nor directives."""
    marker = _MARKER.match(piece)
    if marker is None:
        return _CONTENT.search(piece) is None
    line, _, rest = piece[marker.end() :].partition("\n")
    line = line.strip()
    return (not line or line.startswith("#")) and _CONTENT.search(rest) is None


@dataclass(slots=True)
class _Frame:
    """A collection that is being read."""

    anchor: str | None
    mapping: dict[str, JsonValue] | None = None
    sequence: list[JsonValue] | None = None
    key: str | None = None
    merging: bool = False
    merges: list[dict[str, JsonValue]] = field(default_factory=list[dict[str, JsonValue]])
    weight: int = 1

    @property
    def wants_key(self) -> bool:
        """Whether the next node is a mapping's key."""
        return self.mapping is not None and self.key is None


def parse_document(text: str, *, plain: Callable[[str], JsonScalar] = plain_scalar) -> JsonValue:
    """The JSON value of one document. Raises DocumentError.

    `plain` gives the value of an unquoted scalar, or raises ScalarError.
    """
    try:
        parser = CParser(text)
        try:
            return _Reader(parser, plain).read()
        finally:
            parser.dispose()
    except yaml.YAMLError as error:
        raise _syntax_error(error, text.rstrip()) from None
    except UnicodeError:
        raise DocumentError("the text is not valid Unicode", 0) from None


def _syntax_error(error: yaml.YAMLError, text: str) -> DocumentError:
    mark: object = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    problem: object = getattr(error, "problem", None) or getattr(error, "reason", None)
    # What is missing at the end is missing in the last line that has something.
    line = min(_mark_line(mark), text.count("\n"))
    words = ["the YAML does not parse", str(problem or "it is malformed")]
    remedy = _remedy(words[1], text.split("\n")[line])
    return DocumentError(": ".join(words) + (f"; {remedy}" if remedy else ""), line)


def _remedy(problem: str, line: str) -> str | None:
    if "tab character" in problem or ("start any token" in problem and _TAB_BEFORE.match(line)):
        return _TAB
    return _REMEDIES.get(problem)


class _Reader:
    """Builds the value of one document from the parser's events."""

    def __init__(self, parser: CParser, plain: Callable[[str], JsonScalar]) -> None:
        self._parser = parser
        self._plain = plain
        self._stack: list[_Frame] = []
        self._anchors: dict[str, tuple[JsonValue, int]] = {}
        self._aliased = 0
        self._value: JsonValue = None

    def read(self) -> JsonValue:
        documents = 0
        while True:
            event = self._parser.get_event()
            kind = type(event)
            if event is None or kind is StreamEndEvent:
                return self._value
            if isinstance(event, ScalarEvent):
                self._scalar(event)
            elif isinstance(event, MappingStartEvent):
                self._open(event, _Frame(event.anchor, mapping={}))
            elif isinstance(event, SequenceStartEvent):
                self._open(event, _Frame(event.anchor, sequence=[]))
            elif isinstance(event, CollectionEndEvent):
                self._close(event)
            elif isinstance(event, AliasEvent):
                self._alias(event)
            elif kind is DocumentStartEvent:
                documents += 1
                if documents > 1:
                    raise DocumentError("a new document must begin with '---'", _line(event))

    def _scalar(self, event: ScalarEvent) -> None:
        frame = self._stack[-1] if self._stack else None
        if frame is not None and frame.wants_key and _is_merge(event):
            frame.key, frame.merging = "<<", True
            return
        value = _scalar_value(event, self._plain)
        weight = 1 + len(event.value)
        if event.anchor is not None:
            self._anchors[event.anchor] = (value, weight)
        self._add(value, weight, event)

    def _open(self, event: MappingStartEvent | SequenceStartEvent, frame: _Frame) -> None:
        if len(self._stack) >= MAX_DEPTH:
            raise DocumentError(f"the document is nested deeper than {MAX_DEPTH}", _line(event))
        expected = "map" if frame.mapping is not None else "seq"
        if event.tag not in {None, "!", _CORE + expected}:
            raise DocumentError(f"the tag {event.tag!r} is not allowed", _line(event))
        if self._stack and self._stack[-1].wants_key:
            raise DocumentError("a mapping's key must be a string", _line(event))
        if event.anchor is not None:
            self._anchors.pop(event.anchor, None)  # an alias within its own anchor finds nothing
        self._stack.append(frame)

    def _close(self, event: Event) -> None:
        frame = self._stack.pop()
        value: JsonValue
        if frame.mapping is None:
            value = frame.sequence
        else:
            value = frame.mapping
            for merged in frame.merges:
                for key, item in merged.items():
                    value.setdefault(key, item)
        if frame.anchor is not None:
            self._anchors[frame.anchor] = (value, frame.weight)
        self._add(value, frame.weight, event)

    def _alias(self, event: AliasEvent) -> None:
        known = self._anchors.get(event.anchor or "")
        if known is None:
            raise DocumentError(
                f"the alias *{event.anchor} has no anchor &{event.anchor} before it", _line(event)
            )
        value, weight = known
        self._aliased += weight
        if self._aliased > MAX_ALIASED:
            raise DocumentError("the aliases make the document too large", _line(event))
        self._add(value, weight, event)

    def _add(self, value: JsonValue, weight: int, event: Event) -> None:
        if not self._stack:
            self._value = value
            return
        frame = self._stack[-1]
        frame.weight += weight
        if frame.sequence is not None:
            frame.sequence.append(value)
        elif frame.merging:
            frame.merges.extend(_merged(value, event))
            frame.key, frame.merging = None, False
        elif frame.key is None:
            frame.key = self._new_key(frame, value, event)
        elif frame.mapping is not None:
            frame.mapping[frame.key] = value
            frame.key = None

    @staticmethod
    def _new_key(frame: _Frame, value: JsonValue, event: Event) -> str:
        if not isinstance(value, str):
            raise DocumentError("a mapping's key must be a string: put it in quotes", _line(event))
        if frame.mapping is not None and value in frame.mapping:
            remedy = _BETWEEN if value == "apiVersion" else ""
            raise DocumentError(f"the key {value!r} is there twice{remedy}", _line(event))
        return value


def _is_merge(event: ScalarEvent) -> bool:
    return event.value == "<<" and event.tag is None and not event.style


def _merged(value: JsonValue, event: Event) -> list[dict[str, JsonValue]]:
    parts = value if isinstance(value, list) else [value]
    merged = [part for part in parts if isinstance(part, dict)]
    if len(merged) != len(parts):
        raise DocumentError(
            "'<<' must be followed by a mapping or a list of mappings", _line(event)
        )
    return merged


def _scalar_value(event: ScalarEvent, plain: Callable[[str], JsonScalar]) -> JsonScalar:
    tag: str | None = event.tag
    if tag is None:
        if not event.implicit[0]:
            return event.value
    elif tag in {"!", _CORE + "str"}:
        return event.value
    elif tag.removeprefix(_CORE) not in {"int", "float", "bool", "null"}:
        raise DocumentError(f"the tag {tag!r} is not allowed", _line(event))
    try:
        value = plain(event.value)
    except ScalarError as error:
        raise DocumentError(str(error), _line(event)) from None
    if tag is not None and not _has_type(value, tag.removeprefix(_CORE)):
        raise DocumentError(f"the value is not what its tag {tag!r} says", _line(event))
    return value


def _has_type(value: JsonScalar, tag: str) -> bool:
    return {
        "null": value is None,
        "bool": isinstance(value, bool),
        "int": isinstance(value, int) and not isinstance(value, bool),
        "float": isinstance(value, float),
    }[tag]


def _line(event: Event) -> int:
    return _mark_line(event.start_mark)


def _mark_line(mark: object) -> int:
    # libyaml's Mark is another class than PyYAML's.
    line: object = getattr(mark, "line", 0)
    return line if isinstance(line, int) else 0


def line_of(text: str, path: FieldPath) -> int:
    """The line (from 0.

    Within the document) of a field, or of its nearest ancestor that is there.
    """
    parser = CParser(text)
    try:
        return _find(parser, path)
    except (yaml.YAMLError, UnicodeError):
        return 0
    finally:
        parser.dispose()


def _find(parser: CParser, path: FieldPath) -> int:
    # A frame is [the next part of the path, whether a key is due]; for a sequence the part counts
    # up.
    stack: list[list[str | int | bool | None]] = []
    best, depth = 0, -1
    while True:
        event = parser.get_event()
        if event is None or isinstance(event, StreamEndEvent):
            return best
        if isinstance(event, CollectionEndEvent):
            stack.pop()
            continue
        opens = isinstance(event, (MappingStartEvent, SequenceStartEvent))
        if not opens and not isinstance(event, (ScalarEvent, AliasEvent)):
            continue
        top = stack[-1] if stack else None
        if top is not None and isinstance(top[0], int):
            top[0] += 1
        elif top is not None:
            if top[1]:
                top[0] = event.value if isinstance(event, ScalarEvent) else None
            top[1] = not top[1]
        if len(stack) > depth and tuple(frame[0] for frame in stack) == path[: len(stack)]:
            best, depth = _line(event), len(stack)
        if opens:
            stack.append([-1, False] if isinstance(event, SequenceStartEvent) else [None, True])

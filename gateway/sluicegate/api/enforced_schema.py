"""JSON Schema as Claude can be held to it (Anthropic, "Structured outputs", limitations).

The API enforces types, enumerations, properties that are all named, references that do not recur.
Constraints beyond that (`minimum`, `pattern`, `maxItems`, …) are moved into the description, where
the model reads them. What can't be enforced at all, as an object with any properties, has no such
form.
"""

from __future__ import annotations

from graphlib import CycleError, TopologicalSorter
from typing import cast

import msgspec

from sluicegate.api.tools import JsonObject

_KEPT = frozenset({"type", "title", "default", "enum", "const", "required", "$ref"})
_RENAMED = {"oneOf": "anyOf"}
_LISTS = frozenset({"anyOf", "allOf", "oneOf"})
_DEFINITIONS = ("$defs", "definitions")
_SILENT = frozenset({"$schema", "$id", "$comment", "additionalProperties", "examples"})
_FORMATS = frozenset(
    {
        "date-time",
        "time",
        "date",
        "duration",
        "email",
        "hostname",
        "uri",
        "ipv4",
        "ipv6",
        "uuid",
    }
)
_SAYS_SOMETHING = ("type", "anyOf", "allOf", "enum", "const", "$ref")


class _Unenforceable(Exception):
    """A part of the schema has no form that the API enforces."""


def enforceable(schema: JsonObject) -> JsonObject | None:
    """The schema that the API can hold an answer to, None where there is none.

    What it allows the given one allows too, but for the constraints that moved into descriptions.
    """
    try:
        _refuse_recursion(schema)
        return _schema(schema)
    except _Unenforceable:
        return None


def _schema(schema: object) -> JsonObject:
    if not isinstance(schema, dict):  # true and false are schemas too
        raise _Unenforceable
    members = cast("JsonObject", schema)
    kept: JsonObject = {}
    moved: JsonObject = {}
    for key, value in members.items():
        _member(key, value, kept, moved)
    if not any(key in kept for key in _SAYS_SOMETHING):
        raise _Unenforceable
    if "$ref" in kept:
        return {key: kept[key] for key in ("$ref", *_DEFINITIONS) if key in kept}
    if _may_be("object", kept):
        _close_object(members, kept)
    if _may_be("array", kept) and "items" not in kept:
        raise _Unenforceable
    if moved:
        said = msgspec.json.encode(moved).decode()
        kept["description"] = f"{kept.get('description', '')}\n{said}".strip()
    return kept


def _member(key: str, value: object, kept: JsonObject, moved: JsonObject) -> None:
    if key in _KEPT:
        kept[key] = value
    elif key == "description":
        if isinstance(value, str):
            kept[key] = value
    elif key in _LISTS:
        kept[_RENAMED.get(key, key)] = [_schema(entry) for entry in _list(value)]
    elif key == "properties" or key in _DEFINITIONS:
        kept[key] = {name: _schema(entry) for name, entry in _object(value).items()}
    elif key == "items":
        kept[key] = _schema(value)
    elif (key == "format" and value in _FORMATS) or (key == "minItems" and value in (0, 1)):
        kept[key] = value
    elif key not in _SILENT:
        moved[key] = value


def _may_be(kind: str, kept: JsonObject) -> bool:
    kinds = kept.get("type")
    return kinds == kind or (isinstance(kinds, list) and kind in kinds)


def _close_object(members: JsonObject, kept: JsonObject) -> None:
    """An object has its named properties and no others; one that may have any can't be enforced."""
    if "properties" not in kept or members.get("additionalProperties", False) is not False:
        raise _Unenforceable
    kept["additionalProperties"] = False


def _list(value: object) -> list[object]:
    if not isinstance(value, list) or not value:
        raise _Unenforceable
    return cast("list[object]", value)


def _object(value: object) -> JsonObject:
    if not isinstance(value, dict):
        raise _Unenforceable
    return cast("JsonObject", value)


# ------------------------------------------------------------------------------------- references


def _refuse_recursion(schema: JsonObject) -> None:
    """Raise _Unenforceable for a reference that leads back to itself, outwards or nowhere."""
    targets: dict[str, JsonObject] = {}
    for group in _DEFINITIONS:
        definitions = schema.get(group)
        if isinstance(definitions, dict):
            for name, entry in cast("JsonObject", definitions).items():
                targets[f"#/{group}/{name}"] = _object(entry)
    edges = {name: _references(entry) for name, entry in targets.items()}
    if not _references(schema) <= edges.keys():
        raise _Unenforceable
    try:
        TopologicalSorter(edges).prepare()
    except CycleError as error:
        raise _Unenforceable from error


def _references(schema: JsonObject) -> set[str]:
    """Every `$ref` in a schema, by levels: depth costs no stack."""
    found: set[str] = set()
    level: list[object] = [schema]
    while level:
        below: list[object] = []
        for value in level:
            if isinstance(value, dict):
                members = cast("JsonObject", value)
                target = members.get("$ref")
                if isinstance(target, str):
                    found.add(target)
                below.extend(members.values())
            elif isinstance(value, list):
                below.extend(cast("list[object]", value))
        level = below
    return found

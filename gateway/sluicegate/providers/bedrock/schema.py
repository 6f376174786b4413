"""JSON Schemas for models that enforce them, which take less than OpenAI does."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import msgspec

from sluicegate.api.tools import JsonObject

# Claude refuses these in a schema it enforces (Anthropic, "Structured outputs", limitations).
_REFUSED = (
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "multipleOf",
    "minLength",
    "maxLength",
    "pattern",
    "minItems",
    "maxItems",
    "uniqueItems",
    "minProperties",
    "maxProperties",
)
_BY_NAME = ("properties", "$defs", "definitions")  # hold schemas by name
_ONE = ("items", "additionalProperties", "not")  # hold a schema, or a boolean
_SEVERAL = ("anyOf", "oneOf", "allOf", "prefixItems")  # hold schemas in a list


def closes_its_objects(schema: JsonObject) -> bool:
    """Whether every object in the schema says `additionalProperties: false`."""
    closed = True

    def look(part: JsonObject) -> JsonObject:
        nonlocal closed
        if part.get("type") == "object" or "properties" in part:
            closed = closed and part.get("additionalProperties") is False
        return part

    _mapped(schema, look)
    return closed


def restrained(schema: JsonObject) -> JsonObject:
    """The schema with what is refused moved into the descriptions, where the model reads it."""
    return _mapped(schema, _without_refused)


def _without_refused(part: JsonObject) -> JsonObject:
    said = {name: part[name] for name in _REFUSED if name in part}
    if not said:
        return part
    kept: JsonObject = {name: value for name, value in part.items() if name not in said}
    rules = ", ".join(
        f"{name}: {msgspec.json.encode(value).decode()}" for name, value in said.items()
    )
    description = kept.get("description")
    kept["description"] = f"{description} ({rules})" if description else f"({rules})"
    return kept


def _mapped(schema: JsonObject, change: Callable[[JsonObject], JsonObject]) -> JsonObject:
    """The schema with each schema inside it changed, inner ones first. Depth is bounded before."""
    copy = dict(schema)
    for name in _BY_NAME:
        inner = copy.get(name)
        if isinstance(inner, dict):
            named = cast("JsonObject", inner)
            copy[name] = {key: _part(value, change) for key, value in named.items()}
    for name in _ONE:
        if name in copy:
            copy[name] = _part(copy[name], change)
    for name in _SEVERAL:
        inner = copy.get(name)
        if isinstance(inner, list):
            copy[name] = [_part(value, change) for value in cast("list[object]", inner)]
    return change(copy)


def _part(value: object, change: Callable[[JsonObject], JsonObject]) -> object:
    return _mapped(cast("JsonObject", value), change) if isinstance(value, dict) else value

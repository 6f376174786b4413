"""Which JSON Schemas the models behind Bedrock are asked to enforce."""

from __future__ import annotations

from typing import cast

from sluicegate.api.tools import JsonObject

_BY_NAME = ("properties", "$defs", "definitions")  # hold schemas by name
_ONE = ("items", "additionalProperties", "not")  # hold a schema, or a boolean
_SEVERAL = ("anyOf", "oneOf", "allOf", "prefixItems")  # hold schemas in a list


def closes_its_objects(schema: JsonObject) -> bool:
    """Whether every object in the schema says `additionalProperties: false`."""
    is_object = "object" in _kinds(schema) or "properties" in schema
    if is_object and schema.get("additionalProperties") is not False:
        return False
    return all(closes_its_objects(part) for part in _inside(schema))


def _kinds(schema: JsonObject) -> list[object]:
    kind = schema.get("type")
    return cast("list[object]", kind) if isinstance(kind, list) else [kind]


def _inside(schema: JsonObject) -> list[JsonObject]:
    """The schemas one level below. Depth is bounded before."""
    found: list[object] = [schema.get(name) for name in _ONE]
    for name in _BY_NAME:
        named = schema.get(name)
        if isinstance(named, dict):
            found.extend(cast("JsonObject", named).values())
    for name in _SEVERAL:
        listed = schema.get(name)
        if isinstance(listed, list):
            found.extend(cast("list[object]", listed))
    return [cast("JsonObject", part) for part in found if isinstance(part, dict)]

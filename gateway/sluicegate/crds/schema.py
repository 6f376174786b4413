"""A pydantic model's JSON schema to a structural schema, as the API server wants it.

A structural schema has no references, no `null`, no `const` and no `additionalProperties: false`
(the server refuses unknown fields by itself); see Kubernetes, "Specifying a structural schema".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias, cast

from pydantic import BaseModel

from sluicegate.resources.rules import VALIDATIONS, Keywords

Schema: TypeAlias = dict[str, Any]
# What says no more than its place in the schema.
_NOISE = frozenset({"title", "$defs", "$ref", "anyOf", "const", "default", "additionalProperties"})
_OF_A_RULE = ("rule", "message", "fieldPath")
_FIRST = ("description", "type", "format", "default", "enum", "pattern")


def structural(model: type[BaseModel]) -> Schema:
    """The structural schema of a model, with every default that is not empty."""
    whole = model.model_json_schema(by_alias=True, mode="validation")
    return _converted(whole, whole.get("$defs", {}))


def _converted(node: Mapping[str, Any], definitions: Mapping[str, Any]) -> Schema:
    optional, node = _resolved(node, definitions)
    found: Schema = {name: value for name, value in node.items() if name not in _NOISE}
    if VALIDATIONS in found:
        found[VALIDATIONS] = [
            {name: each[name] for name in _OF_A_RULE if name in each}
            for each in cast("list[Keywords]", found[VALIDATIONS])
        ]
    properties = cast("Mapping[str, Mapping[str, Any]]", node.get("properties", {}))
    if properties:
        found["properties"] = {
            name: _converted(field, definitions) for name, field in properties.items()
        }
    if "items" in node:
        found["items"] = _converted(node["items"], definitions)
    values = node.get("additionalProperties")
    if isinstance(values, dict) and not properties:
        found["additionalProperties"] = _converted(cast("Mapping[str, Any]", values), definitions)
    if "const" in node:
        found["enum"] = [node["const"]]
    default = node.get("default")
    if default is None and not optional:
        default = _default_of_parts(found)
    if default not in (None, [], {}):
        found["default"] = default
    return {name: found[name] for name in sorted(found, key=_rank)}


def _resolved(
    node: Mapping[str, Any], definitions: Mapping[str, Any]
) -> tuple[bool, Mapping[str, Any]]:
    """Whether a node may be left out without a default, and the node with its type in it."""
    optional = False
    alternatives = cast("list[Mapping[str, Any]]", node.get("anyOf", []))
    if alternatives:
        optional = True
        (only,) = (each for each in alternatives if each.get("type") != "null")
        node = {**only, **node}
    reference = node.get("$ref")
    if isinstance(reference, str):
        # What a field says of itself counts more than what its type says.
        node = {**definitions[reference.rpartition("/")[2]], **node}
    return optional, node


def _default_of_parts(schema: Schema) -> Schema | None:
    """The default of an object that may be left out: those of its fields.

    The server does not go into an object that is not there.
    """
    fields = cast("Mapping[str, Schema]", schema.get("properties", {}))
    if "required" in schema:
        return None
    return {name: field["default"] for name, field in fields.items() if "default" in field}


def _rank(name: str) -> tuple[int, str]:
    if name in _FIRST:
        return _FIRST.index(name), name
    last = {"required": 1, "properties": 2, "items": 2, "additionalProperties": 2}
    return len(_FIRST) + last.get(name, 0), name

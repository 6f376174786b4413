"""JSON Schemas as the API takes them.

Generations since 2.5 take most of JSON Schema (`parametersJsonSchema`, `responseJsonSchema`); older
ones take a subset of OpenAPI's schemas and refuse every other keyword (`parameters`,
`responseSchema`). What a schema loses there is only what it would have enforced.
"""

from __future__ import annotations

from typing import cast

from sluicegate.api.tools import JsonObject

_MOST_NODES = 5000  # of a schema with its references written out
_DEEPEST = 40  # of one that refers to itself
_MOST_PARTS = 64  # of an allOf
_FREE = 50  # members that are copied at the price of one node
# Keywords that mean the same in OpenAPI's subset.
_KEPT = (
    *("title", "description", "format", "minimum", "maximum", "minItems", "maxItems"),
    *("minLength", "maxLength", "pattern", "minProperties", "maxProperties"),
)
_FORMATS = ("date-time", "enum", "int32", "int64", "float", "double")
_KEYS = {"definitions": "$defs"}  # as newer drafts call it
_TYPES = ("string", "integer", "number", "boolean", "array", "object", "null")
_BY_NAME = frozenset({"properties", "$defs", "definitions", "patternProperties"})
_DATA = frozenset({"enum", "const", "default", "examples", "required"})  # no schemas inside


def json_schema(schema: JsonObject) -> JsonObject:
    """For generations that take JSON Schema: what they would refuse or pass over, said otherwise.

    `const` is an enum of one; a reference may have no neighbours, so it moves into an `anyOf`.
    """
    return cast("JsonObject", _rewritten(schema))


def _rewritten(value: object) -> object:
    if isinstance(value, list):
        return [_rewritten(entry) for entry in cast("list[object]", value)]
    if not isinstance(value, dict):
        return value
    schema = {_KEYS.get(key, key): inner for key, inner in cast("JsonObject", value).items()}
    schema.pop("$schema", None)
    if "const" in schema:
        constant = schema.pop("const")
        schema.setdefault("enum", [constant])
    reference = schema.get("$ref")
    if isinstance(reference, str):
        schema["$ref"] = reference.replace("#/definitions/", "#/$defs/", 1)
        if any(not key.startswith("$") for key in schema) and "anyOf" not in schema:
            schema["anyOf"] = [{"$ref": schema.pop("$ref")}]
    return {key: _member(key, inner) for key, inner in schema.items()}


def _member(key: str, value: object) -> object:
    if key in _DATA:
        return value
    if key in _BY_NAME and isinstance(value, dict):
        named = cast("JsonObject", value)
        return {name: _rewritten(inner) for name, inner in named.items()}
    return _rewritten(value)


# ---------------------------------------------------------------------------------------- OpenAPI


def openapi_schema(schema: JsonObject) -> JsonObject | None:
    """For older generations. None where nothing is left to say, as of an object without members."""
    written = _OpenApi(schema).schema(schema, 0)
    if written.get("type") == "object" and "properties" not in written:
        return None
    return written


class _OpenApi:
    """One schema: its root for references, and how much may still be written."""

    def __init__(self, root: JsonObject) -> None:
        self._root = root
        self._left = _MOST_NODES

    def schema(self, value: object, depth: int) -> JsonObject:
        self._left -= 1
        if not isinstance(value, dict) or self._left < 0 or depth > _DEEPEST:
            return {"type": "object"}
        source = self._resolved(cast("JsonObject", value))
        kept: JsonObject = {key: source[key] for key in _KEPT if key in source}
        if kept.get("format") not in _FORMATS:
            kept.pop("format", None)
        kinds = _kinds(source)
        if "null" in kinds:
            kinds.remove("null")
            kept["nullable"] = True
        options = self._options(source, kinds, depth)
        if options:
            kept["anyOf"] = options
            return kept
        kind = kinds[0] if kinds else _guessed(source)
        kept["type"] = kind
        self._of_kind(kept, source, kind, depth)
        return kept

    def _options(self, source: JsonObject, kinds: list[str], depth: int) -> list[JsonObject]:
        if len(kinds) > 1:
            rest = {key: value for key, value in source.items() if key != "type"}
            return [self.schema({**rest, "type": kind}, depth + 1) for kind in kinds]
        options = _list(source.get("anyOf")) or _list(source.get("oneOf"))
        return [
            self.schema(option, depth + 1)
            for option in options
            if self._left >= 0 and option != {"type": "null"}
        ]

    def _of_kind(self, kept: JsonObject, source: JsonObject, kind: str, depth: int) -> None:
        values = [source["const"]] if "const" in source else _list(source.get("enum"))
        if values and kind == "string":
            kept["enum"] = [str(value) for value in values if value is not None]
        if kind == "array":
            kept["items"] = self.schema(source.get("items", {"type": "string"}), depth + 1)
        if kind == "object":
            self._object(kept, source, depth)

    def _object(self, kept: JsonObject, source: JsonObject, depth: int) -> None:
        properties = _mapping(source.get("properties"))
        if not properties:
            return
        written: JsonObject = {}
        for name, inner in properties.items():
            if self._left < 0:
                break
            written[name] = self.schema(inner, depth + 1)
        kept["properties"] = written
        wanted = {name for name in _list(source.get("required")) if isinstance(name, str)}
        required = [name for name in written if name in wanted]
        if required:
            kept["required"] = required

    def _resolved(self, schema: JsonObject) -> JsonObject:
        """The schema without `$ref` and `allOf`; what stands beside a reference is kept."""
        for _ in range(_DEEPEST):
            if self._left < 0:
                break
            reference, parts = schema.get("$ref"), _list(schema.get("allOf"))[:_MOST_PARTS]
            if isinstance(reference, str):
                rest = {key: value for key, value in schema.items() if key != "$ref"}
                schema = {**self._referred(reference), **rest}
                self._spend(schema)
            elif parts:
                merged = {key: value for key, value in schema.items() if key != "allOf"}
                for part in parts:
                    merged = _together(merged, _mapping(part))
                    self._spend(merged)
                schema = merged
            else:
                break
        return schema

    def _spend(self, copied: JsonObject) -> None:
        """Copies of large objects count too, and so does what is looked through again."""
        size = sum(len(_mapping(copied.get(key))) for key in ("properties", "$defs"))
        size += sum(len(_list(copied.get(key))) for key in ("required", "anyOf", "oneOf", "enum"))
        self._left -= (len(copied) + size) // _FREE

    def _referred(self, reference: str) -> JsonObject:
        """What a local JSON Pointer names (RFC 6901)."""
        found: object = self._root if reference.startswith("#") else {}
        for step in reference[1:].split("/")[1:]:
            found = _mapping(found).get(step.replace("~1", "/").replace("~0", "~"))
        return _mapping(found)


def _together(one: JsonObject, other: JsonObject) -> JsonObject:
    """Two schemas that both hold: their properties and required names joined."""
    merged = {**other, **one}
    if properties := {**_mapping(other.get("properties")), **_mapping(one.get("properties"))}:
        merged["properties"] = properties
    if required := [*_list(one.get("required")), *_list(other.get("required"))]:
        merged["required"] = required
    return merged


def _kinds(source: JsonObject) -> list[str]:
    named = source.get("type")
    found = [named] if isinstance(named, str) else _list(named)
    kinds = [kind for kind in _TYPES if kind in found]
    null: JsonObject = {"type": "null"}
    if null in _list(source.get("anyOf")) or null in _list(source.get("oneOf")):
        kinds.append("null")
    return list(dict.fromkeys(kinds))


def _guessed(source: JsonObject) -> str:
    if "properties" in source:
        return "object"
    if "items" in source:
        return "array"
    values = [source["const"]] if "const" in source else _list(source.get("enum"))
    if values and all(isinstance(value, bool) for value in values):
        return "boolean"
    if values and all(isinstance(value, int | float) for value in values):
        return "number"
    return "string" if values else "object"


def _mapping(value: object) -> JsonObject:
    return cast("JsonObject", value) if isinstance(value, dict) else {}


def _list(value: object) -> list[object]:
    return cast("list[object]", value) if isinstance(value, list) else []

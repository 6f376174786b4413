"""A plausible value for a JSON Schema: what clients parse an echoed call or answer into.

It follows what schemas of tools and answers are made of: types, enums, required properties, local
references, unions, and the bounds of numbers, texts and lists. It does not solve patterns.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TypeAlias, cast

_Schema: TypeAlias = Mapping[str, object]
_MOST_VALUES = 2000  # a schema of references to references can ask for any number
_MOST_ITEMS = 100
_MOST_CHARACTERS = 10_000
_LARGEST, _SMALLEST = 1e15, 1e-9
_FORMATS: Mapping[str, str] = {
    "date": "2026-01-31",
    "date-time": "2026-01-31T12:00:00Z",
    "duration": "PT1H",
    "email": "someone@example.com",
    "hostname": "example.com",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "time": "12:00:00Z",
    "uri": "https://example.com/",
    "uuid": "00000000-0000-4000-8000-000000000000",
}


def sample(schema: _Schema) -> object:
    """A value that the schema allows."""
    return _Sampler(schema).value(schema, "text", 0)


class _Sampler:
    """One value: the root for references, and how many values may still be made."""

    _MOST_DEPTH = 60

    def __init__(self, root: _Schema) -> None:
        self._root = root
        self._left = _MOST_VALUES

    def value(self, schema: object, name: str, depth: int) -> object:
        """A value for `schema`; `name` is that of the property it is for."""
        self._left -= 1
        if not isinstance(schema, dict) or self._left < 0 or depth > self._MOST_DEPTH:
            return None
        schema = self._resolved(cast("_Schema", schema))
        if "const" in schema:
            return schema["const"]
        if "enum" in schema and (values := _list(schema["enum"])):
            return values[0]
        for union in ("anyOf", "oneOf"):
            if options := _list(schema.get(union)):
                return self.value(_simplest(options, deep=depth > 8), name, depth + 1)
        return self._typed(schema, name, depth)

    def _resolved(self, schema: _Schema) -> _Schema:
        """The schema without `$ref` and `allOf`."""
        for _ in range(self._MOST_DEPTH):
            if isinstance(reference := schema.get("$ref"), str):
                rest = {key: value for key, value in schema.items() if key != "$ref"}
                schema = {**self._referred(reference), **rest}
            elif parts := _list(schema.get("allOf")):
                merged = {key: value for key, value in schema.items() if key != "allOf"}
                for part in parts:
                    merged = _together(merged, self._resolved_part(part))
                schema = merged
            else:
                break
        return schema

    def _resolved_part(self, part: object) -> _Schema:
        self._left -= 1
        found = _mapping(part if self._left > 0 else None)
        reference = found.get("$ref")
        return self._referred(reference) if isinstance(reference, str) else found

    def _referred(self, reference: str) -> _Schema:
        """What a local JSON Pointer names (RFC 6901); other references are of any type."""
        if not reference.startswith("#"):
            return {}
        found: object = self._root
        for step in reference[1:].split("/")[1:]:
            key = step.replace("~1", "/").replace("~0", "~")
            found = _mapping(found).get(key)
        return _mapping(found)

    def _typed(self, schema: _Schema, name: str, depth: int) -> object:
        kind = _type(schema)
        if kind == "object":
            return self._object(schema, depth)
        if kind == "array":
            return self._array(schema, name, depth)
        return _scalar(kind, schema, name)

    def _object(self, schema: _Schema, depth: int) -> dict[str, object]:
        known = _mapping(schema.get("properties"))
        value: dict[str, object] = {}
        for name in _list(schema.get("required")):
            if isinstance(name, str) and self._left > 0:
                value[name] = self.value(known.get(name, {}), name, depth + 1)
        return value

    def _array(self, schema: _Schema, name: str, depth: int) -> list[object]:
        prefix = _list(schema.get("prefixItems"))
        least = schema.get("minItems")
        count = max(len(prefix), min(least, _MOST_ITEMS) if isinstance(least, int) else 0)
        items = [*prefix, *[schema.get("items", {})] * (count - len(prefix))]
        return [self.value(item, name, depth + 1) for item in items if self._left > 0]


def _type(schema: _Schema) -> str:
    named = schema.get("type")
    if isinstance(named, str):
        return named
    for option in _list(named):
        if isinstance(option, str) and option != "null":
            return option
    if named is not None:
        return "null"
    if "properties" in schema or "required" in schema:
        return "object"
    return "array" if "items" in schema or "prefixItems" in schema else ""


def _simplest(options: list[object], *, deep: bool) -> object:
    """The first option that is not null; null far down, where a schema refers to itself."""
    null = next((option for option in options if option == {"type": "null"}), None)
    if deep and null is not None:
        return null
    return next((option for option in options if option != {"type": "null"}), null)


def _together(one: Mapping[str, object], other: Mapping[str, object]) -> dict[str, object]:
    """Two schemas that both hold: their properties and required names joined."""
    merged = {**one, **other}
    if properties := {**_mapping(one.get("properties")), **_mapping(other.get("properties"))}:
        merged["properties"] = properties
    if required := [*_list(one.get("required")), *_list(other.get("required"))]:
        merged["required"] = required
    return merged


def _scalar(kind: str, schema: _Schema, name: str) -> object:
    match kind:
        case "string":
            return _string(schema, name)
        case "integer":
            return math.ceil(_number(schema))
        case "number":
            return _number(schema)
        case "boolean":
            return True
        case "null":
            return None
        case _:
            return name


def _string(schema: _Schema, name: str) -> str:
    form = schema.get("format")
    if isinstance(form, str) and form in _FORMATS:
        return _FORMATS[form]
    least, most = schema.get("minLength"), schema.get("maxLength")
    value = name
    if isinstance(least, int) and len(value) < least:
        value = value.ljust(min(least, _MOST_CHARACTERS), "x")
    return value[: max(most, 0)] if isinstance(most, int) else value


def _number(schema: _Schema) -> float:
    """The number of the range that is nearest to 1; a multiple where one is asked for."""
    step = _bound(schema.get("multipleOf"))
    integral = _type(schema) == "integer"
    stepped = step is not None and step >= _SMALLEST
    unit = step if step is not None and stepped else 1 if integral else 0.5
    least, most = _bound(schema.get("minimum")), _bound(schema.get("maximum"))
    above, below = _bound(schema.get("exclusiveMinimum")), _bound(schema.get("exclusiveMaximum"))
    value: float = 1
    if above is not None:
        value = max(value, above + unit)
    if least is not None:
        value = max(value, least)
    if below is not None:
        value = min(value, below - unit)
    if most is not None:
        value = min(value, most)
    return math.ceil(value / unit) * unit if stepped else value


def _bound(value: object) -> float | None:
    """A number of a size that arithmetic can do without losing it."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    return value if -_LARGEST <= value <= _LARGEST else None


def _mapping(value: object) -> _Schema:
    return cast("_Schema", value) if isinstance(value, dict) else {}


def _list(value: object) -> list[object]:
    return cast("list[object]", value) if isinstance(value, list) else []

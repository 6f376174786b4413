"""docs/resources.md: every field of both kinds, made from the same schemas as `crds/`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, cast

from sluicegate.crds.definitions import FILES, definition
from sluicegate.crds.schema import Schema
from sluicegate.resources.rules import VALIDATIONS, Keywords

_HEAD = """\
# Fields of the custom resources

<!-- Made by `make docs` from the models in gateway/sluicegate/resources; do not edit. -->

Both kinds are `sluicegate.dev/v1alpha1` and live in a namespace. `kubectl explain md.spec` and
`kubectl explain ak.spec` say the same from a cluster; `sluicegate lint` judges manifests by the
same rules without one. A duration is written with its unit (`200ms`, `5s`, `1h30m`), money and
prices as decimal strings in quotes (`"50.00"`), a point in time with its zone
(`"2027-06-30T00:00:00Z"`). A field that is `null` counts as left out.
"""
_WHOLE = "the object"
_TITLES = {
    "ModelDeployment": "`kubectl get md`, `kubectl get modeldeployments`",
    "ApiKey": "`kubectl get ak`, `kubectl get apikeys`",
}


class _Field(NamedTuple):
    path: str
    schema: Schema
    required: bool


def page() -> str:
    """The whole page."""
    return _HEAD + "".join(_section(kind) for kind in FILES.values())


def _section(kind: str) -> str:
    schema = definition(kind)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    parts = schema["properties"]
    spec = [_Field("spec", parts["spec"], required=True), *_fields(parts["spec"], "")]
    return (
        f"\n## {kind}\n\n{schema['description']} {_TITLES[kind]}.\n"
        f"\n### spec of {_article(kind)}\n\n{_table(spec[1:])}"
        f"\nWhat must hold, and what the API server and `sluicegate lint` say otherwise:\n\n"
        f"{_rules([_Field(_WHOLE, schema, required=True), *spec])}"
        f"\n### status of {_article(kind)}\n\n{_table(list(_fields(parts['status'], '')))}"
    )


def _article(kind: str) -> str:
    return f"{'an' if kind[0] in 'AEIOU' else 'a'} {kind}"


def _fields(schema: Schema, above: str) -> Iterator[_Field]:
    """Every field below an object, each before what is in it."""
    required = cast("list[str]", schema.get("required", []))
    fields = cast("Mapping[str, Schema]", schema.get("properties", {}))
    if "x-kubernetes-preserve-unknown-fields" in schema:
        return  # the fields that it names are those that may not be there
    for name, field in fields.items():
        path = f"{above}{name}"
        yield _Field(path, field, name in required)
        yield from _fields(field, f"{path}.")
        if "items" in field:
            yield from _fields(field["items"], f"{path}[].")


def _table(fields: list[_Field]) -> str:
    lines = ["| field | type | default | meaning |", "| --- | --- | --- | --- |"]
    for path, schema, required in fields:
        default = "required" if required else _default(schema)
        cells = (f"`{path}`", _type(schema), default, schema.get("description", ""))
        lines.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
    return "\n".join(lines) + "\n"


def _default(schema: Schema) -> str:
    default = schema.get("default")
    # An object's default is that of its fields.
    if default is None or isinstance(default, dict) or _type(schema).startswith("list of object"):
        return ""
    return f"`{default if isinstance(default, str) else json.dumps(default)}`"


def _type(schema: Schema) -> str:
    kind = str(schema["type"])
    if kind == "array":
        return f"list of {_type(schema['items'])}{_at_most(schema, 'maxItems')}"
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    if "additionalProperties" in schema:
        values = schema["additionalProperties"]["type"]
        return f"map of {values}s{_at_most(schema, 'maxProperties')}"
    least, most = schema.get("minimum"), schema.get("maximum")
    if most is not None:
        return f"{kind}, {least:,} to {most:,}"
    if kind == "object":
        return "any fields" if "x-kubernetes-preserve-unknown-fields" in schema else "object"
    return kind


def _at_most(schema: Schema, name: str) -> str:
    return f", at most {schema[name]}" if name in schema else ""


def _rules(fields: list[_Field]) -> str:
    """A list of what must hold; fields with the same rules share an entry."""
    groups: dict[tuple[str, ...], list[str]] = {}
    for path, schema, _ in fields:
        said = tuple(_messages(schema))
        if said:
            groups.setdefault(said, []).append(path if path == _WHOLE else f"`{path}`")
    return "".join(
        f"- {', '.join(paths)}{':' if len(said) > 1 else ''} {'; '.join(said)}\n"
        for said, paths in groups.items()
    )


def _messages(schema: Schema) -> Iterator[str]:
    for place in (schema, schema.get("items", {}), schema.get("additionalProperties", {})):
        for each in cast("list[Keywords]", cast("Mapping[str, Any]", place).get(VALIDATIONS, [])):
            at, said = str(each.get("fieldPath", "")).removeprefix("."), str(each["message"])
            yield said if not at or said.startswith(at) else f"`{at}` {said}"

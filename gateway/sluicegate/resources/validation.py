"""A resource's manifest to its typed model, or to flaws that say what to write."""

from __future__ import annotations

import difflib
import types
import typing
from collections.abc import Iterator, Mapping
from typing import Any, cast

import msgspec
from msgspec import Struct
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from sluicegate.resources.api_key import ApiKey
from sluicegate.resources.diagnostics import shown
from sluicegate.resources.model_deployment import ModelDeployment
from sluicegate.resources.objects import Resource
from sluicegate.resources.yaml_documents import FieldPath

_MODELS: dict[str, type[ModelDeployment | ApiKey]] = {
    "ModelDeployment": ModelDeployment,
    "ApiKey": ApiKey,
}
_TEMPLATES = {
    "greater_than_equal": "must be {ge} or more",
    "less_than_equal": "must be {le} or less",
    "too_short": "must have at least {min_length} entries",
    "too_long": "must have at most {max_length} entries",
    "string_too_long": "must have at most {max_length} characters",
    "string_type": "must be a string: put the value in quotes",
    "int_type": "must be a whole number, without quotes",
    "int_from_float": "must be a whole number",
    "int_parsing_size": "must be a smaller whole number",
    "bool_type": "must be true or false, without quotes",
    "dict_type": "must be a mapping",
    "model_type": "must be a mapping",
    "model_attributes_type": "must be a mapping",
    "tuple_type": "must be a list",
    "list_type": "must be a list",
    "json_invalid": "is nested too deeply, or no JSON: {error}",
}


def as_mapping(value: object) -> Mapping[str, object]:
    """A decoded JSON object, or an empty one in place of anything else."""
    return cast("Mapping[str, object]", value) if isinstance(value, dict) else {}


class Flaw(Struct, frozen=True, gc=False):
    """One thing wrong with a manifest: where, and what to write. Never holds the value."""

    path: FieldPath
    message: str


class Invalid(Struct, frozen=True, gc=False):
    """A manifest that does not fit its model.

    `manifest` is what was written, for the fields that count anyway.
    """

    flaws: tuple[Flaw, ...]
    manifest: Mapping[str, object]

    def __repr__(self) -> str:
        return f"Invalid({len(self.flaws)} flaws)"


def validate(resource: Resource) -> ModelDeployment | ApiKey | Invalid:
    """The typed model of a resource, or what is wrong with it."""
    return _validated(_MODELS[resource.ref.kind], resource.manifest)


def _validated(
    model: type[ModelDeployment | ApiKey], content: bytes
) -> ModelDeployment | ApiKey | Invalid:
    try:
        return model.model_validate_json(content)
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False)
    try:
        manifest = as_mapping(msgspec.json.decode(content))
    except RecursionError:  # the API server takes what is nested ten times as deep
        manifest = dict[str, object]()
    if _without_nulls(manifest, found):
        return _validated(model, msgspec.json.encode(manifest))
    found = [details for details in found if not _counts_only_sound_entries(details, found)]
    flaws = {flaw.path: flaw for flaw in (_flaw(model, details) for details in reversed(found))}
    return Invalid(tuple(reversed(flaws.values())), manifest)


def _counts_only_sound_entries(details: ErrorDetails, found: list[ErrorDetails]) -> bool:
    """Whether a list is called too short because of entries that are refused, and told, anyway."""
    place = details["loc"]
    return details["type"] == "too_short" and any(
        len(other["loc"]) > len(place) and other["loc"][: len(place)] == place for other in found
    )


def _without_nulls(manifest: Mapping[str, object], found: list[ErrorDetails]) -> bool:
    """Take out each null that is refused where a field is known; whether there was one.

    The API server does the same: such a null is as if the field were left out.
    """
    dropped = False
    for details in found:
        *path, name = details["loc"] or ("",)
        parent: object = manifest
        for part in path:
            if isinstance(parent, (dict, list)):
                parent = cast("Any", parent)[part] if part != "[key]" else None
        if details["type"] == "extra_forbidden" or not isinstance(parent, dict):
            continue
        holder = cast("dict[str | int, object]", parent)
        if name in holder and holder[name] is None:
            del holder[name]
            dropped = True
    return dropped


def _flaw(model: type[BaseModel], details: ErrorDetails) -> Flaw:
    context: dict[str, Any] = details.get("ctx", {})
    path: FieldPath = tuple(part for part in details["loc"] if part != "[key]")
    at: object = context.get("at", ())
    if isinstance(at, tuple):
        path += cast("FieldPath", at)
    name = next((part for part in reversed(path) if isinstance(part, str)), "the manifest")
    name = shown(name)
    return Flaw(path, _message(model, details, context, path, name))


def _message(
    model: type[BaseModel],
    details: ErrorDetails,
    context: dict[str, Any],
    path: FieldPath,
    name: str,
) -> str:
    kind = details["type"]
    if kind == "refused":
        text = str(context["message"])
        return text if text.startswith(f"{name} ") else f"{name} {text}"
    if kind == "extra_forbidden":
        return _unknown(model, path, name)
    if kind == "missing":
        return f"{name} is required{_purpose(model, path)}"
    if kind == "literal_error":
        return f"{name} must be {str(context['expected']).replace(chr(39), '')}"
    return f"{name} {_TEMPLATES.get(kind, 'is not valid').format_map(context)}"


def _unknown(model: type[BaseModel], path: FieldPath, name: str) -> str:
    known = sorted(_aliases(_model_at(model, path[:-1])))
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    folded = {alias.lower(): alias for alias in known}
    if name.lower() in folded:
        close = [folded[name.lower()]]
    if close:
        return f"unknown field {name!r}; did you mean {close[0]!r}?"
    return f"unknown field {name!r}; known here: {', '.join(known)}"


def _purpose(model: type[BaseModel], path: FieldPath) -> str:
    """A field's description, as the end of a sentence."""
    parent = _model_at(model, path[:-1])
    for field_name, field in parent.model_fields.items() if parent is not None else ():
        if path and path[-1] in {field_name, field.alias} and field.description:
            return f": {field.description.rstrip('.')}"
    return ""


def _aliases(model: type[BaseModel] | None) -> Iterator[str]:
    for name, field in model.model_fields.items() if model is not None else ():
        if field.description:
            yield field.alias or name


def _model_at(model: type[BaseModel], path: FieldPath) -> type[BaseModel] | None:
    """The model that holds the fields below a path, or None where there is none."""
    current: type[BaseModel] | None = model
    for part in path:
        if isinstance(part, int):
            continue
        field = next(
            (
                field
                for name, field in (current.model_fields.items() if current is not None else ())
                if part in {name, field.alias}
            ),
            None,
        )
        current = _model_in(field.annotation) if field is not None else None
    return current


def _model_in(annotation: object) -> type[BaseModel] | None:
    """The model in an annotation such as `Limits | None` or `tuple[Fallback, ...]`."""
    if isinstance(annotation, type) and not isinstance(annotation, types.GenericAlias):
        return annotation if issubclass(annotation, BaseModel) else None
    for part in typing.get_args(annotation):
        found = _model_in(part)
        if found is not None:
            return found
    return None

"""The whole request, typed and judged, for providers that answer it in another dialect.

A provider that passes the bytes on leaves this to its upstream. What is refused here is what OpenAI
itself refuses, in its words, before anything is sent.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Annotated, Literal, TypeAlias, TypeVar, cast

import msgspec
from msgspec import Meta, Raw, Struct

from sluicegate.api import invalid
from sluicegate.api.items import Item, ItemReference, check_pairs, decode_input
from sluicegate.api.request import Fields, ResponsesRequest
from sluicegate.api.tools import (
    FunctionTool,
    JsonObject,
    NamespaceTool,
    Tool,
    ToolChoice,
    decode_tool_choice,
    decode_tools,
)

UNSUPPORTED_PARAMETER = "unsupported_parameter"
MAX_DEPTH = (
    64  # of a JSON Schema; deeper ones are of no use to a model and a danger to what walks them
)
_METADATA_PAIRS, _METADATA_KEY, _METADATA_VALUE = 16, 64, 512
_IDENTIFIER = 128
_LONG = 10_485_760

Effort: TypeAlias = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]
Summary: TypeAlias = Literal["auto", "concise", "detailed"]


class PlainFormat(Struct, frozen=True, tag="text"):
    """The answer is any text."""


class JsonObjectFormat(Struct, frozen=True, tag="json_object"):
    """The answer is some JSON object."""


class JsonSchemaFormat(Struct, frozen=True, tag="json_schema", omit_defaults=True):
    """The answer is JSON that the schema allows."""

    name: Annotated[str, Meta(pattern=r"^[a-zA-Z0-9_-]+\Z", max_length=64)]
    schema: JsonObject
    description: str | None = None
    strict: bool | None = None


class TextOptions(Struct, frozen=True):
    """The form of the answer's text."""

    format: PlainFormat | JsonObjectFormat | JsonSchemaFormat = PlainFormat()
    verbosity: Literal["low", "medium", "high"] | None = None


class ReasoningOptions(Struct, frozen=True):
    """`generate_summary` is the older name of `summary`."""

    effort: Effort | None = None
    summary: Summary | None = None
    generate_summary: Summary | None = None
    mode: Literal["standard", "pro"] | None = None
    context: Literal["auto", "current_turn", "all_turns"] | None = None


class Parameters(Struct, frozen=True):
    """A request without its transport fields. `fields` has the scalars, judged."""

    fields: Fields
    items: tuple[Item, ...]
    tools: tuple[Tool, ...]
    tool_choice: ToolChoice
    text: TextOptions
    reasoning: ReasoningOptions


_KNOWN = frozenset(Fields.__struct_fields__) | {
    "access_programs",
    "background_options",
    "client_metadata",  # in no schema, but Codex sends it
    "image",
    "moderation",
}
_PLAIN_TEXT, _NO_REASONING = TextOptions(), ReasoningOptions()
_text = msgspec.json.Decoder(TextOptions)
_reasoning = msgspec.json.Decoder(ReasoningOptions)
_EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
_SUMMARIES = ("auto", "concise", "detailed")
_SUPPORTED: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        ".format.type": ("text", "json_object", "json_schema"),
        ".verbosity": ("low", "medium", "high"),
        ".effort": _EFFORTS,
        ".summary": _SUMMARIES,
        ".generate_summary": _SUMMARIES,
        ".mode": ("standard", "pro"),
        ".context": ("auto", "current_turn", "all_turns"),
    }
)
_SETS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "truncation": ("auto", "disabled"),
        "service_tier": ("auto", "default", "flex", "scale", "priority", "fast", "ultrafast"),
        "prompt_cache_retention": ("in_memory", "24h"),
    }
)
_RANGES: Mapping[str, tuple[int, int | None]] = MappingProxyType(
    {
        "temperature": (0, 2),
        "top_p": (0, 1),
        "presence_penalty": (-2, 2),
        "frequency_penalty": (-2, 2),
        "top_logprobs": (0, 20),
        "max_output_tokens": (16, None),
        "max_tool_calls": (1, None),
    }
)
_INCLUDE = (
    "file_search_call.results",
    "web_search_call.results",
    "web_search_call.action.sources",
    "message.input_image.image_url",
    "computer_call_output.output.image_url",
    "code_interpreter_call.outputs",
    "reasoning.encrypted_content",
    "message.output_text.logprobs",
)


def decode_parameters(request: ResponsesRequest) -> Parameters:
    """Type and judge the whole request. Raises ApiError (400)."""
    fields = request.fields
    for key in request.members:
        if key not in _KNOWN:
            raise invalid.invalid(f"Unknown parameter: '{key}'.", "unknown_parameter", key)
    _check_numbers(request)
    _check_names(fields)
    _check_metadata(fields)
    _refuse_stored(fields)
    items = decode_input(fields.input)
    _refuse_references(items)
    check_pairs(items)
    tools = decode_tools(fields.tools)
    _check_depths(tools)
    text = _object(_text, fields.text, "text") or _PLAIN_TEXT
    if isinstance(text.format, JsonSchemaFormat) and _too_deep(text.format.schema):
        raise invalid.too_deep()
    return Parameters(
        fields=fields,
        items=items,
        tools=tools,
        tool_choice=decode_tool_choice(fields.tool_choice, tools),
        text=text,
        reasoning=_object(_reasoning, fields.reasoning, "reasoning") or _NO_REASONING,
    )


def _refuse_stored(fields: Fields) -> None:
    """Raise ApiError (400) for what needs responses or prompts that somebody stores."""
    asked = {
        "previous_response_id": fields.previous_response_id is not None,
        "conversation": fields.conversation is not None,
        "background": fields.background is True,
        "prompt": fields.prompt is not None,
    }
    if True not in asked.values():
        return
    if asked["previous_response_id"] and asked["conversation"]:
        raise invalid.invalid(
            "Mutually exclusive parameters: Ensure you are only providing one of: "
            "'previous_response_id' or 'conversation'.",
            "mutually_exclusive_parameters",
            None,
        )
    for name, is_asked in asked.items():
        if is_asked:
            raise invalid.invalid(
                f"Unsupported parameter: '{name}' is not supported with this model.",
                UNSUPPORTED_PARAMETER,
                name,
            )


def _refuse_references(items: tuple[Item, ...]) -> None:
    for item in items:
        if isinstance(item, ItemReference):
            raise invalid.invalid(
                f"Item with id '{item.id}' not found. Items are not persisted when `store` is set "
                "to false. Remove this item from your input.",
                None,
                "input",
            )


_T = TypeVar("_T")


def _object(
    decoder: msgspec.json.Decoder[_T], value: Mapping[str, Raw] | None, where: str
) -> _T | None:
    if value is None:
        return None
    try:
        return decoder.decode(msgspec.json.encode(value))
    except msgspec.ValidationError as error:
        invalid.refuse(error, where, _SUPPORTED)
    except RecursionError as error:
        raise invalid.too_deep() from error


# ----------------------------------------------------------------------------------------- ranges


def _check_numbers(request: ResponsesRequest) -> None:
    for name in request.members:
        bounds = _RANGES.get(name)
        if bounds is not None:
            value = getattr(request.fields, name)
            if value is not None:
                _range(name, value, *bounds)


def _range(name: str, value: float, least: int, most: int | None) -> None:
    kind = "integer" if isinstance(value, int) else "decimal"
    if value < least:
        raise invalid.invalid(
            f"Invalid '{name}': {kind} below minimum value. "
            f"Expected a value >= {least}, but got {_shown(value)} instead.",
            f"{kind}_below_min_value",
            name,
        )
    if most is not None and value > most:
        raise invalid.invalid(
            f"Invalid '{name}': {kind} above maximum value. "
            f"Expected a value <= {most}, but got {_shown(value)} instead.",
            f"{kind}_above_max_value",
            name,
        )


def _shown(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:.15g}"


def _check_names(fields: Fields) -> None:
    for name, value in (
        ("truncation", fields.truncation),
        ("service_tier", fields.service_tier),
        ("prompt_cache_retention", fields.prompt_cache_retention),
    ):
        if value is not None and value not in (supported := _SETS[name]):
            raise invalid.not_supported_value(value, supported, name)
    for index, name in enumerate(fields.include or ()):
        if name not in _INCLUDE:
            raise invalid.not_supported_value(name, _INCLUDE, f"include[{index}]")
    _check_length("instructions", fields.instructions, _LONG)
    _check_length("safety_identifier", fields.safety_identifier, _IDENTIFIER)


def _check_length(param: str, value: str | None, most: int) -> None:
    if value is not None and len(value) > most:
        raise invalid.invalid(
            f"Invalid '{param}': string too long. Expected a string with maximum length {most}, "
            f"but got a string with length {len(value)} instead.",
            "string_above_max_length",
            param,
        )


def _check_metadata(fields: Fields) -> None:
    metadata = fields.metadata
    if not metadata:
        return
    if len(metadata) > _METADATA_PAIRS:
        raise invalid.invalid(
            "Invalid 'metadata': too many properties. Expected an object with at most "
            f"{_METADATA_PAIRS} properties, but got an object with {len(metadata)} properties "
            "instead.",
            "object_above_max_properties",
            "metadata",
        )
    for key, value in metadata.items():
        if len(key) > _METADATA_KEY:
            raise invalid.invalid(
                "Invalid 'metadata': property name too long. Expected a property name with maximum "
                f"length {_METADATA_KEY}, but got one with length {len(key)} instead.",
                "property_name_above_max_length",
                "metadata",
            )
        _check_length(f"metadata.{key}", value, _METADATA_VALUE)


def _check_depths(tools: tuple[Tool, ...]) -> None:
    for tool in tools:
        match tool:
            case FunctionTool(parameters=schema) if schema is not None and _too_deep(schema):
                raise invalid.too_deep()
            case NamespaceTool(tools=inner):
                _check_depths(inner)
            case _:
                pass


def _too_deep(value: JsonObject) -> bool:
    """Whether JSON is nested deeper than MAX_DEPTH; by levels, so that depth costs no stack."""
    level: list[object] = [value]
    for _ in range(MAX_DEPTH):
        level = [entry for container in level for entry in _entries(container)]
        if not level:
            return False
    return True


def _entries(value: object) -> Iterable[object]:
    if isinstance(value, dict):
        return cast("JsonObject", value).values()
    if isinstance(value, list):
        return cast("list[object]", value)
    return ()

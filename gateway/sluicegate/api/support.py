"""What a provider makes of each part of a request, as a table that checks and documents alike.

Each provider folder that translates has a `SUPPORT` table. `check` judges a request by it before
anything is sent, and the documentation is generated from it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from enum import Enum
from typing import NamedTuple, TypeAlias

from sluicegate.api.parameters import (
    UNSUPPORTED_PARAMETER,
    JsonObjectFormat,
    JsonSchemaFormat,
    Parameters,
)
from sluicegate.api.request import ResponsesRequest
from sluicegate.model import ApiError


class Support(Enum):
    """How a part of a request is honoured."""

    NATIVE = "native"  # the upstream has it
    MAPPED = "mapped"  # the upstream has other means for it
    HINT = "hint"  # accepted and echoed; the upstream is not told, the answer is as good
    UNSUPPORTED = "unsupported"  # it would change the answer and can't: refused or dropped
    REFUSED = "refused"  # as unsupported, and never dropped: nothing sensible would be left


class Row(NamedTuple):
    """`note` is for the reader of the documentation."""

    support: Support
    note: str = ""


SupportTable: TypeAlias = Mapping[str, Row]
"""By the names of FEATURES, or of CONTENT; what a table leaves out is unsupported."""

# Everything a table may speak of: parameters, or what they are set to where that makes a difference
# (`service_tier` other than auto, `truncation: auto`, `parallel_tool_calls: false`).
FEATURES = (
    "instructions",
    "max_output_tokens",
    "temperature",
    "top_p",
    "presence_penalty",
    "frequency_penalty",
    "top_logprobs",
    "include.message.output_text.logprobs",
    "include.reasoning.encrypted_content",
    "max_tool_calls",
    "parallel_tool_calls",
    "truncation",
    "service_tier",
    "text.format.json_schema",
    "text.format.json_object",
    "text.verbosity",
    "reasoning.effort",
    "reasoning.summary",
    "reasoning.mode",
    "reasoning.context",
    "metadata",
    "user",
    "safety_identifier",
    "prompt_cache_key",
    "prompt_cache_retention",
    "prompt_cache_options",
    "stream_options",
    "client_metadata",
    "context_management",
    "moderation",
    "access_programs",
    "background_options",
    "image",
)
# The rest of a request: items, their parts, tools, the choice among them. `check` does not judge
# these, the code that translates each of them does.
CONTENT = (
    "message.system",
    "input_image.data",
    "input_image.url",
    "input_file.data",
    "input_file.url",
    "file_id",
    "function_call_output.media",
    "reasoning",
    "web_search_call",
    "image_generation_call",
    "item_reference",
    "items.other",
    "stored",
    "tools.function",
    "tools.function.strict",
    "tools.custom",
    "tools.namespace",
    "tools.web_search",
    "tools.other",
    "tool_choice.none",
    "tool_choice.required",
    "tool_choice.function",
    "tool_choice.allowed_tools",
    "tool_choice.web_search",
)
_HINTS = frozenset({"client_metadata", "stream_options"})  # of no concern to any upstream
_INCLUDED = frozenset({"message.output_text.logprobs", "reasoning.encrypted_content"})
_FORMATS: Mapping[type, str] = {
    JsonSchemaFormat: "text.format.json_schema",
    JsonObjectFormat: "text.format.json_object",
}
# 0 of these asks for nothing.
_OFF = frozenset({"presence_penalty", "frequency_penalty", "top_logprobs"})


def asked(request: ResponsesRequest, parameters: Parameters) -> Iterator[str]:
    """The features that this request uses, in the order of its parameters."""
    for name, value in request.members.items():
        if name in _PLAIN:
            if bytes(value) != b"null" and not (
                name in _OFF and not getattr(parameters.fields, name)
            ):
                yield name
        elif name in _SPECIAL:
            yield from _SPECIAL[name](parameters)


def _include(parameters: Parameters) -> Iterator[str]:
    for entry in parameters.fields.include or ():
        if entry in _INCLUDED:
            yield f"include.{entry}"


def _parallel_tool_calls(parameters: Parameters) -> Iterator[str]:
    if parameters.fields.parallel_tool_calls is False:
        yield "parallel_tool_calls"


def _truncation(parameters: Parameters) -> Iterator[str]:
    if parameters.fields.truncation == "auto":
        yield "truncation"


def _service_tier(parameters: Parameters) -> Iterator[str]:
    if parameters.fields.service_tier not in {None, "auto"}:
        yield "service_tier"


def _text(parameters: Parameters) -> Iterator[str]:
    kind = _FORMATS.get(type(parameters.text.format))
    if kind is not None:
        yield kind
    if parameters.text.verbosity is not None:
        yield "text.verbosity"


def _reasoning(parameters: Parameters) -> Iterator[str]:
    for name in ("effort", "summary", "mode", "context"):
        if getattr(parameters.reasoning, name) not in {None, "standard"}:  # standard: a mode
            yield f"reasoning.{name}"


# Parameters of which certain values are features.
_SPECIAL: Mapping[str, Callable[[Parameters], Iterator[str]]] = {
    "include": _include,
    "parallel_tool_calls": _parallel_tool_calls,
    "truncation": _truncation,
    "service_tier": _service_tier,
    "text": _text,
    "reasoning": _reasoning,
}
# All others are features by having a value, whichever.
_PLAIN = frozenset(name for name in FEATURES if "." not in name) - _SPECIAL.keys()


def check(
    request: ResponsesRequest, parameters: Parameters, table: SupportTable, *, drop: bool
) -> tuple[str, ...]:
    """The features that are dropped. Raises ApiError (400) for the first where `drop` is False."""
    dropped: list[str] = []
    for name in asked(request, parameters):
        row = table.get(name)
        if name in _HINTS or (row is not None and row.support is not Support.UNSUPPORTED):
            continue
        if not drop:
            raise unsupported(parameter_of(name))
        dropped.append(name)
    return tuple(dropped)


def parameter_of(feature: str) -> str:
    """The request's parameter that a feature is about, as errors name it."""
    if feature.startswith("include."):
        return "include"
    if feature.startswith("text.format."):
        return "text.format"
    return feature


def unsupported(param: str, why: str | None = None) -> ApiError:
    """400 in the API's words, or with the reason where that helps."""
    said = f": {why}" if why else " is not supported with this model"
    return ApiError(
        400,
        f"Unsupported parameter: '{param}'{said}.",
        code=UNSUPPORTED_PARAMETER,
        param=param,
    )

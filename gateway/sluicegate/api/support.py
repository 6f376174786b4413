"""What a provider makes of each part of a request, as a table that checks and documents alike.

Each provider folder that translates has a `SUPPORT` table. `check` judges a request by it before
anything is sent, and the documentation is generated from it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import Enum
from typing import NamedTuple, TypeAlias

from msgspec import UNSET

from sluicegate.api.members import decode_members
from sluicegate.api.parameters import (
    UNSUPPORTED_PARAMETER,
    JsonObjectFormat,
    JsonSchemaFormat,
    Parameters,
)
from sluicegate.api.request import Fields, ResponsesRequest, given
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
# Members that the request's own fields don't hold.
# Not decoded, so looked up among the members.
_OTHER = (
    "context_management",
    "client_metadata",
    "moderation",
    "access_programs",
    "background_options",
    "image",
)
_HINTS = frozenset({"client_metadata", "stream_options"})  # of no concern to any upstream
_INCLUDED = frozenset({"message.output_text.logprobs", "reasoning.encrypted_content"})
_FORMATS: Mapping[type, str] = {
    JsonSchemaFormat: "text.format.json_schema",
    JsonObjectFormat: "text.format.json_object",
}
# Only where the client gave them a value that is not the default does the answer depend on them.
_PLAIN = (
    "instructions",
    "max_output_tokens",
    "temperature",
    "top_p",
    "presence_penalty",
    "frequency_penalty",
    "top_logprobs",
    "max_tool_calls",
    "metadata",
    "user",
    "safety_identifier",
    "prompt_cache_key",
    "prompt_cache_retention",
    "prompt_cache_options",
    "stream_options",
)
_OFF = frozenset({"presence_penalty", "frequency_penalty", "top_logprobs"})  # 0 asks for nothing


def asked(request: ResponsesRequest, parameters: Parameters) -> Iterator[str]:
    """The features that this request uses."""
    fields = parameters.fields
    for name in _PLAIN:
        value = getattr(fields, name)
        if value is not UNSET and value is not None and not (name in _OFF and value == 0):
            yield name
    yield from _special(fields)
    kind = _FORMATS.get(type(parameters.text.format))
    if kind is not None:
        yield kind
    if parameters.text.verbosity is not None:
        yield "text.verbosity"
    if fields.reasoning is not UNSET:
        for name in ("effort", "summary", "mode", "context"):
            if getattr(parameters.reasoning, name) not in {None, "standard"}:  # standard: a mode
                yield f"reasoning.{name}"
    members = decode_members(request.body)
    for name in _OTHER:
        if name in members and bytes(members[name]) != b"null":
            yield name


def _special(fields: Fields) -> Iterator[str]:
    """Features that are certain values of a parameter."""
    for entry in given(fields.include) or ():
        if entry in _INCLUDED:
            yield f"include.{entry}"
    if given(fields.parallel_tool_calls) is False:
        yield "parallel_tool_calls"
    if given(fields.truncation) == "auto":
        yield "truncation"
    if given(fields.service_tier) not in {None, "auto"}:
        yield "service_tier"


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

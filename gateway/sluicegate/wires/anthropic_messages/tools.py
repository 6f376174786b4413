"""Tools and tool choice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

import msgspec
from msgspec import Raw, Struct

from sluicegate.api.enforced_schema import enforceable
from sluicegate.api.omissions import Omissions
from sluicegate.api.parameters import Parameters
from sluicegate.api.tools import FunctionTool, JsonObject, OpaqueTool
from sluicegate.api.toolset import Choice, FunctionSpec, Toolset, toolset
from sluicegate.model import ApiError
from sluicegate.wires.anthropic_messages.body import (
    ToolDefinition,
    WebSearchTool,
    WireTool,
    WireToolChoice,
)
from sluicegate.wires.anthropic_messages.capabilities import Capabilities

_WEB_SEARCH = "web_search"
_SEARCHES = frozenset(
    {
        "web_search",
        "web_search_2025_08_26",
        "web_search_preview",
        "web_search_preview_2025_03_11",
    }
)
_MOST_STRICT = 20  # strict tools in one request (Anthropic, "Schema complexity limits")
_ANY_INPUT: JsonObject = {"type": "object"}


class _Filters(Struct, frozen=True):
    allowed_domains: tuple[str, ...] | None = None
    blocked_domains: tuple[str, ...] | None = None


class _Search(Struct, frozen=True):
    """What OpenAI's tool may say; sizes of the context it takes have no counterpart."""

    filters: _Filters | None = None
    user_location: dict[str, Raw] | None = None
    external_web_access: bool | None = None


_search = msgspec.json.Decoder(_Search)
_location = msgspec.json.Decoder(str)


class Tools(NamedTuple):
    """`forced`: one of the tools must be called."""

    toolset: Toolset
    definitions: tuple[WireTool, ...]
    choice: WireToolChoice | None
    forced: bool


_NONE = Tools(Toolset((), (), Choice("auto"), (), MappingProxyType({})), (), None, forced=False)


def plan_tools(
    parameters: Parameters,
    model: Capabilities,
    called: Sequence[str],
    *,
    drop: bool,
    omissions: Omissions,
) -> Tools:
    """The tools. `called`: functions that the history calls. Raises ApiError (400)."""
    if not parameters.tools and not called:
        return _NONE
    hosted = _SEARCHES if model.web_search and _may_search(parameters) else frozenset[str]()
    chosen = toolset(parameters.tools, parameters.tool_choice, hosted=hosted, drop=drop)
    omissions.leave_out(*chosen.dropped)
    definitions = [*_functions(chosen.functions, model)]
    if chosen.hosted:
        definitions.append(_web_search(chosen.hosted[0], parameters.fields.max_tool_calls))
    if not definitions:
        return _history_only(chosen, called)
    choice = _choice(chosen.choice, parameters, model, omissions)
    forced = choice is not None and choice.type in {"any", "tool"}
    return Tools(chosen, tuple(definitions), choice, forced)


def _history_only(chosen: Toolset, called: Sequence[str]) -> Tools:
    """Calls in the history need tools in the request; the model may not call them."""
    definitions = tuple(ToolDefinition(name, _ANY_INPUT) for name in called)
    choice = WireToolChoice("none") if definitions else None
    return Tools(chosen, definitions, choice, forced=False)


def _functions(specs: Sequence[FunctionSpec], model: Capabilities) -> list[WireTool]:
    strict = 0
    definitions: list[WireTool] = []
    for spec in specs:
        schema = None
        if spec.strict and model.schemas and strict < _MOST_STRICT:
            schema = enforceable(spec.parameters)
        strict += schema is not None
        definitions.append(
            ToolDefinition(
                spec.name,
                schema or spec.parameters,
                description=spec.description,
                strict=schema is not None,
            )
        )
    return definitions


def _choice(
    choice: Choice, parameters: Parameters, model: Capabilities, omissions: Omissions
) -> WireToolChoice | None:
    if choice.mode == "none":
        return WireToolChoice("none")
    single = parameters.fields.parallel_tool_calls is False
    if choice.mode == "required":
        name = _WEB_SEARCH if choice.hosted is not None else choice.forced
        if not model.forced_tools:
            omissions.unsupported("tool_choice", "this model can't be made to call a tool")
        elif name is not None:
            return WireToolChoice("tool", name, disable_parallel_tool_use=single)
        else:
            return WireToolChoice("any", disable_parallel_tool_use=single)
    return WireToolChoice("auto", disable_parallel_tool_use=True) if single else None


# ------------------------------------------------------------------------------------- web search


def _may_search(parameters: Parameters) -> bool:
    """Not where the client wants no live web, nor beside a function of the same name."""
    for tool in parameters.tools:
        match tool:
            case FunctionTool(name=name) if name == _WEB_SEARCH:
                return False
            case OpaqueTool(type=kind, raw=raw) if kind in _SEARCHES:
                if _decode(raw).external_web_access is False:
                    return False
            case _:
                pass
    return True


def _web_search(tool: OpaqueTool, most: int | None) -> WebSearchTool:
    asked = _decode(tool.raw)
    filters = asked.filters or _Filters()
    return WebSearchTool(
        name=_WEB_SEARCH,
        max_uses=most,
        allowed_domains=filters.allowed_domains or None,
        blocked_domains=filters.blocked_domains or None,
        user_location=_user_location(asked.user_location),
    )


def _user_location(location: Mapping[str, Raw] | None) -> Mapping[str, str] | None:
    if not location:
        return None
    known: dict[str, str] = {"type": "approximate"}
    for key in ("city", "country", "region", "timezone"):
        value = location.get(key)
        if value is not None and bytes(value) != b"null":
            try:
                known[key] = _location.decode(value)
            except msgspec.ValidationError as error:
                raise _invalid_search(f"user_location.{key}") from error
    return known if len(known) > 1 else None


def _decode(raw: Raw) -> _Search:
    try:
        return _search.decode(raw)
    except (msgspec.ValidationError, RecursionError) as error:
        raise _invalid_search("web_search") from error


def _invalid_search(what: str) -> ApiError:
    return ApiError(
        400, f"Invalid value of '{what}' in 'tools'.", code="invalid_value", param="tools"
    )

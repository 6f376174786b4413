"""Tools and tool choice."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec
from msgspec import Raw, Struct

from sluicegate.api.invalid import invalid
from sluicegate.api.omissions import Omissions
from sluicegate.api.parameters import Parameters
from sluicegate.api.tools import FunctionTool, OpaqueTool
from sluicegate.api.toolset import FunctionSpec, Origin, Toolset, function_name, toolset
from sluicegate.wires.gemini_content.body import (
    FunctionCallingConfig,
    FunctionDeclaration,
    GoogleSearch,
    Tool,
    ToolConfig,
)
from sluicegate.wires.gemini_content.capabilities import Capabilities
from sluicegate.wires.gemini_content.schema import json_schema, openapi_schema
from sluicegate.wires.gemini_content.terms import Dialect

_LONGEST_NAME = 64
_SEARCHES = frozenset(
    {
        "web_search",
        "web_search_2025_08_26",
        "web_search_preview",
        "web_search_preview_2025_03_11",
    }
)
_NOT_IN_NAME = re.compile(r"[^a-zA-Z0-9_-]")
_BEGINS_NAME = re.compile(r"[a-zA-Z_]")


class _Filters(Struct, frozen=True):
    allowed_domains: tuple[str, ...] | None = None
    blocked_domains: tuple[str, ...] | None = None


class _Search(Struct, frozen=True):
    """What of OpenAI's tool matters here."""

    filters: _Filters | None = None
    external_web_access: bool | None = None


_search = msgspec.json.Decoder(_Search)


class Tools(NamedTuple):
    """`forced`: one of the functions must be called. `origins`: what a called one is."""

    declarations: tuple[FunctionDeclaration, ...]
    search: GoogleSearch | None
    config: ToolConfig | None
    forced: bool
    origins: Mapping[str, Origin]

    def wire(self) -> tuple[Tool, ...] | None:
        """As the request has them."""
        tools: list[Tool] = []
        if self.declarations:
            tools.append(Tool(function_declarations=self.declarations))
        if self.search is not None:
            tools.append(Tool(google_search=self.search))
        return tuple(tools) or None


def wire_name(name: str, namespace: str | None = None) -> str:
    """The upstream's name of a tool, which begins with a letter or an underscore."""
    return _begun(function_name(_NOT_IN_NAME.sub("_", name), namespace, _LONGEST_NAME - 1))


def _begun(name: str) -> str:
    return name if _BEGINS_NAME.match(name) else f"_{name}"


def plan_tools(
    parameters: Parameters,
    model: Capabilities,
    dialect: Dialect,
    *,
    drop: bool,
    omissions: Omissions,
) -> Tools:
    """The tools. Raises ApiError (400)."""
    hosted = _SEARCHES if _may_search(parameters, model, dialect) else frozenset[str]()
    chosen = toolset(
        parameters.tools,
        parameters.tool_choice,
        longest=_LONGEST_NAME - 1,
        hosted=hosted,
        drop=drop,
    )
    omissions.leave_out(*chosen.dropped)
    origins: dict[str, Origin] = {}
    declarations: list[FunctionDeclaration] = []
    for spec in chosen.functions:
        name = _begun(spec.name)
        if name in origins:
            raise invalid(f"Duplicate tool name: '{spec.name}'.", None, "tools")
        origins[name] = chosen.origin(spec.name)
        declarations.append(_declaration(spec, name, model))
    search = None
    if chosen.hosted and chosen.choice.mode != "none":
        search = _google_search(chosen.hosted[0], dialect)
    required = chosen.choice.mode == "required"
    if chosen.choice.hosted is not None or (required and not declarations):
        omissions.unsupported("tool_choice", "this model can't be made to search")
    calling = _calling(chosen, model) if declarations else None
    mixed = bool(declarations) and search is not None and dialect.mixed_tools_flag
    config = ToolConfig(calling, mixed) if calling is not None or mixed else None
    forced = calling is not None and calling.mode == "ANY"
    return Tools(tuple(declarations), search, config, forced, origins)


def _declaration(spec: FunctionSpec, name: str, model: Capabilities) -> FunctionDeclaration:
    if model.json_schema:
        return FunctionDeclaration(
            name, spec.description, parameters_json_schema=json_schema(spec.parameters)
        )
    return FunctionDeclaration(name, spec.description, openapi_schema(spec.parameters))


def _calling(chosen: Toolset, model: Capabilities) -> FunctionCallingConfig | None:
    match chosen.choice.mode:
        case "none":
            return FunctionCallingConfig("NONE")
        case "required" if chosen.choice.hosted is None:
            forced = chosen.choice.forced
            return FunctionCallingConfig("ANY", None if forced is None else (_begun(forced),))
        case _:
            strict = model.json_schema and any(spec.strict for spec in chosen.functions)
            return FunctionCallingConfig("VALIDATED") if strict else None


# ------------------------------------------------------------------------------------- web search


def _may_search(parameters: Parameters, model: Capabilities, dialect: Dialect) -> bool:
    """Not where the client wants no live web or limits that search does not have.

    Nor beside functions where the model takes only one of the two.
    """
    functions = 0
    for tool in parameters.tools:
        if not isinstance(tool, OpaqueTool):
            functions += 1
            if isinstance(tool, FunctionTool) and tool.name == "web_search":
                return False
        elif tool.type in _SEARCHES:
            asked = _decode(tool.raw)
            filters = asked.filters or _Filters()
            excluded = filters.blocked_domains and not dialect.excluded_domains
            if asked.external_web_access is False or filters.allowed_domains or excluded:
                return False
    return model.mixed_tools or not functions


def _google_search(tool: OpaqueTool, dialect: Dialect) -> GoogleSearch:
    filters = _decode(tool.raw).filters
    blocked: Sequence[str] | None = filters.blocked_domains if filters is not None else None
    return GoogleSearch(blocked or None) if dialect.excluded_domains else GoogleSearch()


def _decode(raw: Raw) -> _Search:
    try:
        return _search.decode(raw)
    except (msgspec.ValidationError, RecursionError) as error:
        raise invalid(
            "Invalid value of 'web_search' in 'tools'.", "invalid_value", "tools"
        ) from error

"""Tools and tool choice, typed, for providers that translate (OpenAPI Tool, ToolChoiceParam)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Annotated, Literal, TypeAlias, TypeVar

import msgspec
from msgspec import Meta, Raw, Struct, UnsetType

from sluicegate.api import invalid

Name: TypeAlias = Annotated[str, Meta(pattern=r"^[a-zA-Z0-9_-]+\Z", min_length=1, max_length=128)]
JsonObject: TypeAlias = dict[str, object]


class FunctionTool(Struct, frozen=True, tag="function"):
    """`parameters` is a JSON Schema; `strict` None: the client did not say."""

    name: Name
    description: str | None = None
    parameters: JsonObject | None = None
    strict: bool | None = None


class PlainText(Struct, frozen=True, tag="text"):
    """A custom tool's input is any text."""


class Grammar(Struct, frozen=True, tag="grammar"):
    """A custom tool's input follows a grammar."""

    syntax: Literal["lark", "regex"]
    definition: str


class CustomTool(Struct, frozen=True, tag="custom"):
    """A tool that takes one text instead of JSON arguments."""

    name: Name
    description: str | None = None
    format: PlainText | Grammar = PlainText()


class NamespaceTool(Struct, frozen=True, tag="namespace"):
    """Tools under one name; a call of one names both."""

    name: Name
    tools: tuple[FunctionTool | CustomTool, ...]
    description: str | None = None


class OpaqueTool(Struct, frozen=True):
    """A hosted or other tool, as it came."""

    type: str
    raw: Raw


Tool: TypeAlias = FunctionTool | CustomTool | NamespaceTool | OpaqueTool

# ----------------------------------------------------------------------------------------- choice

Mode: TypeAlias = Literal["none", "auto", "required"]


class ToolName(Struct, frozen=True):
    """One entry of `allowed_tools`: a function, a custom or a hosted tool."""

    type: str
    name: str | None = None
    server_label: str | None = None


class ForcedFunction(Struct, frozen=True, tag="function"):
    """This function must be called."""

    name: str


class ForcedCustom(Struct, frozen=True, tag="custom"):
    """This custom tool must be called."""

    name: str


class ForcedMcp(Struct, frozen=True, tag="mcp"):
    """A tool of this MCP server must be called; `name` None: any of them."""

    server_label: str
    name: str | None = None


class AllowedTools(Struct, frozen=True, tag="allowed_tools"):
    """Only these of the request's tools may be called: a hard constraint."""

    mode: Literal["auto", "required"]
    tools: tuple[ToolName, ...]


class ForcedHosted(Struct, frozen=True):
    """A tool without a name of its own, as `web_search`."""

    type: str


ToolChoice: TypeAlias = (
    Mode | ForcedFunction | ForcedCustom | ForcedMcp | AllowedTools | ForcedHosted
)


class _Head(Struct, frozen=True):
    type: str


_T = TypeVar("_T")


def _decoder(kind: type[_T]) -> msgspec.json.Decoder[_T]:
    return msgspec.json.Decoder(kind)


class _Kind(str):
    """A tool's type, which the decoder hands over as soon as it has read it."""

    __slots__ = ()


class _Counted(Struct, frozen=True):
    type: _Kind


_LARGE = 64 * 1024  # bytes; fewer can't be so many tools that it matters
_MOST_TOOLS = 4096
_list = msgspec.json.Decoder(list[Raw] | None)
_head = msgspec.json.Decoder(_Head)
_TOOLS: Mapping[str, msgspec.json.Decoder[FunctionTool | CustomTool | NamespaceTool]] = (
    MappingProxyType(
        {
            "function": _decoder(FunctionTool),
            "custom": _decoder(CustomTool),
            "namespace": _decoder(NamespaceTool),
        }
    )
)
_CHOICES: Mapping[
    str, msgspec.json.Decoder[ForcedFunction | ForcedCustom | ForcedMcp | AllowedTools]
] = MappingProxyType(
    {
        "function": _decoder(ForcedFunction),
        "custom": _decoder(ForcedCustom),
        "mcp": _decoder(ForcedMcp),
        "allowed_tools": _decoder(AllowedTools),
    }
)
_FAMILIES = ("web_search", "computer")
_MODES: Mapping[str, Mode] = MappingProxyType(
    {"none": "none", "auto": "auto", "required": "required"}
)
_SUPPORTED: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        ".format.type": ("text", "grammar"),
        ".format.syntax": ("lark", "regex"),
        ".tools[].type": ("function", "custom"),
        ".tools[].format.type": ("text", "grammar"),
        ".tools[].format.syntax": ("lark", "regex"),
    }
)
_CHOICE_SUPPORTED: Mapping[str, tuple[str, ...]] = MappingProxyType({".mode": ("auto", "required")})


def decode_tools(value: Raw | UnsetType) -> tuple[Tool, ...]:
    """The tools of a request. Raises ApiError (400)."""
    if isinstance(value, UnsetType):
        return ()
    try:
        if len(memoryview(value)) >= _LARGE:
            _refuse_many(value)
        values = _list.decode(value)
    except msgspec.ValidationError as error:
        invalid.refuse(error, "tools", _SUPPORTED)
    except RecursionError as error:
        raise invalid.too_deep() from error
    return tuple([_tool(raw, index) for index, raw in enumerate(values or ())])


def _refuse_many(value: Raw) -> None:
    """Raise ApiError where there are too many tools, at the cost of as many as are allowed."""
    count = 0

    def enter(_type: type, name: str) -> _Kind:
        nonlocal count
        count += 1
        if count > _MOST_TOOLS:
            raise invalid.invalid(
                f"Invalid 'tools': array too long. Expected an array with maximum length "
                f"{_MOST_TOOLS}, but got a longer one instead.",
                "array_above_max_length",
                "tools",
            )
        return _Kind(name)

    msgspec.json.decode(value, type=list[_Counted] | None, dec_hook=enter)


def _tool(raw: Raw, index: int) -> Tool:
    try:
        kind = _head.decode(raw).type
        decoder = _TOOLS.get(kind)
        return OpaqueTool(kind, raw) if decoder is None else decoder.decode(raw)
    except msgspec.ValidationError as error:
        invalid.refuse(error, f"tools[{index}]", _SUPPORTED)
    except RecursionError as error:
        raise invalid.too_deep() from error


def decode_tool_choice(value: str | Mapping[str, Raw] | None, tools: Sequence[Tool]) -> ToolChoice:
    """The choice, `auto` where the client made none.

    Raises ApiError (400) for a shape that is not one, and for a forced tool that is not in `tools`.
    """
    if value is None:
        return "auto"
    if isinstance(value, str):
        mode = _MODES.get(value)
        if mode is None:
            raise invalid.not_supported_value(value, tuple(_MODES), "tool_choice")
        if mode == "required" and not tools:
            raise _not_found("Tool choice 'required' must be specified with 'tools' parameter.")
        return mode
    raw = msgspec.json.encode(value)
    try:
        kind = _head.decode(raw).type
        decoder = _CHOICES.get(kind)
        choice = ForcedHosted(kind) if decoder is None else decoder.decode(raw)
    except msgspec.ValidationError as error:
        invalid.refuse(error, "tool_choice", _CHOICE_SUPPORTED)
    except RecursionError as error:
        raise invalid.too_deep() from error
    _check_listed(choice, tools)
    return choice


def _check_listed(
    choice: ForcedFunction | ForcedCustom | ForcedMcp | AllowedTools | ForcedHosted,
    tools: Sequence[Tool],
) -> None:
    listed = _listed(tools)
    match choice:
        case ForcedFunction(name=name):
            wanted = [("function", name)]
        case ForcedCustom(name=name):
            wanted = [("custom", name)]
        case ForcedMcp():
            wanted = [("mcp", None)]
        case ForcedHosted(type=kind):
            wanted = [(_family(kind), None)]
        case AllowedTools(tools=names):
            wanted = [
                (_family(tool.type), tool.name if tool.type in {"function", "custom"} else None)
                for tool in names
            ]
    for kind, name in wanted:
        if (kind, name) not in listed:
            raise _not_found(f"Tool choice '{name or kind}' not found in 'tools' parameter.")


def _listed(tools: Sequence[Tool]) -> set[tuple[str, str | None]]:
    listed: set[tuple[str, str | None]] = set()
    for tool in tools:
        match tool:
            case FunctionTool(name=name):
                listed.add(("function", name))
            case CustomTool(name=name):
                listed.add(("custom", name))
            case NamespaceTool(name=name, tools=inner):
                listed |= {("namespace", name), ("namespace", None)} | _listed(inner)
            case OpaqueTool(type=kind):
                listed.add((_family(kind), None))
    return listed


def _family(kind: str) -> str:
    """A choice may name another version of a hosted tool than the list does."""
    return next((family for family in _FAMILIES if kind.startswith(family)), kind)


def _not_found(message: str) -> invalid.ApiError:
    return invalid.invalid(message, None, "tool_choice")

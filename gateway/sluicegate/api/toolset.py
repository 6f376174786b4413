"""A request's tools for an upstream that knows only functions (and perhaps some hosted tools).

Tools of a namespace are flattened into functions, a custom tool becomes a function of one text, and
`Toolset.origin` says what a called function was, so that the client gets its own names back. What
no upstream tool stands for is dropped or refused (`unsupportedTools`); a tool that `tool_choice`
forces is never dropped.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Literal, NamedTuple

from sluicegate.api.custom_input import INPUT
from sluicegate.api.parameters import UNSUPPORTED_PARAMETER
from sluicegate.api.tools import (
    AllowedTools,
    CustomTool,
    ForcedCustom,
    ForcedFunction,
    ForcedHosted,
    ForcedMcp,
    FunctionTool,
    Grammar,
    JsonObject,
    NamespaceTool,
    OpaqueTool,
    Tool,
    ToolChoice,
    ToolName,
)
from sluicegate.model import ApiError

_SEPARATOR = "__"
_ILLEGAL = re.compile(r"[^a-zA-Z0-9_-]")
_HASH = 8  # hex digits that keep a shortened name apart from others


class Origin(NamedTuple):
    """What a function that the upstream knows is to the client."""

    kind: Literal["function", "custom"]
    name: str
    namespace: str | None = None


class FunctionSpec(NamedTuple):
    """A function as the upstream is told. `parameters` is a JSON Schema of type object."""

    name: str
    description: str | None
    parameters: JsonObject
    strict: bool | None


class Choice(NamedTuple):
    """`forced`: the one function (by its upstream name) that must be called."""

    mode: Literal["none", "auto", "required"]
    forced: str | None = None
    hosted: OpaqueTool | None = None  # the one hosted tool that must be used


class Toolset(NamedTuple):
    """The tools that go upstream, and the way back.

    `dropped`: what was left out, as `tools.<type>`.
    """

    functions: tuple[FunctionSpec, ...]
    hosted: tuple[OpaqueTool, ...]
    choice: Choice
    dropped: tuple[str, ...]
    origins: Mapping[str, Origin]

    def origin(self, name: str) -> Origin:
        """What the upstream's function `name` is to the client; an unknown one is a function."""
        return self.origins.get(name) or Origin("function", name)


def function_name(name: str, namespace: str | None, longest: int) -> str:
    """The upstream's name of a tool; also for calls in the history, whose tool may be gone."""
    whole = name if namespace is None else f"{namespace}{_SEPARATOR}{name}"
    whole = _ILLEGAL.sub("_", whole) or "_"  # only a history's name can have such
    return whole if len(whole) <= longest else _hashed(whole, whole, longest)


def _hashed(name: str, of: str, longest: int) -> str:
    digest = hashlib.sha256(of.encode()).hexdigest()[:_HASH]
    return f"{name[: longest - _HASH - 1]}_{digest}"


def toolset(
    tools: Sequence[Tool],
    choice: ToolChoice,
    *,
    longest: int = 64,
    hosted: AbstractSet[str] = frozenset(),
    drop: bool,
) -> Toolset:
    """Choose and rename. Names have at most `longest` characters.

    `hosted` are the types that the upstream can honour, `drop` leaves out what it can't. Raises
    ApiError (400, unsupported_parameter).
    """
    usable, dropped = _usable(tools, hosted, drop=drop)
    if isinstance(choice, AllowedTools):
        usable = list(_allowed(usable, choice.tools))
    functions: dict[str, FunctionSpec] = {}
    origins: dict[str, Origin] = {}
    flat = [
        (tool, namespace, function_name(tool.name, namespace, longest))
        for tool, namespace in _flat(usable)
    ]
    taken = Counter(name for _, _, name in flat)
    for tool, namespace, plain in flat:
        name = plain
        if namespace is not None and taken[plain] > 1:  # `a__b`, and `b` of the namespace `a`
            name = _hashed(plain, f"{namespace} {tool.name}", longest)
        if name in functions:
            raise _refused(f"Duplicate tool name: '{tool.name}'.", None, "tools")
        functions[name] = _spec(tool, name)
        kind = "custom" if isinstance(tool, CustomTool) else "function"
        origins[name] = Origin(kind, tool.name, namespace)
    opaque = tuple(tool for tool in usable if isinstance(tool, OpaqueTool))
    chosen = _choice(choice, origins, opaque)
    if chosen.mode == "required" and not functions and not opaque:
        raise _refused(
            "Tool choice 'required' is not supported with this model: it has none of the tools.",
            UNSUPPORTED_PARAMETER,
            "tool_choice",
        )
    return Toolset(tuple(functions.values()), opaque, chosen, dropped, origins)


def _usable(
    tools: Sequence[Tool], hosted: AbstractSet[str], *, drop: bool
) -> tuple[list[Tool], tuple[str, ...]]:
    usable: list[Tool] = []
    dropped: dict[str, None] = {}
    for index, tool in enumerate(tools):
        if not isinstance(tool, OpaqueTool) or tool.type in hosted:
            usable.append(tool)
        elif drop:
            dropped[f"tools.{tool.type}"] = None
        else:
            raise _refused(
                f"Unsupported parameter: tools of type '{tool.type}' are not supported with this "
                "model.",
                UNSUPPORTED_PARAMETER,
                f"tools[{index}].type",
            )
    return usable, tuple(dropped)


def _allowed(tools: Sequence[Tool], names: Sequence[ToolName]) -> Iterator[Tool]:
    """The tools, or those inside a namespace, that `allowed_tools` lists."""
    listed = {
        (entry.type, entry.name if entry.type in {"function", "custom", "namespace"} else None)
        for entry in names
    }
    for tool in tools:
        match tool:
            case FunctionTool() if ("function", tool.name) in listed:
                yield tool
            case CustomTool() if ("custom", tool.name) in listed:
                yield tool
            case NamespaceTool() if listed & {("namespace", tool.name), ("namespace", None)}:
                yield tool
            case NamespaceTool():
                kept = tuple(
                    inner
                    for inner in tool.tools
                    if ("custom" if isinstance(inner, CustomTool) else "function", inner.name)
                    in listed
                )
                yield NamespaceTool(name=tool.name, tools=kept, description=tool.description)
            case OpaqueTool() if (tool.type, None) in listed:
                yield tool
            case _:
                pass


def _flat(tools: Sequence[Tool]) -> Iterator[tuple[FunctionTool | CustomTool, str | None]]:
    for tool in tools:
        match tool:
            case FunctionTool() | CustomTool():
                yield tool, None
            case NamespaceTool():
                for inner in tool.tools:
                    yield inner, tool.name
            case OpaqueTool():
                pass


def _spec(tool: FunctionTool | CustomTool, name: str) -> FunctionSpec:
    if isinstance(tool, FunctionTool):
        parameters = tool.parameters or {"type": "object", "properties": {}}
        if "type" not in parameters:  # upstreams ask for it, OpenAI does not
            parameters = {"type": "object", **parameters}
        return FunctionSpec(name, tool.description or None, parameters, tool.strict)
    text: JsonObject = {"type": "string", "description": "The whole input of the tool, as text."}
    parameters: JsonObject = {
        "type": "object",
        "properties": {INPUT: text},
        "required": [INPUT],
        "additionalProperties": False,
    }
    return FunctionSpec(name, _custom_description(tool), parameters, None)


def _custom_description(tool: CustomTool) -> str | None:
    """A grammar can't be enforced by an upstream that has none, so the model is told."""
    if not isinstance(tool.format, Grammar):
        return tool.description or None
    kind = "Lark grammar" if tool.format.syntax == "lark" else "regular expression"
    rule = f"The input must match this {kind}:\n{tool.format.definition}"
    return f"{tool.description}\n\n{rule}" if tool.description else rule


def _choice(
    choice: ToolChoice, origins: Mapping[str, Origin], hosted: Sequence[OpaqueTool]
) -> Choice:
    match choice:
        case "none" | "auto" | "required":
            return Choice(choice)
        case AllowedTools(mode=mode):
            return Choice(mode)
        case ForcedFunction(name=name):
            return Choice("required", _forced("function", name, origins))
        case ForcedCustom(name=name):
            return Choice("required", _forced("custom", name, origins))
        case ForcedMcp() | ForcedHosted():
            kind = "mcp" if isinstance(choice, ForcedMcp) else choice.type
            for tool in hosted:
                if tool.type == kind:
                    return Choice("required", hosted=tool)
            raise _refused(
                f"Tool choice '{kind}' is not supported with this model.",
                UNSUPPORTED_PARAMETER,
                "tool_choice",
            )


def _forced(kind: str, name: str, origins: Mapping[str, Origin]) -> str:
    for upstream, origin in origins.items():
        if (origin.kind, origin.name) == (kind, name):
            return upstream
    raise _refused(f"Tool choice '{name}' not found in 'tools' parameter.", None, "tool_choice")


def _refused(message: str, code: str | None, param: str) -> ApiError:
    return ApiError(400, message, code=code, param=param)

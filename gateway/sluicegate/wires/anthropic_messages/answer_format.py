"""The form of the answer: text, JSON of a schema, any JSON object.

A schema that the model can be held to goes into `output_config.format`. Otherwise a tool stands in
for it whose input is the answer, and which the model must call; where no tool can be forced, an
instruction says what to write. The last is a request, not a guarantee.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from sluicegate.api.enforced_schema import enforceable
from sluicegate.api.parameters import JsonObjectFormat, JsonSchemaFormat, PlainFormat
from sluicegate.api.tools import JsonObject
from sluicegate.wires.anthropic_messages.body import (
    OutputFormat,
    TextBlock,
    ToolDefinition,
    WireToolChoice,
)
from sluicegate.wires.anthropic_messages.capabilities import Capabilities
from sluicegate.wires.anthropic_messages.tools import Tools

VALUE = "value"  # where the answer tool's input holds an answer that is not an object
_TOOL = "final_answer"
_ANY_OBJECT = (
    "Answer with one JSON object and nothing else: no words before or after it, no Markdown fence."
)
_SCHEMA = (
    "Answer with JSON that this JSON Schema allows and nothing else: no words before or after it, "
    "no Markdown fence.\n"
)


class AnswerTool(NamedTuple):
    """The tool whose input is the answer. `wrapped`: the answer is its member `value`."""

    name: str
    wrapped: bool


class AnswerFormat(NamedTuple):
    """At most one of these is set."""

    native: OutputFormat | None = None
    instruction: TextBlock | None = None
    tool: AnswerTool | None = None


def plan_format(
    wanted: PlainFormat | JsonObjectFormat | JsonSchemaFormat, tools: Tools, model: Capabilities
) -> tuple[AnswerFormat, Tools]:
    """Choose; the tools come back with the one that stands in for the format."""
    match wanted:
        case PlainFormat():
            return AnswerFormat(), tools
        case JsonObjectFormat():
            return AnswerFormat(instruction=TextBlock(_ANY_OBJECT)), tools
        case JsonSchemaFormat(schema=schema):
            pass
    native = enforceable(schema) if model.schemas else None
    if native is not None:
        return AnswerFormat(native=OutputFormat(native)), tools
    if tools.forced:  # the answer is a call, which the format is not about
        return AnswerFormat(), tools
    if not model.forced_tools:
        text = _SCHEMA + msgspec.json.encode(schema).decode()
        return AnswerFormat(instruction=TextBlock(text)), tools
    return _stand_in(wanted, tools)


def _stand_in(wanted: JsonSchemaFormat, tools: Tools) -> tuple[AnswerFormat, Tools]:
    names = {tool.name for tool in tools.definitions}
    name = _TOOL
    while name in names:
        name += "_"
    wrapped = wanted.schema.get("type") != "object"
    definition = ToolDefinition(
        name,
        _wrapped(wanted.schema) if wrapped else wanted.schema,
        description=wanted.description or "Gives the final answer to the user.",
    )
    others = tools.choice is None or tools.choice.type != "none"
    choice = (
        WireToolChoice("any", disable_parallel_tool_use=_single(tools))
        if tools.definitions and others
        else WireToolChoice("tool", name, disable_parallel_tool_use=True)
    )
    planned = tools._replace(
        definitions=(*tools.definitions, definition), choice=choice, forced=True
    )
    return AnswerFormat(tool=AnswerTool(name, wrapped)), planned


def _wrapped(schema: JsonObject) -> JsonObject:
    """References to the root's definitions hold inside, so they move up with them."""
    inner = dict(schema)
    outer: JsonObject = {"type": "object", "properties": {VALUE: inner}, "required": [VALUE]}
    for group in ("$defs", "definitions"):
        if group in inner:
            outer[group] = inner.pop(group)
    return outer


def _single(tools: Tools) -> bool:
    return tools.choice is not None and tools.choice.disable_parallel_tool_use

"""Tools, the choice among them, and the form of the answer, which may need a tool of its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, TypeAlias, cast

import msgspec

from sluicegate.api.enforced_schema import enforceable
from sluicegate.api.parameters import JsonObjectFormat, JsonSchemaFormat, PlainFormat
from sluicegate.api.support import unsupported
from sluicegate.api.tools import JsonObject
from sluicegate.api.toolset import FunctionSpec, Toolset
from sluicegate.providers.bedrock import wire
from sluicegate.providers.bedrock.models import Model
from sluicegate.providers.bedrock.schema import closes_its_objects

_ANSWER = "json_answer"
_ANSWER_HELP = "Gives the answer. Call it once, when the answer is known, with the whole answer."
_GROUNDING = "nova_grounding"  # Nova's own web search
_ANY_OBJECT: JsonObject = {"type": "object"}
_Choice: TypeAlias = Mapping[str, Mapping[str, str]]
_CALL_ANY: _Choice = {"any": {}}


class ToolPlan(NamedTuple):
    """What goes upstream. `answer_tool`: calls of it are the answer's text."""

    config: wire.ToolConfig | None
    text_format: wire.TextFormat | None = None
    answer_tool: str | None = None

    @property
    def forced(self) -> bool:
        """Whether the model has to call a tool."""
        choice = self.config.tool_choice if self.config is not None else None
        return choice is not None and "auto" not in choice


def tool_plan(
    tools: Toolset, answer: PlainFormat | JsonObjectFormat | JsonSchemaFormat, model: Model
) -> ToolPlan:
    """Raises ApiError (400) for a choice that can't be made upstream."""
    choice = tools.choice
    if choice.hosted is not None:
        raise unsupported("tool_choice", "a search can't be forced with this model")
    entries = [] if choice.mode == "none" else _entries(tools, model)
    text_format = _text_format(answer, model)
    if isinstance(answer, PlainFormat) or text_format is not None or choice.forced is not None:
        return ToolPlan(_config(entries, tools), text_format)
    name = _ANSWER
    while name in tools.origins:
        name += "_"
    entries.append(_answer_entry(name, answer))
    # Among other tools any may be called, the answer being one of them.
    forced = _CALL_ANY if len(entries) > 1 else {"tool": {"name": name}}
    return ToolPlan(wire.ToolConfig(entries, forced), None, name)


def _entries(tools: Toolset, model: Model) -> list[wire.ToolEntry]:
    entries: list[wire.ToolEntry] = [_entry(function, model) for function in tools.functions]
    if tools.hosted:
        entries.append(wire.SystemToolEntry(wire.SystemTool(_GROUNDING)))
    return entries


def _entry(function: FunctionSpec, model: Model) -> wire.ToolSpecEntry:
    # OpenAI's default of strict: true is not taken over: a schema made without it in mind is
    # refused by models that enforce schemas.
    form = _enforced(function.parameters, model) if function.strict is True else None
    schema = function.parameters if form is None else form
    spec = wire.ToolSpec(
        function.name,
        wire.InputSchema(schema),
        function.description,
        None if form is None else True,
    )
    return wire.ToolSpecEntry(spec)


def _config(entries: list[wire.ToolEntry], tools: Toolset) -> wire.ToolConfig | None:
    if not entries:
        return None
    choice: _Choice | None = None
    if tools.choice.forced is not None:
        choice = {"tool": {"name": tools.choice.forced}}
    elif tools.choice.mode == "required":
        choice = _CALL_ANY
    return wire.ToolConfig(entries, choice)


def _text_format(
    answer: PlainFormat | JsonObjectFormat | JsonSchemaFormat, model: Model
) -> wire.TextFormat | None:
    """The native form, for schemas that it takes."""
    schema = _enforced(answer.schema, model) if isinstance(answer, JsonSchemaFormat) else None
    if not isinstance(answer, JsonSchemaFormat) or schema is None:
        return None
    text = msgspec.json.encode(schema).decode()
    structure = wire.Structure(wire.JsonSchema(text, answer.name, answer.description or None))
    return wire.TextFormat("json_schema", structure)


def _enforced(schema: JsonObject, model: Model) -> JsonObject | None:
    """The schema as the model can be held to it, None where it can't be."""
    if not model.structured or not closes_its_objects(schema):
        return None
    return enforceable(schema) if model.restrained else schema


def _answer_entry(name: str, answer: JsonObjectFormat | JsonSchemaFormat) -> wire.ToolSpecEntry:
    schema, said = _ANY_OBJECT, _ANSWER_HELP
    if isinstance(answer, JsonSchemaFormat):
        schema = cast("JsonObject", {"type": "object", **answer.schema})
        if answer.description:
            said = f"{_ANSWER_HELP} {answer.description}"
    return wire.ToolSpecEntry(wire.ToolSpec(name, wire.InputSchema(schema), said))

"""What an echo deployment makes of a request: the script of its answer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import msgspec

from sluicegate.api.answer import Echo, echo
from sluicegate.api.items import (
    CustomToolCall,
    CustomToolCallOutput,
    FunctionCall,
    FunctionCallOutput,
    InputText,
    Item,
    Message,
    MessagePart,
    OutputText,
)
from sluicegate.api.parameters import (
    JsonObjectFormat,
    JsonSchemaFormat,
    Parameters,
    decode_parameters,
)
from sluicegate.api.request import ResponsesRequest
from sluicegate.api.tools import (
    AllowedTools,
    CustomTool,
    ForcedCustom,
    ForcedFunction,
    ForcedHosted,
    ForcedMcp,
    FunctionTool,
    NamespaceTool,
    Tool,
)
from sluicegate.providers.echo.errors import not_callable
from sluicegate.providers.echo.sample import sample

_NOTHING = "Nothing to echo."
_SUMMARY = "Repeating what was said."
_SEALED = "ZWNobw=="
_CHARACTERS = 4  # to a token


class Call(NamedTuple):
    """A call of a tool; `custom` tools take their input as it is."""

    name: str
    namespace: str | None
    custom: bool
    payload: str


class Script(NamedTuple):
    """An answer before it is told."""

    echo: Echo
    input_tokens: int
    most_tokens: int | None
    reasons: bool
    summary: str  # empty: none was asked for
    sealed: str  # empty: as the summary
    call: Call | None  # instead of the text
    text: str


def script(request: ResponsesRequest, text: str | None) -> Script:
    """Plan the answer. `text` is the configured one. Raises ApiError (400)."""
    parameters = decode_parameters(request)
    reasoning, fields = parameters.reasoning, parameters.fields
    reasons = reasoning.effort not in {None, "none"}
    asked = reasons and (reasoning.summary or reasoning.generate_summary) is not None
    sealed = reasons and "reasoning.encrypted_content" in (fields.include or ())
    return Script(
        echo=echo(parameters, store=False),
        input_tokens=_input_tokens(parameters),
        most_tokens=fields.max_output_tokens,
        reasons=reasons,
        summary=_SUMMARY if asked else "",
        sealed=_SEALED if sealed else "",
        call=_call(parameters),
        text=_text(parameters, text),
    )


def tokens(characters: int) -> int:
    """How many tokens so many characters are."""
    return -(-characters // _CHARACTERS)


def characters(most_tokens: int) -> int:
    """How many characters so many tokens are."""
    return most_tokens * _CHARACTERS


def _input_tokens(parameters: Parameters) -> int:
    instructions = parameters.fields.instructions or ""
    lengths = (len(text) for item in parameters.items for text in _texts(item))
    return tokens(len(instructions) + sum(lengths))


def _texts(item: Item) -> Iterator[str]:
    match item:
        case Message(content=content):
            yield from _parts(content)
        case FunctionCallOutput(output=output) | CustomToolCallOutput(output=output):
            yield from _parts(output)
        case FunctionCall(arguments=arguments):
            yield arguments
        case CustomToolCall(input=text):
            yield text
        case _:
            pass


def _parts(content: str | Sequence[MessagePart]) -> Iterator[str]:
    if isinstance(content, str):
        yield content
        return
    for part in content:
        if isinstance(part, InputText | OutputText):
            yield part.text


# ------------------------------------------------------------------------------------------- text


def _text(parameters: Parameters, configured: str | None) -> str:
    said = configured if configured is not None else _last_user_text(parameters.items)
    match parameters.text.format:
        case JsonSchemaFormat(schema=schema):
            return msgspec.json.encode(sample(schema)).decode()
        case JsonObjectFormat():
            return said if _is_object(said) else msgspec.json.encode({"text": said}).decode()
        case _:
            return said or _NOTHING


def _last_user_text(items: Sequence[Item]) -> str:
    for item in reversed(items):
        if isinstance(item, Message) and item.role == "user":
            return "".join(_parts(item.content))
    return ""


def _is_object(text: str) -> bool:
    try:
        return isinstance(msgspec.json.decode(text), dict)
    except (msgspec.DecodeError, RecursionError):
        return False


# ------------------------------------------------------------------------------------------ calls


def _call(parameters: Parameters) -> Call | None:
    """The call that `tool_choice` forces: of the tool it names, else of the first it allows."""
    wanted: set[tuple[str, str]] | None
    match parameters.tool_choice:
        case "none" | "auto" | AllowedTools(mode="auto"):
            return None
        case "required" | ForcedHosted(type="namespace"):
            wanted = None
        case ForcedFunction(name=name):
            wanted = {("function", name)}
        case ForcedCustom(name=name):
            wanted = {("custom", name)}
        case AllowedTools(tools=names):
            wanted = {(tool.type, tool.name or "") for tool in names}
        case ForcedMcp(server_label=label):
            raise not_callable(label)
        case ForcedHosted(type=kind):
            raise not_callable(kind)
    return _first(parameters.tools, wanted)


def _first(tools: Sequence[Tool], wanted: set[tuple[str, str]] | None) -> Call:
    for tool, namespace in _callable(tools):
        kind = "custom" if isinstance(tool, CustomTool) else "function"
        if (
            wanted is None
            or (kind, tool.name) in wanted
            or (namespace and ("namespace", namespace) in wanted)
        ):
            return Call(tool.name, namespace, kind == "custom", _payload(tool))
    raise not_callable("required")


def _callable(tools: Sequence[Tool]) -> Iterator[tuple[FunctionTool | CustomTool, str | None]]:
    for tool in tools:
        if isinstance(tool, FunctionTool | CustomTool):
            yield tool, None
        elif isinstance(tool, NamespaceTool):
            for inner in tool.tools:
                yield inner, tool.name


def _payload(tool: FunctionTool | CustomTool) -> str:
    if isinstance(tool, CustomTool):
        return f"input of {tool.name}"
    arguments = msgspec.json.encode(sample(tool.parameters or {"type": "object"})).decode()
    return arguments if arguments.startswith("{") else "{}"

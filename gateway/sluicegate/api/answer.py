"""The Response object of a translated answer: what it echoes of the request, what the model did.

Built as bytes: the echo does not change during an answer and is encoded once, although the object
is sent three times. The keys are those that strict validation by openai-python and by Open
Responses asks for.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple, TypeAlias

import msgspec
from msgspec import Raw, Struct

from sluicegate.api import invalid
from sluicegate.api.parameters import Parameters
from sluicegate.api.tools import (
    CustomTool,
    ForcedHosted,
    FunctionTool,
    NamespaceTool,
    OpaqueTool,
    Tool,
)
from sluicegate.model import ApiError, Usage

IncompleteReason: TypeAlias = Literal["max_output_tokens", "content_filter"]
Status: TypeAlias = Literal["in_progress", "completed", "incomplete", "failed"]

# Response.error.code is a closed set (OpenAPI ResponseErrorCode); strict clients refuse others.
ERROR_CODES = frozenset(
    {
        "server_error",
        "rate_limit_exceeded",
        "invalid_prompt",
        "invalid_image",
        "invalid_image_format",
        "invalid_base64_image",
        "invalid_image_url",
        "image_too_large",
        "image_too_small",
        "image_parse_error",
        "image_content_policy_violation",
        "invalid_image_mode",
        "image_file_too_large",
        "unsupported_image_media_type",
        "empty_image_file",
        "failed_to_download_image",
        "image_file_not_found",
    }
)
_SEARCH = "web_search"
_KNOWN_SEARCH = b'"web_search_preview"'
_TOO_MANY_REQUESTS = 429
_SERVER_ERROR = 500


class Echo(NamedTuple):
    """The part of a Response object that the request decides: JSON members without braces."""

    members: bytes
    service_tier: str


class _Function(Struct):
    """A function tool as both judges want it: nulls where the client said nothing."""

    type: str
    name: str
    description: str | None
    parameters: Mapping[str, object] | None
    strict: bool | None


class _Echo(Struct):
    background: bool
    frequency_penalty: float
    instructions: str | None
    max_output_tokens: int | None
    max_tool_calls: int | None
    parallel_tool_calls: bool
    presence_penalty: float
    previous_response_id: str | None
    prompt_cache_key: str | None
    reasoning: Mapping[str, str | None]
    safety_identifier: str | None
    store: bool
    temperature: float
    text: Mapping[str, object]
    tool_choice: str | Raw
    tools: list[object]
    top_logprobs: int
    top_p: float
    truncation: str
    user: str | None
    metadata: Mapping[str, str]


def echo(parameters: Parameters, *, store: bool) -> Echo:
    """Encode what every Response object of this request repeats.

    `store` says what is done, not what was asked. An omitted `strict` stays null: the API's own
    promise of `true` would be the upstream's to keep.
    """
    fields = parameters.fields
    temperature, top_p = fields.temperature, fields.top_p
    parallel = fields.parallel_tool_calls
    value = _Echo(
        background=False,
        frequency_penalty=fields.frequency_penalty or 0.0,
        instructions=fields.instructions,
        max_output_tokens=fields.max_output_tokens,
        max_tool_calls=fields.max_tool_calls,
        parallel_tool_calls=True if parallel is None else parallel,
        presence_penalty=fields.presence_penalty or 0.0,
        previous_response_id=None,
        prompt_cache_key=fields.prompt_cache_key,
        reasoning=_reasoning(parameters),
        safety_identifier=fields.safety_identifier,
        store=store,
        temperature=1.0 if temperature is None else temperature,
        text=_text(parameters),
        tool_choice=_tool_choice(parameters),
        tools=[_tool(tool) for tool in parameters.tools],
        top_logprobs=fields.top_logprobs or 0,
        top_p=1.0 if top_p is None else top_p,
        truncation=fields.truncation or "disabled",
        user=fields.user,
        metadata=fields.metadata or {},
    )
    return Echo(msgspec.json.encode(value)[1:-1], fields.service_tier or "auto")


def _reasoning(parameters: Parameters) -> Mapping[str, str | None]:
    options = parameters.reasoning
    shown: dict[str, str | None] = {
        "effort": options.effort,
        "summary": options.summary or options.generate_summary,
    }
    if options.mode is not None:
        shown["mode"] = options.mode
    if options.context is not None:
        shown["context"] = options.context
    return shown


def _text(parameters: Parameters) -> Mapping[str, object]:
    return {
        "format": parameters.text.format,
        "verbosity": parameters.text.verbosity or "medium",
    }


def _tool_choice(parameters: Parameters) -> str | Raw:
    """As the client sent it, but for a search, of which the types know the older name only."""
    choice = parameters.fields.tool_choice
    if choice is None or isinstance(choice, str):
        return choice or "auto"
    forced = parameters.tool_choice
    if isinstance(forced, ForcedHosted) and forced.type.startswith(_SEARCH):
        choice = {**choice, "type": Raw(_KNOWN_SEARCH)}
    return one_line(msgspec.json.encode(choice))


def _tool(tool: Tool) -> object:
    match tool:
        case FunctionTool():
            return _Function("function", tool.name, tool.description, tool.parameters, tool.strict)
        case CustomTool():
            shown: dict[str, object] = {"type": "custom", "name": tool.name, "format": tool.format}
            return shown | _described(tool.description)
        case NamespaceTool():
            return {
                "type": "namespace",
                "name": tool.name,
                "description": tool.description or "",
                "tools": [_tool(inner) for inner in tool.tools],
            }
        case OpaqueTool():
            return one_line(tool.raw)


def _described(description: str | None) -> dict[str, object]:
    return {} if description is None else {"description": description}


def one_line(value: bytes | Raw) -> Raw:
    """The same JSON on one line, as a stream's data must be; numbers keep their spelling.

    Raises ApiError (400) where it is nested too deeply.
    """
    text = bytes(value)
    if b"\n" in text or b"\r" in text:  # not inside a string: there they are escaped
        try:
            text = msgspec.json.format(text, indent=-1)
        except RecursionError as error:
            raise invalid.too_deep() from error
    return Raw(text)


# ----------------------------------------------------------------------------------------- object


class Ending(NamedTuple):
    """How an answer ended."""

    status: Status
    completed_at: int | None = None
    error: bytes = b"null"
    incomplete: bytes = b"null"
    usage: Usage | None = None


def response_object(
    echoed: Echo, identity: tuple[str, int, str], service_tier: str, output: bytes, ending: Ending
) -> bytes:
    """A Response object. `identity` is (id, created_at, model); `output` is the JSON list."""
    response_id, created_at, model = identity
    return (
        b'{"id":"%b","object":"response","created_at":%d,"status":"%b","completed_at":%b,'
        b'"error":%b,"incomplete_details":%b,"model":%b,"output":%b,"service_tier":%b,"usage":%b,'
        b"%b}"
    ) % (
        response_id.encode(),
        created_at,
        ending.status.encode(),
        b"null" if ending.completed_at is None else b"%d" % ending.completed_at,
        ending.error,
        ending.incomplete,
        msgspec.json.encode(model),
        output,
        msgspec.json.encode(service_tier),
        msgspec.json.encode(ending.usage),
        echoed.members,
    )


def error_object(error: ApiError) -> bytes:
    """`Response.error` for a failure: its code is one of a closed set."""
    code = error.error.code
    if code not in ERROR_CODES:
        if error.status == _TOO_MANY_REQUESTS:
            code = "rate_limit_exceeded"
        else:
            code = "server_error" if error.status >= _SERVER_ERROR else "invalid_prompt"
    return msgspec.json.encode({"code": code, "message": error.error.message})

"""A Responses request as the body of a chat completion, and what is needed to read its answer."""

from __future__ import annotations

from typing import Literal, NamedTuple

import msgspec

from sluicegate.api.answer import Echo, echo
from sluicegate.api.omissions import Omissions
from sluicegate.api.parameters import (
    Effort,
    JsonObjectFormat,
    JsonSchemaFormat,
    Parameters,
    PlainFormat,
    decode_parameters,
)
from sluicegate.api.request import ResponsesRequest, decode_request, merge_parameters
from sluicegate.api.support import check
from sluicegate.api.toolset import FunctionSpec, Toolset, toolset
from sluicegate.wires.chat_completions.body import (
    Body,
    FunctionName,
    NamedChoice,
    NamedSchema,
    ObjectFormat,
    SchemaFormat,
    StreamOptions,
    Tier,
    WireFunction,
    WireTool,
)
from sluicegate.wires.chat_completions.history import tell
from sluicegate.wires.chat_completions.support import SUPPORT
from sluicegate.wires.chat_completions.terms import Dialect, Terms

_LOGPROBS = "message.output_text.logprobs"
_encode = msgspec.json.Encoder().encode


class Reading(NamedTuple):
    """What the reader of the answer has to know of the request."""

    echo: Echo
    model: str
    provider: str
    toolset: Toolset
    logprobs: bool


class Planned(NamedTuple):
    """A request ready to send. `dropped` names what is left out of it."""

    body: bytes
    reading: Reading
    dropped: tuple[str, ...]


class _Hints(NamedTuple):
    """What an answer is as good without."""

    verbosity: Literal["low", "medium", "high"] | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None
    prompt_cache_retention: str | None = None
    prompt_cache_options: dict[str, msgspec.Raw] | None = None


def plan(request: ResponsesRequest, model: str, terms: Terms) -> Planned:
    """Translate. `model` is the upstream's name of it. Raises ApiError (400)."""
    if terms.parameters is not None:
        request = decode_request(
            merge_parameters(request.body, terms.parameters.defaults, terms.parameters.overrides)
        )
    parameters = decode_parameters(request)
    omissions = Omissions(drop=terms.drop_parameters)
    omissions.leave_out(*check(request, parameters, SUPPORT, drop=terms.drop_parameters))
    fields = parameters.fields
    dialect = terms.dialect

    tools = toolset(parameters.tools, parameters.tool_choice, drop=terms.drop_tools)
    omissions.leave_out(*tools.dropped)
    messages = tell(fields.instructions, parameters.items, model, dialect, omissions)
    tokens = fields.max_output_tokens
    top_logprobs = fields.top_logprobs or None
    logprobs = top_logprobs is not None or _LOGPROBS in (fields.include or ())
    hints = _hints(parameters) if dialect.own else _Hints()
    body = Body(
        model=model,
        messages=messages,
        tools=[_tool(spec) for spec in tools.functions] or None,
        tool_choice=_tool_choice(tools),
        parallel_tool_calls=not tools.functions or fields.parallel_tool_calls is not False,
        response_format=_response_format(parameters.text.format),
        max_tokens=None if dialect.own else tokens,
        max_completion_tokens=tokens if dialect.own else None,
        temperature=fields.temperature,
        top_p=fields.top_p,
        presence_penalty=fields.presence_penalty,
        frequency_penalty=fields.frequency_penalty,
        logprobs=logprobs,
        top_logprobs=top_logprobs,
        reasoning_effort=_effort(parameters, terms, omissions),
        service_tier=_service_tier(parameters, dialect, omissions),
        user=_user(parameters, dialect),
        **hints._asdict(),
        stream=request.stream,
        stream_options=StreamOptions() if request.stream else None,
    )
    reading = Reading(echo(parameters, store=False), model, dialect.provider, tools, logprobs)
    return Planned(_encode(body), reading, omissions.names())


def _tool(spec: FunctionSpec) -> WireTool:
    return WireTool(
        WireFunction(spec.name, spec.description, spec.parameters, strict=spec.strict is True)
    )


def _tool_choice(tools: Toolset) -> Literal["none", "required"] | NamedChoice | None:
    """`auto` is the API's own default; without tools there is nothing to choose."""
    choice = tools.choice
    if not tools.functions or choice.mode == "auto":
        return None
    if choice.forced is not None:
        return NamedChoice(FunctionName(choice.forced))
    return choice.mode


def _response_format(
    wanted: PlainFormat | JsonObjectFormat | JsonSchemaFormat,
) -> SchemaFormat | ObjectFormat | None:
    match wanted:
        case PlainFormat():
            return None
        case JsonObjectFormat():
            return ObjectFormat()
        case JsonSchemaFormat():
            return SchemaFormat(
                NamedSchema(wanted.name, wanted.schema, wanted.description, wanted.strict)
            )


def _effort(parameters: Parameters, terms: Terms, omissions: Omissions) -> Effort | None:
    options = parameters.reasoning
    if terms.model_info.reasoning != "None":
        return options.effort
    if options.effort not in {None, "none"}:
        omissions.unsupported("reasoning.effort")
    return None


def _service_tier(parameters: Parameters, dialect: Dialect, omissions: Omissions) -> Tier | None:
    match parameters.fields.service_tier:
        case "default":  # what others do anyway
            return "default" if dialect.own else None
        case "flex" | "scale" | "priority" | "fast" as tier:
            return tier
        case None | "auto":
            return None
        case tier:
            omissions.unsupported("service_tier", f"'{tier}' is not a tier of this model")
            return None


def _user(parameters: Parameters, dialect: Dialect) -> str | None:
    fields = parameters.fields
    user = fields.user or None
    return user if dialect.own else fields.safety_identifier or user


def _hints(parameters: Parameters) -> _Hints:
    fields = parameters.fields
    return _Hints(
        parameters.text.verbosity,
        fields.safety_identifier,
        fields.prompt_cache_key,
        fields.prompt_cache_retention,
        fields.prompt_cache_options,
    )

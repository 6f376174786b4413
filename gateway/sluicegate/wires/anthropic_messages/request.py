"""A Responses request as the body of a Messages request, and what is needed to read its answer."""

from __future__ import annotations

import hashlib
from typing import Literal, NamedTuple

import msgspec

from sluicegate.api.answer import Echo, echo
from sluicegate.api.omissions import Omissions
from sluicegate.api.parameters import Parameters, decode_parameters
from sluicegate.api.request import ResponsesRequest, decode_request, merge_parameters
from sluicegate.api.support import check
from sluicegate.api.toolset import Toolset
from sluicegate.wires.anthropic_messages.answer_format import AnswerTool, plan_format
from sluicegate.wires.anthropic_messages.body import (
    Body,
    Metadata,
    OutputConfig,
    TextBlock,
)
from sluicegate.wires.anthropic_messages.caching import Prompt, marked
from sluicegate.wires.anthropic_messages.capabilities import Capabilities, capabilities
from sluicegate.wires.anthropic_messages.history import Reader, tell, without_thinking
from sluicegate.wires.anthropic_messages.support import SUPPORT
from sluicegate.wires.anthropic_messages.terms import Terms
from sluicegate.wires.anthropic_messages.thinking import (
    Circumstances,
    Thinking,
    plan_thinking,
)
from sluicegate.wires.anthropic_messages.tools import plan_tools

_SOURCES = "web_search_call.action.sources"
_CACHE_HINT = b"prompt_cache"
_MOST_TEMPERATURE = 1.0
_LONGEST_USER = 256
_encode = msgspec.json.Encoder().encode


class Reading(NamedTuple):
    """What the reader of the answer has to know of the request."""

    echo: Echo
    model: str
    provider: str
    toolset: Toolset
    answer_tool: AnswerTool | None
    sources: bool  # searches name the pages they found


class Planned(NamedTuple):
    """A request ready to send. `dropped` names what is left out of it."""

    body: bytes
    reading: Reading
    dropped: tuple[str, ...]


def plan(request: ResponsesRequest, model: str, terms: Terms) -> Planned:
    """Translate. `model` is the upstream's name of it. Raises ApiError (400)."""
    if terms.parameters is not None:
        request = decode_request(
            merge_parameters(request.body, terms.parameters.defaults, terms.parameters.overrides)
        )
    parameters = decode_parameters(request)
    omissions = Omissions(drop=terms.drop_parameters)
    omissions.leave_out(*check(request, parameters, SUPPORT, drop=terms.drop_parameters))
    abilities = capabilities(model, terms.model_info)
    fields = parameters.fields
    dialect = terms.dialect

    reader = Reader(dialect, model, dialect.inline_system and abilities.inline_system)
    history = tell(parameters.items, reader, omissions)
    tools = plan_tools(
        parameters, abilities, history.called, drop=terms.drop_tools, omissions=omissions
    )
    answer, tools = plan_format(parameters.text.format, tools, abilities)
    max_tokens = fields.max_output_tokens or abilities.default_tokens
    thinking = plan_thinking(
        parameters.reasoning,
        abilities,
        Circumstances(max_tokens, tools.forced, history.unsigned),
        omissions,
    )
    messages = without_thinking(history.messages) if thinking.thinks is False else history.messages
    instructions = fields.instructions
    system = (
        *((TextBlock(instructions),) if instructions and instructions.strip() else ()),
        *history.system,
        *((answer.instruction,) if answer.instruction is not None else ()),
    )
    prompt = Prompt(tools.definitions, system, messages)
    if _CACHE_HINT in request.body:  # every one of them has it in its name
        prompt = marked(prompt, fields)
    temperature, top_p = _sampling(parameters, abilities, thinking, terms, omissions)
    body = Body(
        max_tokens=max_tokens,
        messages=prompt.messages,
        model=model if dialect.body_version is None else None,
        anthropic_version=dialect.body_version,
        system=prompt.system or None,
        tools=prompt.tools or None,
        tool_choice=tools.choice,
        thinking=thinking.config,
        output_config=OutputConfig(thinking.effort, answer.native)
        if thinking.effort or answer.native
        else None,
        temperature=temperature,
        top_p=top_p,
        metadata=_metadata(parameters),
        service_tier=_service_tier(parameters, terms, omissions),
        stream=request.stream,
    )
    reading = Reading(
        echo(parameters, store=False),
        model,
        dialect.provider,
        tools.toolset,
        answer.tool,
        _SOURCES in (fields.include or ()),
    )
    return Planned(_encode(body), reading, omissions.names())


def _sampling(
    parameters: Parameters,
    model: Capabilities,
    thinking: Thinking,
    terms: Terms,
    omissions: Omissions,
) -> tuple[float | None, float | None]:
    """Temperature and top_p, as far as they are not what the model does anyway (1)."""
    temperature, top_p = parameters.fields.temperature, parameters.fields.top_p
    temperature = None if temperature == 1 else temperature
    top_p = None if top_p == 1 else top_p
    refusal: str | None = None
    if not (model.sampling and terms.dialect.sampling):
        refusal = "this model takes only its default"
    elif thinking.config is not None and thinking.config.type in {"enabled", "adaptive"}:
        refusal = "this model takes only its default while it reasons"
    if temperature is not None and (refusal or temperature > _MOST_TEMPERATURE):
        omissions.unsupported("temperature", refusal or "this model takes at most 1")
        temperature = None
    if top_p is not None and refusal:
        omissions.unsupported("top_p", refusal)
        top_p = None
    if temperature is not None and top_p is not None and not model.both_sampling:
        omissions.unsupported("top_p", "this model does not take it beside 'temperature'")
        top_p = None
    return temperature, top_p


def _metadata(parameters: Parameters) -> Metadata | None:
    """Who is behind the request. What looks like an address, or is too long, goes as a digest."""
    fields = parameters.fields
    user = fields.safety_identifier or fields.user
    if not user:
        return None
    if "@" in user or len(user) > _LONGEST_USER:
        user = hashlib.sha256(user.encode()).hexdigest()
    return Metadata(user)


def _service_tier(
    parameters: Parameters, terms: Terms, omissions: Omissions
) -> Literal["standard_only"] | None:
    """`auto`, the API's default, takes capacity that was bought in advance if there is any."""
    match parameters.fields.service_tier:
        case "default":
            return "standard_only" if terms.dialect.service_tiers else None
        case None | "auto" | "priority" | "scale":
            return None
        case tier:
            omissions.unsupported("service_tier", f"'{tier}' is not a tier of this model")
            return None

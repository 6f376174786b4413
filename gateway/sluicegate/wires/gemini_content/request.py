"""A Responses request as a `generateContent` request, and what is needed to read its answer."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import NamedTuple

import msgspec

from sluicegate.api.answer import Echo, echo
from sluicegate.api.omissions import Omissions
from sluicegate.api.parameters import (
    JsonObjectFormat,
    JsonSchemaFormat,
    Parameters,
    PlainFormat,
    decode_parameters,
)
from sluicegate.api.request import ResponsesRequest, decode_request, merge_parameters
from sluicegate.api.support import check
from sluicegate.api.toolset import Origin
from sluicegate.wires.gemini_content.body import (
    Body,
    Content,
    GenerationConfig,
    TextPart,
    Tier,
)
from sluicegate.wires.gemini_content.capabilities import Capabilities, capabilities
from sluicegate.wires.gemini_content.history import Reader, tell
from sluicegate.wires.gemini_content.schema import json_schema, openapi_schema
from sluicegate.wires.gemini_content.support import SUPPORT
from sluicegate.wires.gemini_content.terms import Terms
from sluicegate.wires.gemini_content.thinking import plan_thinking, unseal_signed
from sluicegate.wires.gemini_content.tools import Tools, plan_tools, wire_name

_JSON = "application/json"
_LOGPROBS = "message.output_text.logprobs"
_SEALED = "reasoning.encrypted_content"
_SOURCES = "web_search_call.action.sources"
_ANY_OBJECT = (
    "Answer with one JSON object and nothing else: no words before or after it, no Markdown fence."
)
_SCHEMA = (
    "Answer with JSON that this JSON Schema allows and nothing else: no words before or after it, "
    "no Markdown fence.\n"
)
_encode = msgspec.json.Encoder().encode


class Reading(NamedTuple):
    """What the reader of the answer has to know of the request."""

    echo: Echo
    model: str
    provider: str
    origins: Mapping[str, Origin]
    single: bool  # only one call may be made
    logprobs: bool
    sealed: bool  # every signature is to be kept, not only those of calls
    sources: bool  # searches name the pages they found


class Planned(NamedTuple):
    """A request ready to send. `dropped` names what is left out of it; `tier` goes in headers."""

    body: bytes
    reading: Reading
    dropped: tuple[str, ...]
    tier: Tier | None


class _Form(NamedTuple):
    """The form of the answer; `instruction` where nothing else can ask for it."""

    config: GenerationConfig = GenerationConfig()
    instruction: str | None = None


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
    dialect, fields = terms.dialect, parameters.fields
    reader = Reader(
        abilities,
        abilities.web_addresses or dialect.web_addresses,
        abilities.call_ids and dialect.call_ids,
        wire_name,
        partial(unseal_signed, provider=dialect.provider, model=model),
    )
    history = tell(parameters.items, reader, omissions)
    tools = plan_tools(parameters, abilities, dialect, drop=terms.drop_tools, omissions=omissions)
    form = _form(parameters.text.format, tools, abilities)
    tier = _tier(parameters, omissions)
    system = _system(fields.instructions, history.system, form.instruction)
    body = Body(
        contents=history.contents,
        system_instruction=Content(system) if system else None,
        tools=tools.wire(),
        tool_config=tools.config,
        generation_config=_config(form.config, parameters, abilities, omissions),
        service_tier=tier if dialect.tier_in_body else None,
    )
    include = fields.include or ()
    reading = Reading(
        echo(parameters, store=False),
        model,
        dialect.provider,
        tools.origins,
        single=fields.parallel_tool_calls is False,
        logprobs=_wants_logprobs(parameters),
        sealed=_SEALED in include,
        sources=_SOURCES in include,
    )
    return Planned(
        _encode(body), reading, omissions.names(), None if dialect.tier_in_body else tier
    )


def _system(
    instructions: str | None, said: tuple[TextPart, ...], form: str | None
) -> tuple[TextPart, ...]:
    return (
        *((TextPart(instructions),) if instructions else ()),
        *said,
        *((TextPart(form),) if form else ()),
    )


def _form(
    wanted: PlainFormat | JsonObjectFormat | JsonSchemaFormat, tools: Tools, model: Capabilities
) -> _Form:
    """Older models take a form of the answer only where there are no tools beside it."""
    if isinstance(wanted, PlainFormat):
        return _Form()
    schema = wanted.schema if isinstance(wanted, JsonSchemaFormat) else None
    if model.mixed_tools or (not tools.declarations and tools.search is None):
        config = GenerationConfig(response_mime_type=_JSON)
        if schema is None:
            return _Form(config)
        if model.json_schema:
            replaced = msgspec.structs.replace(config, response_json_schema=json_schema(schema))
        else:
            replaced = msgspec.structs.replace(config, response_schema=openapi_schema(schema))
        return _Form(replaced)
    if tools.forced:
        return _Form()  # the answer is a call, which the form is not about
    if schema is None:
        return _Form(instruction=_ANY_OBJECT)
    return _Form(instruction=_SCHEMA + msgspec.json.encode(schema).decode())


def _config(
    form: GenerationConfig, parameters: Parameters, model: Capabilities, omissions: Omissions
) -> GenerationConfig | None:
    fields = parameters.fields
    temperature, top_p = fields.temperature, fields.top_p
    presence = fields.presence_penalty or None
    frequency = fields.frequency_penalty or None
    most_tokens = fields.max_output_tokens
    if not model.sampling:
        _check_default("temperature", temperature, 1, omissions)
        _check_default("top_p", top_p, 1, omissions)
        temperature = top_p = None
    if not model.penalties:
        _check_default("presence_penalty", presence, None, omissions)
        _check_default("frequency_penalty", frequency, None, omissions)
        presence = frequency = None
    wants_logprobs = _wants_logprobs(parameters)
    config = msgspec.structs.replace(
        form,
        max_output_tokens=most_tokens,
        temperature=temperature,
        top_p=top_p,
        presence_penalty=presence,
        frequency_penalty=frequency,
        response_logprobs=wants_logprobs,
        logprobs=(fields.top_logprobs or None) if wants_logprobs else None,
        thinking_config=plan_thinking(parameters.reasoning, model, most_tokens, omissions),
    )
    return None if config == GenerationConfig() else config


def _check_default(
    name: str, value: float | None, default: float | None, omissions: Omissions
) -> None:
    """A setting that the model takes no more; its default is what the model does anyway."""
    if value is not None and value != default:
        omissions.unsupported(name, "this model takes only its default")


def _wants_logprobs(parameters: Parameters) -> bool:
    fields = parameters.fields
    return bool(fields.top_logprobs) or _LOGPROBS in (fields.include or ())


def _tier(parameters: Parameters, omissions: Omissions) -> Tier | None:
    match parameters.fields.service_tier:
        case None | "auto":
            return None
        case "default":
            return "standard"
        case "flex":
            return "flex"
        case "priority":
            return "priority"
        case tier:
            omissions.unsupported("service_tier", f"'{tier}' is not a tier of this model")
            return None

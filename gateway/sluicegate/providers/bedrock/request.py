"""A Responses request as a call of Converse or ConverseStream."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from sluicegate.api.omissions import Omissions
from sluicegate.api.parameters import Parameters
from sluicegate.api.request import Fields, ResponsesRequest
from sluicegate.api.support import check
from sluicegate.api.toolset import Toolset, toolset
from sluicegate.config import Deployment, ModelInfo
from sluicegate.providers.bedrock import wire
from sluicegate.providers.bedrock.messages import LONGEST_NAME, HistoryOptions, conversation
from sluicegate.providers.bedrock.models import Model, model_of
from sluicegate.providers.bedrock.support import SUPPORT, WEB_SEARCH
from sluicegate.providers.bedrock.thinking import NO_THINKING, Thinking, thinking, with_override
from sluicegate.providers.bedrock.tools import ToolPlan, tool_plan

_TIERS: Mapping[str, str] = {"default": "default", "flex": "flex", "priority": "priority"}
# Bounds of requestMetadata (API reference, "Converse"); it goes to the account's own logs.
_METADATA_KEY = re.compile(r"[a-zA-Z0-9\s:_@$#=/+,.-]{1,256}", re.ASCII)
_METADATA_VALUE = re.compile(r"[a-zA-Z0-9\s:_@$#=/+,.-]{0,256}", re.ASCII)
_MOST_METADATA = 16
_LEAST_TOP_P_THINKING = 0.95
_encode = msgspec.json.Encoder().encode


class Prepared(NamedTuple):
    """What is sent, and what the answer has to be read with."""

    body: bytes
    model: Model
    tools: Toolset
    answer_tool: str | None
    single_call: bool  # further calls of one answer are left out
    dropped: tuple[str, ...]


def prepare(
    request: ResponsesRequest, parameters: Parameters, name: str, deployment: Deployment
) -> Prepared:
    """`name` is the upstream's model. Raises ApiError (400)."""
    fields = parameters.fields
    drop = deployment.unsupported_parameters == "Drop"
    left = Omissions(drop=drop)
    left.leave_out(*check(request, parameters, SUPPORT, drop=drop))
    model = with_override(model_of(name), deployment.model_info)
    tools = toolset(
        parameters.tools,
        parameters.tool_choice,
        longest=LONGEST_NAME,
        hosted=WEB_SEARCH if model.grounding else frozenset(),
        drop=deployment.unsupported_tools == "Drop",
    )
    left.leave_out(*tools.dropped)
    plan = tool_plan(tools, parameters.text.format, model)
    ttl = "1h" if fields.prompt_cache_retention == "24h" else None
    options = HistoryOptions(model, ttl, plan.config is None, left)
    told = conversation(fields.instructions, parameters.items, options)
    thoughts = _thinking(
        parameters, model, deployment.model_info, plan, left, unsigned=told.unsigned_calls
    )
    body = wire.ConverseRequest(
        messages=told.messages,
        system=told.system or None,
        inference_config=_inference(fields, model, thoughts, left),
        tool_config=plan.config,
        output_config=_output(plan, thoughts),
        additional_model_request_fields=thoughts.fields or None,
        request_metadata=_metadata(fields),
        service_tier=_tier(fields, left),
    )
    return Prepared(
        body=_encode(body),
        model=model,
        tools=tools,
        answer_tool=plan.answer_tool,
        single_call=fields.parallel_tool_calls is False,
        dropped=left.names(),
    )


def _thinking(
    parameters: Parameters,
    model: Model,
    info: ModelInfo,
    plan: ToolPlan,
    left: Omissions,
    *,
    unsigned: bool,
) -> Thinking:
    effort = parameters.reasoning.effort
    if effort is None or effort == "none":
        return NO_THINKING
    if model.thinking is None:
        left.unsupported("reasoning.effort", "this model has no setting for it")
        return NO_THINKING
    fields = parameters.fields
    most = fields.max_output_tokens or info.max_output_tokens
    plain = fields.max_output_tokens is None and fields.temperature is None and fields.top_p is None
    thoughts = thinking(model, effort, most, plain=plain)
    # Claude thinks neither where it is forced to call a tool nor in the middle of a turn that began
    # without signed thought, and no model where the limit leaves no room. A refusal would help
    # nobody: the client asked for these, too.
    if thoughts.on and (plan.forced or unsigned):
        thoughts = NO_THINKING
    if thoughts == NO_THINKING:
        left.leave_out("reasoning.effort")
    return thoughts


def _inference(
    fields: Fields, model: Model, thoughts: Thinking, left: Omissions
) -> wire.InferenceConfig | None:
    temperature, top_p = fields.temperature, fields.top_p
    if temperature is not None:
        temperature = _temperature(temperature, model, thoughts, left)
    if top_p is not None:
        top_p = _top_p(top_p, model, thoughts, left)
    most = fields.max_output_tokens
    if most is None and temperature is None and top_p is None:
        return None
    return wire.InferenceConfig(most, temperature, top_p)


def _temperature(value: float, model: Model, thoughts: Thinking, left: Omissions) -> float | None:
    if not model.sampling or thoughts.on:
        if value != 1:  # which is what such a model does by itself
            left.unsupported(
                "temperature", "this model answers with its own, or thinks with its own"
            )
        return None
    if value > 1:
        left.unsupported("temperature", "this model takes 0 to 1")
        return None
    return value


def _top_p(value: float, model: Model, thoughts: Thinking, left: Omissions) -> float | None:
    if not model.sampling:
        if value != 1:
            left.unsupported("top_p", "this model answers with its own")
        return None
    if thoughts.on and value < _LEAST_TOP_P_THINKING:
        left.unsupported("top_p", "this model takes 0.95 to 1 while it thinks")
        return None
    return value


def _output(plan: ToolPlan, thoughts: Thinking) -> wire.OutputConfig | None:
    if plan.text_format is None and thoughts.effort is None:
        return None
    return wire.OutputConfig(plan.text_format, thoughts.effort)


def _metadata(fields: Fields) -> Mapping[str, str] | None:
    """Hints for the account's logs: what does not fit there is of no loss to the answer."""
    user = fields.safety_identifier or fields.user
    pairs = dict(fields.metadata or {})
    if user is not None:
        pairs = {"user": user, **pairs}
    fitting = {
        key: value
        for key, value in pairs.items()
        if _METADATA_KEY.fullmatch(key) and _METADATA_VALUE.fullmatch(value)
    }
    return dict(list(fitting.items())[:_MOST_METADATA]) or None


def _tier(fields: Fields, left: Omissions) -> wire.ServiceTier | None:
    asked = fields.service_tier
    if asked is None or asked == "auto":
        return None
    tier = _TIERS.get(asked)
    if tier is None:
        left.unsupported("service_tier", "this model has the tiers default, flex and priority")
        return None
    return wire.ServiceTier(tier)

"""Reasoning: how a request asks for thinking, and how thinking comes back in the next one."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

import msgspec

from sluicegate.api.omissions import Omissions
from sluicegate.api.parameters import Effort as AskedEffort
from sluicegate.api.parameters import ReasoningOptions
from sluicegate.api.sealed import seal, unseal
from sluicegate.wires.anthropic_messages.body import (
    Effort,
    RedactedThinkingBlock,
    SignedThinking,
    ThinkingBlock,
    ThinkingConfig,
)
from sluicegate.wires.anthropic_messages.capabilities import Capabilities

_EFFORT = "reasoning.effort"
_ALWAYS = "this model always reasons; the least effort is 'low'"
_LEAST_BUDGET = 1024  # the API's own lower bound
_ANSWER_SHARE = 5  # one part in so many of `max_tokens` is left for the answer
_BUDGETS: Mapping[AskedEffort, int] = MappingProxyType(
    {
        "minimal": 1024,
        "low": 2048,
        "medium": 8192,
        "high": 16_384,
        "xhigh": 32_768,
        "max": 65_536,
    }
)
# The nearest level of a model that lacks the one that was asked for.
_NEAREST: Mapping[AskedEffort, tuple[Effort, ...]] = MappingProxyType(
    {
        "none": ("low",),
        "minimal": ("low",),
        "low": ("low",),
        "medium": ("medium",),
        "high": ("high",),
        "xhigh": ("xhigh", "max", "high"),
        "max": ("max", "xhigh", "high"),
    }
)
_ADAPTIVE = ThinkingConfig("adaptive", display="summarized")
_sealed = msgspec.json.Decoder(ThinkingBlock | RedactedThinkingBlock)


class Thinking(NamedTuple):
    """`thinks` None: whatever the model does by itself."""

    config: ThinkingConfig | None = None
    effort: Effort | None = None
    thinks: bool | None = None


class Circumstances(NamedTuple):
    """What of the request stands against a thinking budget."""

    max_tokens: int
    forced: bool  # a tool must be called
    unsigned: bool  # the turn that goes on called tools without signed thinking


def plan_thinking(
    options: ReasoningOptions,
    model: Capabilities,
    circumstances: Circumstances,
    omissions: Omissions,
) -> Thinking:
    """Choose. Raises ApiError (400) for what the model can't do, unless that is dropped."""
    effort = options.effort
    match model.reasoning:
        case "None":
            if effort not in {None, "none"}:
                omissions.unsupported(_EFFORT)
            return Thinking(thinks=False)
        case "Effort":
            if effort == "none":
                omissions.unsupported(_EFFORT, _ALWAYS)
            return Thinking(effort=None if effort is None else _level(effort, model))
        case "Budget":
            return _budget(effort, circumstances, omissions)
        case "Adaptive":
            return _adaptive(options, model, circumstances, omissions)


def _budget(
    effort: AskedEffort | None, circumstances: Circumstances, omissions: Omissions
) -> Thinking:
    """Thinking with a budget goes neither with a forced tool nor with little room.

    Nor may it begin in the middle of a turn that has called tools without it. The answer is still
    one, so it is then left out and said.
    """
    if effort in {None, "none"} or effort is None:
        return Thinking(thinks=False)
    most = circumstances.max_tokens
    if circumstances.forced or circumstances.unsigned or most <= _LEAST_BUDGET:
        omissions.leave_out(_EFFORT)
        return Thinking(thinks=False)
    room = max(_LEAST_BUDGET, most - most // _ANSWER_SHARE)
    budget = min(_BUDGETS[effort], room, most - 1)
    return Thinking(ThinkingConfig("enabled", budget_tokens=budget), thinks=True)


def _adaptive(
    options: ReasoningOptions,
    model: Capabilities,
    circumstances: Circumstances,
    omissions: Omissions,
) -> Thinking:
    effort = options.effort
    if effort is None:
        summary = options.summary or options.generate_summary
        return Thinking() if summary is None else Thinking(_ADAPTIVE, thinks=True)
    if effort == "none":
        if model.off == "never":
            omissions.unsupported(_EFFORT, _ALWAYS)
            return Thinking(_ADAPTIVE, "low", thinks=True)
        return _off(model)
    if circumstances.max_tokens <= _LEAST_BUDGET and model.off != "never":
        omissions.leave_out(_EFFORT)
        return _off(model)
    return Thinking(_ADAPTIVE, _level(effort, model), thinks=True)


def _off(model: Capabilities) -> Thinking:
    match model.off:
        case "disabled" | "between_tools":
            return Thinking(ThinkingConfig(model.off), thinks=False)
        case "omit" | "never":
            return Thinking(thinks=False)


def _level(effort: AskedEffort, model: Capabilities) -> Effort:
    return next(level for level in _NEAREST[effort] if level in model.efforts)


# ------------------------------------------------------------------------------------------- seals


def seal_thinking(block: SignedThinking, provider: str, model: str) -> str | None:
    """The `encrypted_content` of a reasoning item; None where nothing is signed."""
    if isinstance(block, ThinkingBlock) and not block.signature:
        return None
    return seal(provider, model, msgspec.json.encode(block))


def unseal_thinking(content: str | None, provider: str, model: str) -> SignedThinking | None:
    """The block that was sealed for this provider and model, else None."""
    payload = unseal(content, provider, model)
    if payload is None:
        return None
    try:
        block = _sealed.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return None if isinstance(block, ThinkingBlock) and not block.signature else block

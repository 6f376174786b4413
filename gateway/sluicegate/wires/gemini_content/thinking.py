"""Reasoning: how a request asks for thinking, and how signatures come back in the next one."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import msgspec
from msgspec import Struct

from sluicegate.api.omissions import Omissions
from sluicegate.api.parameters import Effort, ReasoningOptions
from sluicegate.api.sealed import seal, unseal
from sluicegate.wires.gemini_content.body import Level, ThinkingConfig
from sluicegate.wires.gemini_content.capabilities import Capabilities
from sluicegate.wires.gemini_content.said import UNREADABLE

# The word that the API takes in place of a signature, for calls that have none (Google, "Thought
# signatures").
SKIP_SIGNATURE = "skip_thought_signature_validator"
_EFFORT = "reasoning.effort"
_SHOWN = ThinkingConfig(include_thoughts=True)
_LEAST_ROOM = 1024  # tokens of the whole answer, thoughts included, below which none are thought
_ANSWER_SHARE = 5  # one part in so many of the answer's tokens is left for the answer itself
# As Google's own page on OpenAI's API has them, as far as it goes.
_BUDGETS: Mapping[Effort, int] = MappingProxyType(
    {
        "minimal": 1024,
        "low": 1024,
        "medium": 8192,
        "high": 24_576,
        "xhigh": 32_768,
        "max": 32_768,
    }
)
# The nearest level of a model that lacks the one that was asked for.
_NEAREST: Mapping[Effort, tuple[Level, ...]] = MappingProxyType(
    {
        "none": ("MINIMAL", "LOW"),
        "minimal": ("MINIMAL", "LOW"),
        "low": ("LOW",),
        "medium": ("MEDIUM", "HIGH"),
        "high": ("HIGH",),
        "xhigh": ("XHIGH", "HIGH"),
        "max": ("XHIGH", "HIGH"),
    }
)


def plan_thinking(
    options: ReasoningOptions,
    model: Capabilities,
    most_tokens: int | None,
    omissions: Omissions,
) -> ThinkingConfig | None:
    """Choose; None: whatever the model does by itself.

    `most_tokens` bounds thoughts and answer together. Raises ApiError (400) for what the model
    can't do, unless that is dropped.
    """
    effort = options.effort
    if model.reasoning == "None":
        if effort not in {None, "none"}:
            omissions.unsupported(_EFFORT)
        return None
    if effort is None:
        summary = options.summary or options.generate_summary
        return None if summary is None else _SHOWN
    if effort == "none":
        return _off(model, omissions)
    if most_tokens is not None and most_tokens <= _LEAST_ROOM:
        omissions.leave_out(_EFFORT)
        return _least(model)
    if model.reasoning == "Level":
        return ThinkingConfig(include_thoughts=True, thinking_level=_level(effort, model))
    return _budget(effort, model, most_tokens)


def _off(model: Capabilities, omissions: Omissions) -> ThinkingConfig:
    least = _least(model)
    if least.thinking_budget not in {None, 0} or least.thinking_level == "LOW":
        omissions.unsupported(_EFFORT, "this model always reasons; the least effort is 'minimal'")
    return least


def _least(model: Capabilities) -> ThinkingConfig:
    if model.reasoning == "Level":
        return ThinkingConfig(thinking_level=_level("none", model))
    return ThinkingConfig(thinking_budget=model.budgets[0])


def _level(effort: Effort, model: Capabilities) -> Level:
    return next(level for level in _NEAREST[effort] if level in model.levels)


def _budget(effort: Effort, model: Capabilities, most_tokens: int | None) -> ThinkingConfig:
    least, most = model.budgets
    if most_tokens is not None:
        most = min(most, most_tokens - most_tokens // _ANSWER_SHARE)
    return ThinkingConfig(
        include_thoughts=True, thinking_budget=max(least, min(_BUDGETS[effort], most))
    )


# ------------------------------------------------------------------------------------------- seals


class Signed(Struct, frozen=True, omit_defaults=True):
    """What a reasoning item keeps for the next request.

    `signature` belongs to the call `call`, else to the text that follows (`ahead`) or went before.
    `parts` are those of the API's own tools, which go back as they came.
    """

    signature: str | None = None
    call: str | None = None
    ahead: bool = False
    parts: tuple[msgspec.Raw, ...] = ()


_signed = msgspec.json.Decoder(Signed)


def seal_signed(signed: Signed, provider: str, model: str) -> str:
    """The `encrypted_content` of a reasoning item."""
    return seal(provider, model, msgspec.json.encode(signed))


def unseal_signed(content: str | None, provider: str, model: str) -> Signed | None:
    """What was sealed for this provider and model, else None."""
    payload = unseal(content, provider, model)
    if payload is None:
        return None
    try:
        return _signed.decode(payload)
    except UNREADABLE:
        return None

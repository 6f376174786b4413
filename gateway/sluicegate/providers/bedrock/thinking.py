"""Reasoning effort in the form that each model knows.

Converse has no field for it that all models read, so most take it in
`additionalModelRequestFields`.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from sluicegate.api.parameters import Effort
from sluicegate.config import ModelInfo
from sluicegate.providers.bedrock.models import Model
from sluicegate.providers.bedrock.wire import JsonObject

# Tokens of thought for models that want a number. The largest leaves the oldest of them, which may
# answer with 32,000 tokens, one to say something with.
BUDGETS: Mapping[Effort, int] = MappingProxyType(
    {
        "minimal": 1024,
        "low": 2048,
        "medium": 8192,
        "high": 16384,
        "xhigh": 24576,
        "max": 31999,
    }
)
LEAST_BUDGET = 1024
_SCALE: tuple[Effort, ...] = ("minimal", "low", "medium", "high", "xhigh", "max")


class Thinking(NamedTuple):
    """What goes into the request. `on`: the model was asked to think (by tokens or adaptively)."""

    fields: JsonObject = MappingProxyType({})
    effort: str | None = None  # for outputConfig
    on: bool = False


NO_THINKING = Thinking()


def with_override(model: Model, info: ModelInfo) -> Model:
    """The model as the deployment describes it."""
    if info.reasoning is None:
        return model
    if info.reasoning == "None":
        return model._replace(thinking=None)
    if info.reasoning == "Effort":
        named = model.thinking in {"reasoning_effort", "nova"}
        return model if named else model._replace(thinking="effort")
    style = "budget" if info.reasoning == "Budget" else "adaptive"
    return model._replace(thinking=style, signs=True)


def thinking(
    model: Model, effort: Effort | None, most_tokens: int | None, *, plain: bool
) -> Thinking:
    """The form of `effort`.

    `most_tokens` is the answer's limit; where it leaves no room for thought there is none. `plain`:
    neither limit nor sampling is set. A model whose `thinking` is None gets none; the caller has
    judged that.
    """
    if effort is None or effort == "none" or model.thinking is None:
        return NO_THINKING
    if model.thinking == "budget":
        return _budget(effort, most_tokens)
    if model.thinking == "adaptive":
        room = most_tokens is None or most_tokens > LEAST_BUDGET
        return _adaptive(_nearest(effort, model.efforts)) if room else NO_THINKING
    return _by_effort(model, effort, plain=plain)


def _by_effort(model: Model, effort: Effort, *, plain: bool) -> Thinking:
    if model.thinking == "reasoning_effort":
        return Thinking({"reasoning_effort": _nearest(effort, model.efforts)})
    if model.thinking == "nova":
        # "high" goes with neither a limit nor sampling (Nova 2 user guide, "Extended thinking").
        efforts = model.efforts if plain else model.efforts[:-1]
        config = {"type": "enabled", "maxReasoningEffort": _nearest(effort, efforts)}
        return Thinking({"reasoningConfig": config})
    return Thinking(effort=_nearest(effort, model.efforts))


def _adaptive(effort: str) -> Thinking:
    shown = {"type": "adaptive", "display": "summarized"}
    return Thinking({"thinking": shown, "output_config": {"effort": effort}}, on=True)


def _budget(effort: Effort, most_tokens: int | None) -> Thinking:
    budget = BUDGETS[effort]
    if most_tokens is not None:
        if most_tokens <= LEAST_BUDGET:
            return NO_THINKING
        # Thought counts against the limit; a fifth of it is kept for the answer.
        budget = min(budget, max(LEAST_BUDGET, most_tokens * 4 // 5))
    return Thinking({"thinking": {"type": "enabled", "budget_tokens": budget}}, on=True)


def _nearest(effort: Effort, efforts: tuple[str, ...]) -> str:
    """The effort itself, else the next lower that the model has, else its lowest."""
    for candidate in reversed(_SCALE[: _SCALE.index(effort) + 1]):
        if candidate in efforts:
            return candidate
    return efforts[0]

"""What each generation of Claude takes, by its name.

Sources: Anthropic's model pages and its pages on adaptive thinking, effort, structured outputs,
tool choice and mid-conversation system messages, as of November 2026. A deployment's `modelInfo`
overrides the first two columns.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from types import MappingProxyType
from typing import Literal, TypeAlias

from sluicegate.config import ModelInfo
from sluicegate.wires.anthropic_messages.body import Effort

Reasoning: TypeAlias = Literal["None", "Effort", "Budget", "Adaptive"]

_HIGH: tuple[Effort, ...] = ("low", "medium", "high")
_MAX: tuple[Effort, ...] = (*_HIGH, "max")
_ALL: tuple[Effort, ...] = (*_HIGH, "xhigh", "max")


@dataclass(frozen=True, slots=True)
class Capabilities:
    """One generation.

    `default_tokens` is the `max_tokens` of a request that sets none: the most that the model
    writes, or less where the API refuses input and `max_tokens` that together pass the context.
    `off` is how thinking is turned off: by saying nothing, by one of two words, or not at all.
    """

    default_tokens: int
    reasoning: Reasoning
    off: Literal["omit", "disabled", "between_tools", "never"] = "omit"
    efforts: tuple[Effort, ...] = _ALL
    sampling: bool = True  # temperature and top_p
    both_sampling: bool = False  # both at once
    schemas: bool = True  # output_config.format, strict tools
    forced_tools: bool = True  # tool_choice any and tool
    inline_system: bool = False  # messages of role system
    web_search: bool = True


_CLAUDE_3 = Capabilities(4096, "None", both_sampling=True, schemas=False, web_search=False)
_CLAUDE_3_5 = replace(_CLAUDE_3, default_tokens=8192)
_CLAUDE_4 = Capabilities(16_384, "Budget", both_sampling=True, schemas=False)
_CLAUDE_4_1 = replace(_CLAUDE_4, both_sampling=False, schemas=True)
_CLAUDE_4_5 = Capabilities(64_000, "Budget", efforts=_HIGH)
_CLAUDE_4_6 = Capabilities(128_000, "Adaptive", efforts=_MAX)
_OPUS_4_7 = Capabilities(128_000, "Adaptive", sampling=False)
_OPUS_4_8 = replace(_OPUS_4_7, inline_system=True)
_SONNET_5 = replace(_OPUS_4_7, off="disabled")
_OPUS_5 = replace(_OPUS_4_8, off="disabled")
_SONNET_5_5 = replace(_OPUS_4_8, off="between_tools", forced_tools=False)
_ALWAYS = replace(_OPUS_4_8, off="never")
_ALWAYS_UNFORCED = replace(_ALWAYS, forced_tools=False)
_MYTHOS_PREVIEW = replace(_ALWAYS, inline_system=False)

# A name that is not here may be newer than this table, so what is asked of it is sent.
_UNKNOWN_CLAUDE = Capabilities(128_000, "Adaptive", off="disabled", both_sampling=True)
# Other vendors' models behind the same API.
_NOT_CLAUDE = Capabilities(8192, "Budget", both_sampling=True, schemas=False, web_search=False)

# By the beginning of the name, the longest one that fits.
_GENERATIONS: Mapping[str, Capabilities] = MappingProxyType(
    {
        "claude-instant": _CLAUDE_3,
        "claude-2": _CLAUDE_3,
        "claude-3": _CLAUDE_3,
        "claude-3-5": _CLAUDE_3_5,
        "claude-3-7": _CLAUDE_4,
        "claude-4-sonnet": _CLAUDE_4,
        "claude-4-opus": _CLAUDE_4,
        "claude-sonnet-4": _CLAUDE_4,
        "claude-opus-4": _CLAUDE_4,
        "claude-opus-4-1": _CLAUDE_4_1,
        "claude-sonnet-4-5": _CLAUDE_4_5,
        "claude-haiku-4-5": _CLAUDE_4_5,
        "claude-opus-4-5": _CLAUDE_4_5,
        "claude-sonnet-4-6": _CLAUDE_4_6,
        "claude-opus-4-6": _CLAUDE_4_6,
        "claude-opus-4-7": _OPUS_4_7,
        "claude-opus-4-8": _OPUS_4_8,
        "claude-sonnet-5": _SONNET_5,
        "claude-sonnet-5-5": _SONNET_5_5,
        "claude-haiku-5-5": _OPUS_5,
        "claude-opus-5": _OPUS_5,
        "claude-opus-5-5": _ALWAYS_UNFORCED,
        "claude-fable-5": _ALWAYS,
        "claude-fable-5-1": _ALWAYS_UNFORCED,
        "claude-fable-5-2": _ALWAYS_UNFORCED,
        "claude-mythos-5": _ALWAYS,
        "claude-mythos-5-1": _ALWAYS_UNFORCED,
        "claude-mythos-5-2": _ALWAYS_UNFORCED,
        "claude-mythos-preview": _MYTHOS_PREVIEW,
    }
)
_BY_LENGTH = sorted(_GENERATIONS, key=len, reverse=True)


_NOTHING_SAID = ModelInfo()


@lru_cache(maxsize=1024)
def capabilities(model: str, info: ModelInfo = _NOTHING_SAID) -> Capabilities:
    """What the model takes; also by its names at Bedrock and at Vertex AI."""
    found = _generation(model)
    if info.max_output_tokens is not None:
        found = replace(found, default_tokens=info.max_output_tokens)
    if info.reasoning is not None:
        found = replace(found, reasoning=info.reasoning)
    return found


def _generation(model: str) -> Capabilities:
    _, claude, rest = model.lower().partition("claude")
    if not claude:
        return _NOT_CLAUDE
    name = f"{claude}{rest}".replace("@", "-").replace(".", "-")
    for prefix in _BY_LENGTH:
        if name == prefix or name.startswith(f"{prefix}-"):
            return _GENERATIONS[prefix]
    return _UNKNOWN_CLAUDE

"""What each generation of Gemini takes, by its name.

Sources: Google's pages on thinking, structured output, tool combination and the guides to each
generation, as of November 2026. A deployment's `modelInfo.reasoning` overrides the first column.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from types import MappingProxyType
from typing import Literal, TypeAlias

from sluicegate.config import ModelInfo
from sluicegate.wires.gemini_content.body import Level

Reasoning: TypeAlias = Literal["None", "Budget", "Level"]

_LOW_HIGH: tuple[Level, ...] = ("LOW", "HIGH")
_THREE: tuple[Level, ...] = ("LOW", "MEDIUM", "HIGH")
_FOUR: tuple[Level, ...] = ("MINIMAL", *_THREE)
_EXTRA: tuple[Level, ...] = (*_THREE, "XHIGH")


@dataclass(frozen=True, slots=True)
class Capabilities:
    """One generation."""

    reasoning: Reasoning
    levels: tuple[Level, ...] = _THREE
    budgets: tuple[int, int] = (0, 24_576)  # the least (0: thinking can be turned off), the most
    json_schema: bool = True  # schemas as they are; False: OpenAPI's subset of them
    mixed_tools: bool = True  # functions beside search or beside a form of the answer
    signatures: bool = True  # a call in the history needs its signature
    call_ids: bool = True  # and has an id
    media_results: bool = True  # images and files inside a function's result
    web_addresses: bool = True  # images and files by URL, at the Gemini API too
    sampling: bool = True  # temperature, top_p
    penalties: bool = True
    continues: bool = True  # the model's own words may be the last ones of the input


_GEMINI_1 = Capabilities(
    "None",
    json_schema=False,
    mixed_tools=False,
    signatures=False,
    call_ids=False,
    media_results=False,
    web_addresses=False,
)
_GEMINI_2_5 = replace(_GEMINI_1, reasoning="Budget", json_schema=True, web_addresses=True)
_GEMINI_3 = Capabilities("Level", levels=_FOUR)
_GEMINI_3_6 = replace(_GEMINI_3, sampling=False, penalties=False, continues=False)
_GEMINI_3_7 = replace(_GEMINI_3_6, levels=_THREE)
_GEMINI_4 = replace(_GEMINI_3_6, levels=_EXTRA)

# A name that is not here may be newer than this table: the levels that all have, and the limits of
# the newest generation.
_UNKNOWN_GEMINI = _GEMINI_3_7
# Other models behind the same API (Gemma, LearnLM, tuned ones).
_NOT_GEMINI = replace(_GEMINI_1, json_schema=True)

# By the beginning of the name, the longest one that fits.
_GENERATIONS: Mapping[str, Capabilities] = MappingProxyType(
    {
        "gemini-pro": _GEMINI_1,
        "gemini-1.0": _GEMINI_1,
        "gemini-1.5": _GEMINI_1,
        "gemini-2.0": _GEMINI_1,
        "gemini-2.5": _GEMINI_2_5,
        "gemini-2.5-pro": replace(_GEMINI_2_5, budgets=(128, 32_768)),
        "gemini-2.5-flash-image": replace(_GEMINI_2_5, reasoning="None"),
        "gemini-3": _GEMINI_3,
        "gemini-3-pro": replace(_GEMINI_3, levels=_LOW_HIGH),
        "gemini-3.1": _GEMINI_3,
        "gemini-3.1-pro": replace(_GEMINI_3, levels=_THREE),
        "gemini-3.5": _GEMINI_3,
        "gemini-3.5-flash-lite": _GEMINI_3_6,
        "gemini-3.6": _GEMINI_3_6,
        "gemini-3.7": _GEMINI_3_7,
        "gemini-3.8": _GEMINI_3_7,
        "gemini-4": _GEMINI_4,
        "gemini-pro-latest": _GEMINI_3_7,
    }
)
_BY_LENGTH = sorted(_GENERATIONS, key=len, reverse=True)


@lru_cache(maxsize=1024)
def capabilities(model: str, info: ModelInfo = ModelInfo()) -> Capabilities:  # noqa: B008 - a frozen value
    """What the model takes."""
    found = _generation(model)
    match info.reasoning:
        case None:
            return found
        case "None":
            return replace(found, reasoning="None")
        case "Budget":
            return replace(found, reasoning="Budget")
        case "Effort" | "Adaptive":
            return replace(found, reasoning="Level")


def _generation(model: str) -> Capabilities:
    name = model.lower().rpartition("/")[2]
    if not name.startswith("gemini-"):
        return _NOT_GEMINI
    for prefix in _BY_LENGTH:
        if name == prefix or name.startswith((f"{prefix}-", f"{prefix}@")):
            return _GENERATIONS[prefix]
    return _UNKNOWN_GEMINI

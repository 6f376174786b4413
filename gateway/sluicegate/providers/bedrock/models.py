"""What the models behind Bedrock differ in, as far as Converse leaves it to the caller.

By the name alone, since nothing else is known before a call; `modelInfo.reasoning` of a deployment
overrides what the name says (an application inference profile says nothing).
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Literal, NamedTuple, TypeAlias

Style: TypeAlias = Literal["budget", "adaptive", "reasoning_effort", "nova", "effort"]

_GEOGRAPHY = re.compile(r"(?:us-gov|us|eu|apac|jp|au|ca|global)\.(?=[a-z0-9-]+\.)")
_CLAUDE = re.compile(r"claude-(?P<rest>[a-z0-9-]+)")
_NUMBER = re.compile(r"[0-9]{1,2}")

# Versions of Claude (Anthropic, "Extended thinking", "Structured outputs", "Prompt caching").
_THINKS = (3, 7)
_STRUCTURED = (4, 5)
_ADAPTIVE = (4, 6)
_NO_SAMPLING = (4, 7)


class Model(NamedTuple):
    """A model's ways. `thinking` None: effort has no form there, or none that is known."""

    name: str  # without geography, profile and ARN: what signatures are bound to
    thinking: Style | None = None
    efforts: tuple[str, ...] = ("low", "medium", "high")  # ascending
    sampling: bool = True  # temperature and top_p may be set
    structured: bool = False  # JSON schemas for the answer, strict tools
    restrained: bool = False  # of those schemas only the plain keywords
    caching: bool = False  # cache points
    grounding: bool = False  # searches the web by itself
    short_ids: bool = False  # ids of calls have exactly nine letters and digits
    signs: bool = False  # its reasoning is signed, and comes back only so


def base_name(model: str) -> str:
    """`anthropic.claude-x` of an id, an inference profile or an ARN."""
    return _GEOGRAPHY.sub("", model.rpartition("/")[2], count=1)


@lru_cache(maxsize=1024)
def model_of(model: str) -> Model:
    """The ways of the model with this id, profile or ARN."""
    name = base_name(model)
    claude = _CLAUDE.search(name)
    if claude is not None:
        return _claude(name, claude["rest"])
    if name.startswith("openai.gpt-oss"):
        return Model(name, "reasoning_effort", structured=True)
    if name.startswith("amazon.nova-2"):
        return Model(name, "nova", caching=True, grounding=True)
    if name.startswith("amazon.nova"):
        return Model(name, caching=True, grounding="premier" in name)
    if name.startswith("qwen.qwen3"):
        return Model(name, structured=True)
    return Model(name, short_ids=name.startswith("mistral."))


def _claude(name: str, rest: str) -> Model:
    words = rest.split("-")
    numbers = [int(word) for word in words if _NUMBER.fullmatch(word)]
    major, minor = (*numbers, 0, 0)[:2]
    version = (major, minor)
    if version < _THINKS:
        return Model(name, signs=True)
    adaptive = version >= _ADAPTIVE
    return Model(
        name,
        thinking="adaptive" if adaptive else "budget",
        efforts=_efforts(version, words) if adaptive else (),
        sampling=version < _NO_SAMPLING,
        structured=version >= _STRUCTURED,
        restrained=True,
        caching=True,
        signs=True,
    )


def _efforts(version: tuple[int, int], words: list[str]) -> tuple[str, ...]:
    """An effort that the model lacks is refused (Anthropic, "Effort")."""
    if version >= _NO_SAMPLING:
        return ("low", "medium", "high", "xhigh", "max")
    return ("low", "medium", "high", "max") if "opus" in words else ("low", "medium", "high")

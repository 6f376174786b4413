"""Prompt caching: which blocks end a cached prefix.

A client marks parts itself (`prompt_cache_breakpoint`), or says by `prompt_cache_key` or its kin
that its requests share a prefix; then the end of tools and system and the end of the conversation
are marked. The API takes four marks; of more the last ones count.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple, TypeVar

import msgspec

from sluicegate.api.request import Fields
from sluicegate.wires.anthropic_messages.body import (
    Block,
    CacheControl,
    RedactedThinkingBlock,
    TextBlock,
    ThinkingBlock,
    WireMessage,
    WireTool,
)

_MOST = 4
_option = msgspec.json.Decoder(str)


class Prompt(NamedTuple):
    """What a prefix is made of, in the API's order."""

    tools: tuple[WireTool, ...]
    system: tuple[TextBlock, ...]
    messages: tuple[WireMessage, ...]


class _Wish(NamedTuple):
    everywhere: bool  # not only where the client marked a part
    mark: CacheControl


def marked(prompt: Prompt, fields: Fields) -> Prompt:
    """The prompt with its marks."""
    wish = _wish(fields)
    if wish.everywhere:
        prompt = _at_the_ends(prompt, wish.mark)
    return _last_ones(prompt, wish.mark)


def _wish(fields: Fields) -> _Wish:
    options = fields.prompt_cache_options or {}
    mode, ttl = _string(options.get("mode")), _string(options.get("ttl"))
    long = ttl is not None or fields.prompt_cache_retention == "24h"
    hinted = (
        mode == "implicit"
        or fields.prompt_cache_key is not None
        or fields.prompt_cache_retention is not None
    )
    lifetime: Literal["1h"] | None = "1h" if long else None
    return _Wish(hinted and mode != "explicit", CacheControl(lifetime))


def _string(value: msgspec.Raw | None) -> str | None:
    """An option of prompt_cache_options; what is not a string says nothing."""
    try:
        return None if value is None else _option.decode(value)
    except msgspec.ValidationError:
        return None


def _at_the_ends(prompt: Prompt, mark: CacheControl) -> Prompt:
    tools, system, messages = prompt
    if system:
        system = (*system[:-1], _with(system[-1], mark))
    elif tools:
        tools = (*tools[:-1], msgspec.structs.replace(tools[-1], cache_control=mark))
    last = messages[-1]
    content = list(last.content)
    for index in range(len(content) - 1, -1, -1):
        if _is_cacheable(content[index]):
            content[index] = _with(content[index], mark)
            break
    return Prompt(tools, system, (*messages[:-1], WireMessage(last.role, content)))


def _is_cacheable(block: Block) -> bool:
    return not isinstance(block, ThinkingBlock | RedactedThinkingBlock)


_BlockT = TypeVar("_BlockT", bound=Block)


def _with(block: _BlockT, mark: CacheControl | None) -> _BlockT:
    return msgspec.structs.replace(block, cache_control=mark)


def _mark_of(block: Block) -> CacheControl | None:
    if isinstance(block, ThinkingBlock | RedactedThinkingBlock):
        return None
    return block.cache_control


def _last_ones(prompt: Prompt, mark: CacheControl) -> Prompt:
    """At most four marks, each with the lifetime that was asked for."""
    left = _MOST - sum(tool.cache_control is not None for tool in prompt.tools)
    messages: list[WireMessage] = []
    for message in reversed(prompt.messages):
        content, left = _kept(message.content, mark, left)
        messages.append(WireMessage(message.role, content))
    system, _ = _kept(prompt.system, mark, left)
    return Prompt(prompt.tools, tuple(system), tuple(reversed(messages)))


def _kept(
    content: Sequence[_BlockT], mark: CacheControl, left: int
) -> tuple[Sequence[_BlockT], int]:
    if all(_mark_of(block) is None for block in content):
        return content, left
    kept: list[_BlockT] = []
    for block in reversed(content):
        if _mark_of(block) is None:
            kept.append(block)
            continue
        kept.append(_with(block, mark if left > 0 else None))
        left -= 1
    kept.reverse()
    return kept, left

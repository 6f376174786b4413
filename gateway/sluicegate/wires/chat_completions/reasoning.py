"""Reasoning that goes back to the server that wrote it.

Servers that show a model's reasoning want it back while the model works with tools (DeepSeek API,
"Thinking Mode", "Tool Calls"), under the name that they gave it. So it is sealed with that name.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec
from msgspec import Struct

from sluicegate.api.sealed import seal, unseal

Member: TypeAlias = Literal["reasoning_content", "reasoning"]


class Thought(Struct, frozen=True, array_like=True):
    """Reasoning, and the member of the message that held it."""

    member: Member
    text: str


_thought = msgspec.json.Decoder(Thought)


def seal_thought(thought: Thought, provider: str, model: str) -> str:
    """The `encrypted_content` of a reasoning item."""
    return seal(provider, model, msgspec.json.encode(thought))


def unseal_thought(content: str | None, provider: str, model: str) -> Thought | None:
    """What was sealed for this provider and model, else None."""
    payload = unseal(content, provider, model)
    if payload is None:
        return None
    try:
        return _thought.decode(payload)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None

"""The JSON that a Messages API answers with (API reference, "Messages", "Streaming messages").

Tolerant: members, events, blocks and deltas of kinds that are not named here are skipped.
"""

from __future__ import annotations

import msgspec
from msgspec import Raw, Struct

from sluicegate.model import InputTokensDetails, OutputTokensDetails, Usage


class OutputDetails(Struct, gc=False):
    """Of the output tokens: spent on thinking."""

    thinking_tokens: int | None = None


class Tokens(Struct, gc=False):
    """Usage. `input_tokens` counts neither what a cache gave nor what it took."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    output_tokens_details: OutputDetails | None = None
    service_tier: str | None = None


class Counted:
    """The usage of one answer. What comes later corrects what came before; nothing is added up."""

    __slots__ = ("_cached", "_input", "_known", "_output", "_thinking", "_tier", "_written")

    def __init__(self) -> None:
        self._known = False
        self._input = self._cached = self._written = self._output = self._thinking = 0
        self._tier: str | None = None

    def take(self, tokens: Tokens | None) -> None:
        """A newer count; what it does not say stands."""
        if tokens is None:
            return
        self._known = True
        self._input = _count(tokens.input_tokens, self._input)
        self._cached = _count(tokens.cache_read_input_tokens, self._cached)
        self._written = _count(tokens.cache_creation_input_tokens, self._written)
        self._output = _count(tokens.output_tokens, self._output)
        if tokens.output_tokens_details is not None:
            self._thinking = _count(tokens.output_tokens_details.thinking_tokens, self._thinking)
        self._tier = tokens.service_tier or self._tier

    def usage(self) -> Usage | None:
        """As the Responses API counts; None where the upstream has not said."""
        if not self._known:
            return None
        read = self._input + self._cached + self._written
        return Usage(
            input_tokens=read,
            output_tokens=self._output,
            total_tokens=read + self._output,
            input_tokens_details=InputTokensDetails(self._cached, self._written),
            output_tokens_details=OutputTokensDetails(min(self._thinking, self._output)),
        )

    def service_tier(self) -> str:
        """The tier that was used, in the words of the Responses API."""
        return "priority" if self._tier == "priority" else "default"


def _count(newer: int | None, older: int) -> int:
    return older if newer is None else max(newer, 0)


class Citation(Struct, gc=False):
    """Where a text comes from; only pages of the web have a form in the Responses API."""

    type: str = ""
    url: str | None = None
    title: str | None = None


class Block(Struct):
    """A block of the answer, whole, or as a stream opens it."""

    type: str = ""
    text: str = ""
    thinking: str = ""
    signature: str = ""
    data: str = ""
    id: str = ""
    name: str = ""
    input: Raw = Raw()
    tool_use_id: str = ""
    content: Raw = Raw()  # of a result of the API's own tools
    citations: list[Citation] | None = None


class StopDetails(Struct, gc=False):
    """More about a refusal."""

    explanation: str | None = None


class Failure(Struct, gc=False):
    """What went wrong."""

    type: str = ""
    message: str = ""


class Message(Struct):
    """A whole answer, or as a stream opens it."""

    type: str = ""
    model: str | None = None
    content: list[Block] = []
    stop_reason: str | None = None
    stop_details: StopDetails | None = None
    usage: Tokens | None = None
    error: Failure | None = None  # in place of all the others, where `type` is error


class Delta(Struct, frozen=True, gc=False):
    """More of a block (`content_block_delta`)."""

    type: str = ""
    text: str = ""
    thinking: str = ""
    partial_json: str = ""
    signature: str = ""
    citation: Citation | None = None


class DeltaEvent(Struct, gc=False):
    """The event that comes most."""

    type: str = ""
    index: int = 0
    delta: Delta = Delta()


class End(Struct, gc=False):
    """More of the message (`message_delta`)."""

    stop_reason: str | None = None
    stop_details: StopDetails | None = None


class Event(Struct):
    """Any other event. `delta` is that of a message."""

    type: str = ""
    index: int = 0
    message: Message | None = None
    content_block: Block | None = None
    delta: End | None = None
    usage: Tokens | None = None
    error: Failure | None = None


class FoundPage(Struct, gc=False):
    """One result of a search."""

    type: str = ""
    url: str = ""


delta_events = msgspec.json.Decoder(DeltaEvent)
events = msgspec.json.Decoder(Event)
messages = msgspec.json.Decoder(Message)
pages = msgspec.json.Decoder(list[FoundPage])
# Of JSON that came over the wire; a nested one is too deep, a bad string is not UTF-8.
UNREADABLE = (msgspec.DecodeError, UnicodeError, RecursionError)

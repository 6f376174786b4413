"""The Converse API's answer, as it is read: tolerant, since members and kinds of blocks are added.

API reference: "Converse" for a whole answer, "ConverseStream" for events.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Annotated, TypeAlias

import msgspec
from msgspec import Meta, Raw, Struct

from sluicegate.api.answer import IncompleteReason
from sluicegate.model import InputTokensDetails, Usage

_Count: TypeAlias = Annotated[int, Meta(ge=0)]


class In(Struct, frozen=True, rename="camel"):
    """Something that is read."""


# ---------------------------------------------------------------------------------------- shared


class TokenUsage(In, frozen=True):
    """`inputTokens` is without what came from a cache or went into one."""

    input_tokens: _Count = 0
    output_tokens: _Count = 0
    cache_read_input_tokens: _Count | None = None
    cache_write_input_tokens: _Count | None = None


class ServiceTier(In, frozen=True):
    """The tier that was used."""

    type: str = ""


class PromptRouter(In, frozen=True):
    """What a prompt router chose."""

    invoked_model_id: str | None = None


class Trace(In, frozen=True):
    """Of guardrails and routers; only the router's choice is of interest."""

    prompt_router: PromptRouter | None = None


class Web(In, frozen=True):
    """A page behind an answer."""

    url: str | None = None
    domain: str | None = None


class Location(In, frozen=True):
    """Where a source is; documents of the request have other members."""

    web: Web | None = None


class Citation(In, frozen=True):
    """A source of the text beside it."""

    location: Location | None = None
    title: str | None = None


class ToolUse(In, frozen=True):
    """`type` server_tool_use: Bedrock runs it itself."""

    tool_use_id: str = ""
    name: str = ""
    type: str | None = None
    input: Raw = Raw(b"{}")


class ImageSource(In, frozen=True):
    """Base64; the other kind of source is not asked for."""

    bytes: str | None = None


class Image(In, frozen=True):
    """An image: whole, its start (the format) or a piece (the source). `error`: it went wrong."""

    format: str = ""
    source: ImageSource | None = None
    error: object = None


# ------------------------------------------------------------------------------------------ whole


class ReasoningText(In, frozen=True):
    """`signature` is absent for models that don't sign."""

    text: str = ""
    signature: str | None = None


class ReasoningContent(In, frozen=True):
    """One of the two."""

    reasoning_text: ReasoningText | None = None
    redacted_content: str | None = None


class CitedText(In, frozen=True):
    """A piece of cited text."""

    text: str = ""


class CitationsContent(In, frozen=True):
    """Text with its sources."""

    content: Sequence[CitedText] = ()
    citations: Sequence[Citation] = ()


class ContentBlock(In, frozen=True):
    """One of these, or a kind that is not known here."""

    text: str | None = None
    tool_use: ToolUse | None = None
    reasoning_content: ReasoningContent | None = None
    citations_content: CitationsContent | None = None
    image: Image | None = None


class Message(In, frozen=True):
    """The model's."""

    content: Sequence[ContentBlock] = ()


class Output(In, frozen=True):
    """What came of it."""

    message: Message


class Answer(In, frozen=True):
    """A whole answer. One without `output` is none, though its status be 200."""

    output: Output
    stop_reason: str
    usage: TokenUsage = TokenUsage()
    service_tier: ServiceTier | None = None
    trace: Trace | None = None


# ----------------------------------------------------------------------------------------- events


class BlockStart(In, frozen=True):
    """Text and reasoning have no start."""

    tool_use: ToolUse | None = None
    image: Image | None = None


class ContentBlockStart(In, frozen=True):
    """`contentBlockStart`."""

    start: BlockStart = BlockStart()
    content_block_index: int = 0


class ToolUseDelta(In, frozen=True):
    """A piece of JSON text."""

    input: str = ""


class ReasoningDelta(In, frozen=True):
    """One of these."""

    text: str | None = None
    signature: str | None = None
    redacted_content: str | None = None


class Delta(In, frozen=True):
    """One of these, or a kind that is not known here."""

    text: str | None = None
    tool_use: ToolUseDelta | None = None
    reasoning_content: ReasoningDelta | None = None
    citation: Citation | None = None
    image: Image | None = None


class ContentBlockDelta(In, frozen=True):
    """`contentBlockDelta`."""

    delta: Delta
    content_block_index: int = 0


class ContentBlockStop(In, frozen=True):
    """`contentBlockStop`."""

    content_block_index: int = 0


class MessageStop(In, frozen=True):
    """`messageStop`."""

    stop_reason: str


class Metadata(In, frozen=True):
    """`metadata`, after `messageStop`: the last."""

    usage: TokenUsage = TokenUsage()
    service_tier: ServiceTier | None = None
    trace: Trace | None = None


whole = msgspec.json.Decoder(Answer)
block_start = msgspec.json.Decoder(ContentBlockStart)
block_delta = msgspec.json.Decoder(ContentBlockDelta)
block_stop = msgspec.json.Decoder(ContentBlockStop)
message_stop = msgspec.json.Decoder(MessageStop)
metadata = msgspec.json.Decoder(Metadata)

# Ends other than a completed answer. What is not named here is complete: end_turn, stop_sequence,
# tool_use, and reasons to come.
INCOMPLETE: Mapping[str, IncompleteReason] = MappingProxyType(
    {
        "max_tokens": "max_output_tokens",
        "model_context_window_exceeded": "max_output_tokens",
        "guardrail_intervened": "content_filter",
        "content_filtered": "content_filter",
        "refusal": "content_filter",
    }
)
MALFORMED = frozenset({"malformed_model_output", "malformed_tool_use"})
_TIERS: Mapping[str, str] = MappingProxyType(
    {"default": "default", "flex": "flex", "priority": "priority", "reserved": "scale"}
)


def usage_of(counted: TokenUsage) -> Usage:
    """Tokens as OpenAI counts them: all of the input, with its cached part named."""
    cached = counted.cache_read_input_tokens or 0
    written = counted.cache_write_input_tokens or 0
    spent = counted.input_tokens + cached + written
    return Usage(
        input_tokens=spent,
        output_tokens=counted.output_tokens,
        total_tokens=spent + counted.output_tokens,
        input_tokens_details=InputTokensDetails(cached, written),
    )


def tier_of(tier: ServiceTier | None) -> str:
    """OpenAI's name of the tier; `scale` is its reserved capacity."""
    return _TIERS.get(tier.type, "default") if tier is not None else "default"


def routed_model(trace: Trace | None) -> str | None:
    """The model that a prompt router chose."""
    if trace is None or trace.prompt_router is None or not trace.prompt_router.invoked_model_id:
        return None
    return trace.prompt_router.invoked_model_id.rpartition("/")[2]

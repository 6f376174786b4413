"""The JSON that a Messages API is sent (Anthropic API reference, "Create a Message").

Only what this gateway says is typed here. Fields at their default are left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, TypeAlias

from msgspec import Raw, Struct

from sluicegate.api.tools import JsonObject

Effort: TypeAlias = Literal["low", "medium", "high", "xhigh", "max"]


class CacheControl(Struct, frozen=True, omit_defaults=True, tag="ephemeral"):
    """Where a cached prefix ends. `ttl` None: the API's own five minutes."""

    ttl: Literal["5m", "1h"] | None = None


# ----------------------------------------------------------------------------------------- content


class TextBlock(Struct, frozen=True, omit_defaults=True, tag="text"):
    """Text; the API refuses one that is blank."""

    text: str
    cache_control: CacheControl | None = None


class Base64Source(Struct, frozen=True, tag="base64"):
    """Bytes within the request."""

    media_type: str
    data: str


class UrlSource(Struct, frozen=True, tag="url"):
    """Bytes that the API fetches itself."""

    url: str


class PlainTextSource(Struct, frozen=True, tag="text"):
    """A text document."""

    media_type: str
    data: str


class ImageBlock(Struct, frozen=True, omit_defaults=True, tag="image"):
    """An image."""

    source: Base64Source | UrlSource
    cache_control: CacheControl | None = None


class DocumentBlock(Struct, frozen=True, omit_defaults=True, tag="document"):
    """A PDF or a text."""

    source: Base64Source | UrlSource | PlainTextSource
    title: str | None = None
    cache_control: CacheControl | None = None


class ToolUseBlock(Struct, frozen=True, omit_defaults=True, tag="tool_use"):
    """A call that the model made; `input` is a JSON object."""

    id: str
    name: str
    input: Raw
    cache_control: CacheControl | None = None


class ToolResultBlock(Struct, frozen=True, omit_defaults=True, tag="tool_result"):
    """What a call came to."""

    tool_use_id: str
    content: str | Sequence[TextBlock | ImageBlock | DocumentBlock]
    cache_control: CacheControl | None = None


class ThinkingBlock(Struct, frozen=True, tag="thinking"):
    """Thinking, which comes back exactly as it was signed."""

    thinking: str
    signature: str


class RedactedThinkingBlock(Struct, frozen=True, tag="redacted_thinking"):
    """Thinking that only its maker can read."""

    data: str


InputBlock: TypeAlias = TextBlock | ImageBlock | DocumentBlock
Cacheable: TypeAlias = InputBlock | ToolUseBlock | ToolResultBlock
SignedThinking: TypeAlias = ThinkingBlock | RedactedThinkingBlock
Block: TypeAlias = Cacheable | SignedThinking
Role: TypeAlias = Literal["user", "assistant", "system"]


class WireMessage(Struct, frozen=True):
    """One turn."""

    role: Role
    content: Sequence[Block]


# ------------------------------------------------------------------------------------------- tools


class ToolDefinition(Struct, frozen=True, omit_defaults=True):
    """A function."""

    name: str
    input_schema: JsonObject
    description: str | None = None
    strict: bool = False
    cache_control: CacheControl | None = None


class WebSearchTool(Struct, frozen=True, omit_defaults=True, tag="web_search_20250305"):
    """The API's own search."""

    name: Literal["web_search"]
    max_uses: int | None = None
    allowed_domains: Sequence[str] | None = None
    blocked_domains: Sequence[str] | None = None
    user_location: Mapping[str, str] | None = None
    cache_control: CacheControl | None = None


WireTool: TypeAlias = ToolDefinition | WebSearchTool


class WireToolChoice(Struct, frozen=True, omit_defaults=True):
    """`name` goes with type `tool`; `none` takes no other member."""

    type: Literal["auto", "any", "tool", "none"]
    name: str | None = None
    disable_parallel_tool_use: bool = False


# --------------------------------------------------------------------------------------- the whole


class ThinkingConfig(Struct, frozen=True, omit_defaults=True):
    """`budget_tokens` goes with `enabled`, `display` with `enabled` and `adaptive`."""

    type: Literal["enabled", "adaptive", "disabled", "between_tools"]
    budget_tokens: int | None = None
    display: Literal["summarized", "omitted"] | None = None


class OutputFormat(Struct, frozen=True, tag="json_schema"):
    """The answer's text is JSON of this schema."""

    schema: JsonObject


class OutputConfig(Struct, frozen=True, omit_defaults=True):
    """Effort and form of the answer."""

    effort: Effort | None = None
    format: OutputFormat | None = None


class Metadata(Struct, frozen=True):
    """`user_id` is opaque: no name, no address."""

    user_id: str


class Body(Struct, frozen=True, omit_defaults=True):
    """A request. Some who serve the API want `model` in the path and `anthropic_version` here."""

    max_tokens: int
    messages: Sequence[WireMessage]
    model: str | None = None
    anthropic_version: str | None = None
    system: Sequence[TextBlock] | None = None
    tools: Sequence[WireTool] | None = None
    tool_choice: WireToolChoice | None = None
    thinking: ThinkingConfig | None = None
    output_config: OutputConfig | None = None
    temperature: float | None = None
    top_p: float | None = None
    metadata: Metadata | None = None
    service_tier: Literal["auto", "standard_only"] | None = None
    stream: bool = False

"""The Converse API's request, as it is sent (API reference, "Converse").

A content block is an object with one member, so each kind is a struct with one field. Bytes travel
as base64 text. What is at its default is left out. Names become camelCase on the wire.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, TypeAlias

from msgspec import Raw, Struct

JsonObject: TypeAlias = Mapping[str, object]
ImageFormat: TypeAlias = Literal["png", "jpeg", "gif", "webp"]
DocumentFormat: TypeAlias = Literal["pdf", "csv", "doc", "docx", "xls", "xlsx", "html", "txt", "md"]


class Out(Struct, frozen=True, omit_defaults=True, rename="camel"):
    """Something that is sent."""


class Text(Out, frozen=True):
    """`text`: never blank at the level of a message, where Bedrock refuses it."""

    text: str


class Bytes(Out, frozen=True):
    """Base64."""

    bytes: str


class Image(Out, frozen=True):
    """An image by its bytes."""

    format: ImageFormat
    source: Bytes


class ImageBlock(Out, frozen=True):
    """`image`."""

    image: Image


class Document(Out, frozen=True):
    """`name` is unique in a request, of letters, digits, single blanks, `-`, `()` and `[]`."""

    format: DocumentFormat
    name: str
    source: Bytes


class DocumentBlock(Out, frozen=True):
    """`document`."""

    document: Document


class ToolUse(Out, frozen=True):
    """`input` is a JSON object."""

    tool_use_id: str
    name: str
    input: Raw


class ToolUseBlock(Out, frozen=True):
    """`toolUse`."""

    tool_use: ToolUse


ResultPart: TypeAlias = Text | ImageBlock | DocumentBlock


class ToolResult(Out, frozen=True):
    """The answer to a toolUse."""

    tool_use_id: str
    content: Sequence[ResultPart]


class ToolResultBlock(Out, frozen=True):
    """`toolResult`."""

    tool_result: ToolResult


class ReasoningText(Out, frozen=True):
    """Reasoning with the model's signature over it."""

    text: str
    signature: str


class ReasoningContent(Out, frozen=True):
    """One of the two."""

    reasoning_text: ReasoningText | None = None
    redacted_content: str | None = None


class ReasoningBlock(Out, frozen=True):
    """`reasoningContent`."""

    reasoning_content: ReasoningContent


class CachePoint(Out, frozen=True):
    """Everything before it may be cached."""

    type: str
    ttl: Literal["5m", "1h"] | None = None


class CachePointBlock(Out, frozen=True):
    """`cachePoint`."""

    cache_point: CachePoint


Block: TypeAlias = (
    Text
    | ImageBlock
    | DocumentBlock
    | ToolUseBlock
    | ToolResultBlock
    | ReasoningBlock
    | CachePointBlock
)
SystemBlock: TypeAlias = Text | CachePointBlock


class Message(Out, frozen=True):
    """Roles alternate, the first is the user's."""

    role: Literal["user", "assistant"]
    content: Sequence[Block]


class InferenceConfig(Out, frozen=True):
    """Limits and sampling."""

    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None


class InputSchema(Out, frozen=True):
    """A JSON Schema."""

    json: JsonObject


class ToolSpec(Out, frozen=True):
    """A function; its description may be absent, but not empty."""

    name: str
    input_schema: InputSchema
    description: str | None = None
    strict: bool | None = None


class ToolSpecEntry(Out, frozen=True):
    """`toolSpec`."""

    tool_spec: ToolSpec


class SystemTool(Out, frozen=True):
    """A tool that Bedrock runs itself."""

    name: str


class SystemToolEntry(Out, frozen=True):
    """`systemTool`."""

    system_tool: SystemTool


ToolEntry: TypeAlias = ToolSpecEntry | SystemToolEntry


class ToolConfig(Out, frozen=True):
    """`toolChoice` has one member: `auto`, `any` or `tool`."""

    tools: Sequence[ToolEntry]
    tool_choice: Mapping[str, Mapping[str, str]] | None = None


class JsonSchema(Out, frozen=True):
    """`schema` is JSON as text."""

    schema: str
    name: str | None = None
    description: str | None = None


class Structure(Out, frozen=True):
    """`jsonSchema`."""

    json_schema: JsonSchema


class TextFormat(Out, frozen=True):
    """Structured output."""

    type: str
    structure: Structure


class OutputConfig(Out, frozen=True):
    """The form of the answer, and how much thought goes into it."""

    text_format: TextFormat | None = None
    effort: str | None = None


class ServiceTier(Out, frozen=True):
    """`type`, which has no default."""

    type: str


class ConverseRequest(Out, frozen=True):
    """The body of both operations; the model is in the path."""

    messages: Sequence[Message]
    system: Sequence[SystemBlock] | None = None
    inference_config: InferenceConfig | None = None
    tool_config: ToolConfig | None = None
    output_config: OutputConfig | None = None
    additional_model_request_fields: JsonObject | None = None
    request_metadata: Mapping[str, str] | None = None
    service_tier: ServiceTier | None = None

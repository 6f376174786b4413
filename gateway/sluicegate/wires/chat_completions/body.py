"""The JSON that chat completions are asked with (OpenAI API reference, "Create chat completion").

Only what this gateway says is typed here. Fields at their default are left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, TypeAlias

from msgspec import Raw, Struct

from sluicegate.api.parameters import Effort
from sluicegate.api.tools import JsonObject

# ----------------------------------------------------------------------------------------- content


class TextPart(Struct, frozen=True, tag="text"):
    """Text."""

    text: str


class ImageUrl(Struct, frozen=True, omit_defaults=True):
    """An address or a data URI."""

    url: str
    detail: Literal["low", "high", "original"] | None = None


class ImagePart(Struct, frozen=True, tag="image_url"):
    """An image."""

    image_url: ImageUrl


class FileData(Struct, frozen=True, omit_defaults=True):
    """`file_data` is a data URI."""

    file_data: str
    filename: str | None = None


class FilePart(Struct, frozen=True, tag="file"):
    """A file."""

    file: FileData


Part: TypeAlias = TextPart | ImagePart | FilePart

# ---------------------------------------------------------------------------------------- messages


class CalledFunction(Struct, frozen=True):
    """`arguments` is JSON text."""

    name: str
    arguments: str


class WireCall(Struct, frozen=True, tag="function"):
    """A call that the model made."""

    id: str
    function: CalledFunction


class SystemMessage(Struct, tag_field="role", tag="system"):
    """What the deployment's or the application's owner says."""

    content: str


class UserMessage(Struct, tag_field="role", tag="user"):
    """What the user says."""

    content: str | Sequence[Part]


class AssistantMessage(Struct, tag_field="role", tag="assistant", omit_defaults=True):
    """What the model said. `content` is there even if it is null, which some servers ask for.

    The reasoning goes under the name under which the upstream sent it (DeepSeek, vLLM and others;
    it is not in OpenAI's definition).
    """

    content: str | None
    tool_calls: Sequence[WireCall] | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None


class ToolMessage(Struct, tag_field="role", tag="tool"):
    """What a call came to."""

    tool_call_id: str
    content: str


WireMessage: TypeAlias = SystemMessage | UserMessage | AssistantMessage | ToolMessage

# ------------------------------------------------------------------------------------------- tools


class WireFunction(Struct, frozen=True, omit_defaults=True):
    """`strict` False is the API's own default."""

    name: str
    description: str | None = None
    parameters: JsonObject | None = None
    strict: bool = False


class WireTool(Struct, frozen=True, tag="function"):
    """A function."""

    function: WireFunction


class FunctionName(Struct, frozen=True):
    """By which a function is chosen."""

    name: str


class NamedChoice(Struct, frozen=True, tag="function"):
    """This function must be called."""

    function: FunctionName


# ------------------------------------------------------------------------------------------ format


class NamedSchema(Struct, frozen=True, omit_defaults=True):
    """A JSON Schema that the answer keeps."""

    name: str
    schema: JsonObject
    description: str | None = None
    strict: bool | None = None


class SchemaFormat(Struct, frozen=True, tag="json_schema"):
    """The answer is JSON of this schema."""

    json_schema: NamedSchema


class ObjectFormat(Struct, frozen=True, tag="json_object"):
    """The answer is some JSON object."""


# -------------------------------------------------------------------------------------------- body

Tier: TypeAlias = Literal["default", "flex", "scale", "priority", "fast"]


class StreamOptions(Struct, frozen=True):
    """Without it a stream does not tell its usage."""

    include_usage: bool = True


class Body(Struct, frozen=True, omit_defaults=True):
    """A request."""

    model: str
    messages: Sequence[WireMessage]
    tools: Sequence[WireTool] | None = None
    tool_choice: Literal["none", "required"] | NamedChoice | None = None
    parallel_tool_calls: bool = True
    response_format: SchemaFormat | ObjectFormat | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    logprobs: bool = False
    top_logprobs: int | None = None
    reasoning_effort: Effort | None = None
    verbosity: Literal["low", "medium", "high"] | None = None
    service_tier: Tier | None = None
    user: str | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None
    prompt_cache_retention: str | None = None
    prompt_cache_options: Mapping[str, Raw] | None = None
    stream: bool = False
    stream_options: StreamOptions | None = None

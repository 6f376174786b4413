"""The JSON of a `generateContent` request (Gemini API reference, "GenerateContentRequest").

Only what this gateway says is typed here. Fields at their default are left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias

from msgspec import Raw, Struct

from sluicegate.api.tools import JsonObject

Level: TypeAlias = Literal["MINIMAL", "LOW", "MEDIUM", "HIGH", "XHIGH"]
Tier: TypeAlias = Literal["standard", "flex", "priority"]


class _Wire(Struct, frozen=True, omit_defaults=True, rename="camel"):
    """An object of the wire, whose names are camelCase."""


# ----------------------------------------------------------------------------------------- content


class TextPart(_Wire, frozen=True):
    """Text; an empty one may carry a signature."""

    text: str
    thought_signature: str | None = None


class Blob(_Wire, frozen=True):
    """Bytes within the request, in base64."""

    mime_type: str
    data: str


class InlinePart(_Wire, frozen=True):
    """An image or a file within the request; one that the model made may be signed."""

    inline_data: Blob
    thought_signature: str | None = None


class FileData(_Wire, frozen=True):
    """A file that the API fetches itself."""

    mime_type: str
    file_uri: str


class FilePart(_Wire, frozen=True):
    """An image or a file by its address."""

    file_data: FileData


class FunctionCall(_Wire, frozen=True):
    """A call that the model made; `args` is a JSON object."""

    name: str
    args: Raw
    id: str | None = None


class CallPart(_Wire, frozen=True):
    """The signature comes back exactly as it was given."""

    function_call: FunctionCall
    thought_signature: str | None = None


class FunctionOutput(_Wire, frozen=True):
    """`output` is the key that the API documents."""

    output: str | Sequence[str]


class FunctionResponse(_Wire, frozen=True):
    """What a call came to; `parts` are its images and files."""

    name: str
    response: FunctionOutput
    id: str | None = None
    parts: Sequence[InlinePart] | None = None


class ResponsePart(_Wire, frozen=True):
    """One result of a turn's calls."""

    function_response: FunctionResponse


InputPart: TypeAlias = TextPart | InlinePart | FilePart
# Raw: a part of the API's own tools, which goes back as it came.
Part: TypeAlias = InputPart | CallPart | ResponsePart | Raw
Role: TypeAlias = Literal["user", "model"]


class Content(_Wire, frozen=True):
    """One turn; the system's words have no role."""

    parts: Sequence[Part]
    role: Role | None = None


# ------------------------------------------------------------------------------------------- tools


class FunctionDeclaration(_Wire, frozen=True):
    """At most one of `parameters` (OpenAPI's subset) and `parameters_json_schema` is given."""

    name: str
    description: str | None = None
    parameters: JsonObject | None = None
    parameters_json_schema: JsonObject | None = None


class GoogleSearch(_Wire, frozen=True):
    """Only Vertex AI can leave out domains."""

    exclude_domains: Sequence[str] | None = None


class Tool(_Wire, frozen=True):
    """Exactly one of its members is given."""

    function_declarations: Sequence[FunctionDeclaration] | None = None
    google_search: GoogleSearch | None = None


class FunctionCallingConfig(_Wire, frozen=True):
    """`allowed_function_names` goes with mode ANY."""

    mode: Literal["AUTO", "ANY", "NONE", "VALIDATED"]
    allowed_function_names: Sequence[str] | None = None


class ToolConfig(_Wire, frozen=True):
    """The second is what the Gemini API wants where search and functions stand together."""

    function_calling_config: FunctionCallingConfig | None = None
    include_server_side_tool_invocations: bool = False


# --------------------------------------------------------------------------------------- the whole


class ThinkingConfig(_Wire, frozen=True):
    """At most one of budget (tokens; 0 is off) and level is given."""

    include_thoughts: bool = False
    thinking_budget: int | None = None
    thinking_level: Level | None = None


class GenerationConfig(_Wire, frozen=True):
    """How the answer is made; at most one of the schemas is given."""

    max_output_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    response_logprobs: bool = False
    logprobs: int | None = None
    response_mime_type: str | None = None
    response_schema: JsonObject | None = None
    response_json_schema: JsonObject | None = None
    thinking_config: ThinkingConfig | None = None


class Body(_Wire, frozen=True):
    """A request."""

    contents: Sequence[Content]
    system_instruction: Content | None = None
    tools: Sequence[Tool] | None = None
    tool_config: ToolConfig | None = None
    generation_config: GenerationConfig | None = None
    service_tier: Tier | None = None

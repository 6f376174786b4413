"""The keywords of `responses` and `aresponses`, typed as the `openai` package types them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, TypeAlias, TypedDict, cast

import httpx2
from openai.types.responses import (
    ResponseIncludable,
    ResponseInputParam,
    ResponsePromptParam,
    ResponseTextConfigParam,
    ToolParam,
)
from openai.types.responses.response_create_params import (
    AccessPrograms,
    ContextManagement,
    Conversation,
    Image,
    Moderation,
    PromptCacheOptions,
    StreamOptions,
    ToolChoice,
)
from openai.types.responses.service_tier import ServiceTier
from openai.types.shared_params import Metadata, Reasoning

Input: TypeAlias = str | ResponseInputParam
GoogleCredentials: TypeAlias = str | os.PathLike[str] | Mapping[str, object]


class Parameters(TypedDict, total=False):
    """The parameters of a Responses request (OpenAI, "Create a model response").

    One that is left out is not sent; None is sent as null. What a provider can't do is refused
    (BadRequestError), or left out where `drop_unsupported` says so.
    """

    access_programs: AccessPrograms
    background: bool | None
    context_management: Iterable[ContextManagement] | None
    conversation: Conversation | None
    image: Image
    include: Sequence[ResponseIncludable] | None
    instructions: str | None
    max_output_tokens: int | None
    max_tool_calls: int | None
    metadata: Metadata | None
    moderation: Moderation | None
    parallel_tool_calls: bool | None
    previous_response_id: str | None
    prompt: ResponsePromptParam | None
    prompt_cache_key: str | None
    prompt_cache_options: PromptCacheOptions
    prompt_cache_retention: Literal["in_memory", "24h"] | None
    reasoning: Reasoning | None
    safety_identifier: str | None
    service_tier: ServiceTier | None
    store: bool | None
    stream_options: StreamOptions | None
    temperature: float | None
    text: ResponseTextConfigParam
    tool_choice: ToolChoice
    tools: Iterable[ToolParam]
    top_logprobs: int | None
    top_p: float | None
    truncation: Literal["auto", "disabled"] | None
    user: str


class Connection(TypedDict, total=False):
    """Where the call goes and as whom. Left out or None: the provider's environment variables.

    `api_key`, `base_url`, `api`, `organization`, `project` and `extra_headers` are for the provider
    of `model`; a fallback at another provider does not get them.
    """

    api_key: str | None
    base_url: str | None
    api: Literal["responses", "chat_completions"] | None  # of `openai/…`: what the server has
    organization: str | None
    project: str | None
    vertex_project: str | None
    vertex_location: str | None
    vertex_credentials: GoogleCredentials | None  # JSON text, the path of a file, or its content
    aws_access_key_id: str | None
    aws_secret_access_key: str | None
    aws_session_token: str | None
    aws_region_name: str | None
    aws_role_name: str | None  # the ARN of a role to assume
    aws_session_name: str | None
    aws_external_id: str | None
    extra_headers: Mapping[str, str] | None


class Arguments(Parameters, Connection, total=False):
    """All of it."""

    extra_body: Mapping[str, object] | None  # more members of the request, for what is newer
    fallbacks: Sequence[str]  # `provider/model`, tried in order where `model` fails
    max_retries: int  # of each model; default 2
    timeout: float | httpx2.Timeout | None  # seconds, of each wait: to connect, for more bytes
    drop_unsupported: bool  # leave out what a provider can't do, and log a warning that names it


PARAMETERS = frozenset(Parameters.__annotations__)
_TIMEOUTS = (int, float, httpx2.Timeout, type(None))
ARGUMENTS = frozenset(Arguments.__annotations__)


def check_types(arguments: Arguments, *, stream: object) -> None:
    """Refuse what a type checker would have, where it would mean something else. TypeError."""
    given = cast("Mapping[str, object]", arguments)
    if not isinstance(stream, bool):
        raise TypeError("stream must be True or False")
    fallbacks = given.get("fallbacks", ())
    if isinstance(fallbacks, str) or not isinstance(fallbacks, Sequence):
        raise TypeError("fallbacks must be a list of models, as in fallbacks=['openai/gpt-4o']")
    if not all(isinstance(name, str) for name in cast("Sequence[object]", fallbacks)):
        raise TypeError("fallbacks must name models by strings")
    retries = given.get("max_retries", 0)
    if not isinstance(retries, int) or isinstance(retries, bool):
        raise TypeError("max_retries must be a whole number")
    timeout = given.get("timeout")
    if isinstance(timeout, bool) or not isinstance(timeout, _TIMEOUTS):
        raise TypeError("timeout must be a number of seconds, an httpx2.Timeout or None")

"""`spec.provider`: a union with one member for each wire dialect."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import Field

from sluicegate.resources.fields import (
    BaseURL,
    Fields,
    HeaderToken,
    ShortDelay,
    UpstreamModel,
    matches,
)
from sluicegate.resources.rules import missing_or_many, one_of, rule
from sluicegate.resources.yaml_documents import FieldPath

Region: TypeAlias = Annotated[
    str,
    matches(
        r"[a-z]{2,4}(-[a-z]+)+-[0-9]+", "must be the name of an AWS region, as in us-west-2", 63
    ),
]
Location: TypeAlias = Annotated[
    str,
    matches(
        r"[a-z0-9]+(-[a-z0-9]+)*",
        "must be the name of a Google Cloud location, as in us-central1, eu or global",
        63,
    ),
]
GoogleProject: TypeAlias = Annotated[
    str,
    matches(
        r"[a-z0-9][a-z0-9.:-]*",
        "must be the id of a Google Cloud project: lower-case letters, digits, '.', ':' and '-'",
        128,
    ),
]
ApiVersionDate: TypeAlias = Annotated[
    str, matches(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", "must be a date, as in 2023-06-01", 10)
]
_MODEL = (
    "The model's id at the provider. With `*`, and a `spec.model` that ends in `*`, the rest of "
    "the requested name goes upstream."
)


class OpenAI(Fields):
    """OpenAI, Azure OpenAI, and servers that speak their API."""

    model: UpstreamModel = Field(description=_MODEL)
    base_url: BaseURL | None = Field(
        None,
        alias="baseURL",
        description="Where the API is, ending in /v1 as in the OpenAI SDK; "
        "https://api.openai.com/v1 if left out.",
    )
    auth: Literal["Bearer", "ApiKey"] = Field(
        "Bearer",
        description="How the key is sent: Bearer in `authorization`, ApiKey in `api-key`, as "
        "Azure wants it.",
    )
    organization: HeaderToken | None = Field(
        None, description="Sent as `OpenAI-Organization`: the organization that is billed."
    )
    project: HeaderToken | None = Field(
        None, description="Sent as `OpenAI-Project`: the project that is billed."
    )
    api: Literal["Responses", "ChatCompletions"] = Field(
        "Responses",
        description="Which API the server has; ChatCompletions is for compatible servers without "
        "/responses.",
    )


class Anthropic(Fields):
    """Anthropic's Messages API."""

    model: UpstreamModel = Field(description=_MODEL)
    base_url: BaseURL | None = Field(
        None,
        alias="baseURL",
        description="Where the API is, without /v1, as in the Anthropic SDK; "
        "https://api.anthropic.com if left out.",
    )
    version: ApiVersionDate | None = Field(
        None, description="Sent as `anthropic-version`; 2023-06-01 if left out."
    )
    betas: tuple[HeaderToken, ...] = Field(
        (), max_length=16, description="Names of beta features, sent as `anthropic-beta`."
    )


class Gemini(Fields):
    """Google's Gemini API (with an API key)."""

    model: UpstreamModel = Field(description=_MODEL)
    base_url: BaseURL | None = Field(
        None,
        alias="baseURL",
        description="Where the API is, without a version; "
        "https://generativelanguage.googleapis.com if left out.",
    )


class VertexAI(Fields):
    """Google Cloud's Vertex AI."""

    model: UpstreamModel = Field(description=_MODEL)
    project: GoogleProject = Field(description="Id of the Google Cloud project that is billed.")
    location: Location = Field(
        description="Google Cloud location of the endpoint, as in us-central1, eu or global."
    )
    publisher: Literal["google", "anthropic"] = Field(
        "google", description="Whose model it is: google (Gemini) or anthropic (Claude)."
    )
    base_url: BaseURL | None = Field(
        None,
        alias="baseURL",
        description="Where the API is, without a version; the host of the location if left out.",
    )


class Bedrock(Fields):
    """Amazon Bedrock."""

    model: UpstreamModel = Field(
        description="Model id, inference profile id or ARN at Bedrock. " + _MODEL
    )
    region: Region = Field(description="AWS region of the endpoint, as in us-west-2.")
    base_url: BaseURL | None = Field(
        None,
        alias="baseURL",
        description="URL of the endpoint, as of a VPC endpoint; the region's public one if left "
        "out.",
    )


class Echo(Fields):
    """Answers by itself, without an upstream and without a credential.

    For trying out and for tests.
    """

    delay: ShortDelay = Field(
        "0s", description="Time before the answer begins: a duration such as 500ms."
    )
    chunk_delay: ShortDelay = Field(
        "0s", description="Time before each chunk of text: a duration such as 20ms."
    )
    chunks: int | None = Field(
        None,
        ge=1,
        le=10_000,
        description="Number of chunks of text; one for each word if left out.",
    )
    text: str | None = Field(
        None,
        max_length=65_536,
        description="The text to answer with; the last user message if left out.",
    )


class Provider(Fields):
    """Which provider answers, and how it is reached: exactly one of the members."""

    openai: OpenAI | None = Field(
        None,
        alias="openai",
        description="OpenAI, Azure OpenAI, and compatible servers such as vLLM and Ollama.",
    )
    anthropic: Anthropic | None = Field(None, description="Anthropic's Messages API.")
    gemini: Gemini | None = Field(None, description="Google's Gemini API.")
    vertex_ai: VertexAI | None = Field(
        None, alias="vertexAI", description="Google Cloud's Vertex AI."
    )
    bedrock: Bedrock | None = Field(None, description="Amazon Bedrock.")
    echo: Echo | None = Field(None, description="Answers by itself, without an upstream.")

    @rule(
        one_of("openai", "anthropic", "gemini", "vertexAI", "bedrock", "echo"),
        "must name exactly one provider: openai, anthropic, gemini, vertexAI, bedrock or echo",
    )
    def _exactly_one(self) -> FieldPath | None:
        return missing_or_many(
            self.openai, self.anthropic, self.gemini, self.vertex_ai, self.bedrock, self.echo
        )

    def chosen(self) -> OpenAI | Anthropic | Gemini | VertexAI | Bedrock | Echo:
        """The member that is set."""
        return next(
            member
            for member in (
                self.openai,
                self.anthropic,
                self.gemini,
                self.vertex_ai,
                self.bedrock,
                self.echo,
            )
            if member is not None
        )

"""Compiled entries.

An entry is what one custom resource (or one pool) became; a Config is a set of them.

Entry ids: `md/<namespace>/<name>` for a deployment, `ak/<namespace>/<name>` for a key or an
upstream credential, `pool/<namespace>/<model>` for a pool. One changed resource changes one entry
(and its pool's, if it moved).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, TypeAlias

import msgspec
from msgspec import Struct, field


class _Value(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True, gc=False):
    """Frozen; fields at their default are left out of the canonical form.

    So a new field changes no old hash.
    """


# --- upstreams ------------------------------------------------------------------------------------


class OpenAIUpstream(_Value, frozen=True, tag="openai", tag_field="provider"):
    """An upstream that speaks OpenAI's API: OpenAI, Azure OpenAI, vLLM, and others."""

    model: str
    base_url: str = "https://api.openai.com/v1"
    auth: Literal["Bearer", "ApiKey"] = "Bearer"
    organization: str | None = None
    project: str | None = None
    api: Literal["Responses", "ChatCompletions"] = "Responses"


class AnthropicUpstream(_Value, frozen=True, tag="anthropic", tag_field="provider"):
    """The Messages API of Anthropic."""

    model: str
    base_url: str = "https://api.anthropic.com"
    version: str = "2023-06-01"
    betas: tuple[str, ...] = ()


class GeminiUpstream(_Value, frozen=True, tag="gemini", tag_field="provider"):
    """The Gemini API (generativelanguage)."""

    model: str
    base_url: str = "https://generativelanguage.googleapis.com"


class VertexAIUpstream(_Value, frozen=True, tag="vertexAI", tag_field="provider"):
    """Models of Google or Anthropic on Vertex AI."""

    model: str
    project: str
    location: str
    publisher: Literal["google", "anthropic"] = "google"
    base_url: str | None = None  # None: the host that belongs to the location


class BedrockUpstream(_Value, frozen=True, tag="bedrock", tag_field="provider"):
    """The Converse API of Amazon Bedrock."""

    model: str
    region: str
    base_url: str | None = None  # None: the host that belongs to the region


class EchoUpstream(_Value, frozen=True, tag="echo", tag_field="provider"):
    """Answers by itself: `text` (None: the text of the last user message) in `chunks` deltas."""

    delay: float = 0.0  # before the first event
    chunk_delay: float = 0.0  # before each delta
    chunks: int | None = None  # None: one per word
    text: str | None = None

    @property
    def model(self) -> str:
        """Nothing goes upstream; the answer names this model."""
        return "echo"


Upstream: TypeAlias = (
    OpenAIUpstream
    | AnthropicUpstream
    | GeminiUpstream
    | VertexAIUpstream
    | BedrockUpstream
    | EchoUpstream
)

# --- credentials ----------------------------------------------------------------------------------


class AmbientCredential(_Value, frozen=True, tag="ambient", tag_field="kind"):
    """The provider's own chain in the gateway process (environment variables, ADC.

    The AWS chain).
    """


class SecretCredential(_Value, frozen=True, tag="secret", tag_field="kind"):
    """A single key or token.

    `source`, here and below, is where compile found it (`Secret/<name>/<entry>`, `ApiKey/<name>`),
    so that it can look again when it keeps the last good entry; a gateway does not read it.
    """

    value: str
    source: str | None = None

    def __repr__(self) -> str:
        return "SecretCredential(value=…)"


class AwsCredential(_Value, frozen=True, tag="aws", tag_field="kind"):
    """Static keys, a role, or both; a role without keys is assumed with the ambient identity."""

    access_key_id: str | None = None
    secret_access_key: str | None = None
    session_token: str | None = None
    role_arn: str | None = None
    session_name: str | None = None
    external_id: str | None = None
    source: str | None = None

    def __repr__(self) -> str:
        return f"AwsCredential(role_arn={self.role_arn!r}, …)"


class GoogleCredential(_Value, frozen=True, tag="google", tag_field="kind"):
    """A credential file's JSON text."""

    json: str
    source: str | None = None

    def __repr__(self) -> str:
        return "GoogleCredential(json=…)"


class ReferencedCredential(_Value, frozen=True, tag="ref", tag_field="kind"):
    """The value of the CredentialEntry with this entry id (`ak/<namespace>/<name>`)."""

    entry: str


class UnresolvedCredential(_Value, frozen=True, tag="unresolved", tag_field="kind"):
    """What the resource refers to is not there: the deployment is skipped until it is."""

    reason: str
    source: str | None = None


ResolvedCredential: TypeAlias = SecretCredential | AwsCredential | GoogleCredential
Credential: TypeAlias = (
    AmbientCredential
    | SecretCredential
    | AwsCredential
    | GoogleCredential
    | ReferencedCredential
    | UnresolvedCredential
)

# --- policy ---------------------------------------------------------------------------------------


class Limits(_Value, frozen=True):
    """What one deployment, key or end user may take; None: no limit."""

    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    max_parallel_requests: int | None = None


class Budget(_Value, frozen=True):
    """What may be spent in a period, in USD."""

    amount_usd: str
    period: Literal["1d", "7d", "30d", "Month"]
    on_exceeded: Literal["Reject", "Warn"] = "Reject"


class Timeouts(_Value, frozen=True):
    """Of one attempt, in seconds."""

    connect: float = 5.0
    first_byte: float = 300.0
    idle: float = 120.0
    total: float = 1800.0


class Retry(_Value, frozen=True):
    """`attempts`: how often this deployment may be tried for one request; 1 = once."""

    attempts: int = 2
    backoff: float = 0.2


class Cooldown(_Value, frozen=True):
    """Consecutive failures that take a deployment out, and for how many seconds."""

    failures: int = 3
    duration: float = 5.0


class Parameters(_Value, frozen=True):
    """Merged into the request's top level as RFC 7396 does.

    Defaults below, overrides above the client's.
    """

    defaults: Mapping[str, msgspec.Raw] = field(default_factory=dict[str, msgspec.Raw])
    overrides: Mapping[str, msgspec.Raw] = field(default_factory=dict[str, msgspec.Raw])


class ModelInfo(_Value, frozen=True):
    """What the model can do, where the catalogue does not know better."""

    context_window: int | None = None
    max_output_tokens: int | None = None
    reasoning: Literal["None", "Effort", "Budget", "Adaptive"] | None = None


class Pricing(_Value, frozen=True):
    """Decimal strings, USD per million tokens."""

    input: str | None = None
    cached_input: str | None = None
    cache_write: str | None = None
    output: str | None = None
    reasoning: str | None = None


class NamespaceCeiling(_Value, frozen=True):
    """What one foreign namespace may take of a shared deployment."""

    limits: Limits | None = None
    budget: Budget | None = None


class Sharing(_Value, frozen=True):
    """Whose client keys may call a deployment.

    Its own namespace's, all, or the named ones' (and its own).
    """

    source: Literal["Same", "All", "Names"] = "Same"
    names: tuple[str, ...] = ()
    per_namespace: NamespaceCeiling | None = None


class Fallback(_Value, frozen=True):
    """`causes` empty: every cause."""

    model: str
    causes: tuple[
        Literal["Error", "RateLimited", "Timeout", "ContextWindow", "ContentPolicy"], ...
    ] = ()


class PoolPolicy(_Value, frozen=True):
    """What one member asks of its pool; None: it does not say. Only compile reads it."""

    strategy: Literal["Weighted", "LeastBusy", "LowestLatency", "LowestCost"] | None = None
    fallbacks: tuple[Fallback, ...] | None = None
    affinity: Literal["None", "EndUser", "ApiKey"] | None = None


# --- entries --------------------------------------------------------------------------------------


class Deployment(_Value, frozen=True, tag="Deployment", tag_field="entry"):
    """A ModelDeployment, resolved."""

    namespace: str
    name: str
    model: str  # the pool's public name
    upstream: Upstream
    credential: Credential
    weight: int = 1
    priority: int = 0
    limits: Limits | None = None
    timeouts: Timeouts = Timeouts()
    retry: Retry = Retry()
    cooldown: Cooldown = Cooldown()
    headers: tuple[tuple[str, str], ...] = ()
    parameters: Parameters = Parameters()
    model_info: ModelInfo = ModelInfo()
    unsupported_parameters: Literal["Reject", "Drop"] = "Reject"
    unsupported_tools: Literal["Reject", "Drop"] = "Drop"
    pricing: Pricing | None = None
    sharing: Sharing = Sharing()
    suspended: bool = False
    policy: PoolPolicy = PoolPolicy()

    @property
    def id(self) -> str:
        """The entry id."""
        return f"md/{self.namespace}/{self.name}"


class CredentialEntry(_Value, frozen=True, tag="Credential", tag_field="entry"):
    """An ApiKey with `spec.upstream`, resolved."""

    namespace: str
    name: str
    credential: ResolvedCredential | UnresolvedCredential

    @property
    def id(self) -> str:
        """The entry id."""
        return f"ak/{self.namespace}/{self.name}"


class KeyDigest(_Value, frozen=True):
    """SHA-256 (64 hex digits) of a whole client key.

    `key_id` may be logged; `not_after` ends a rotation's overlap.
    """

    digest: str
    key_id: str
    not_after: int | None = None


class EndUserPolicy(_Value, frozen=True):
    """What holds for each end user of a key."""

    limits: Limits | None = None
    budget: Budget | None = None
    required: bool = False


class ClientKey(_Value, frozen=True, tag="ClientKey", tag_field="entry"):
    """An ApiKey with `spec.client`.

    A revoked or expired one stays, so that the refusal can say why.
    """

    namespace: str
    name: str
    digests: tuple[KeyDigest, ...]
    models: tuple[str, ...] = ("*",)
    expires_at: int | None = None
    revoked: bool = False
    limits: Limits | None = None
    budget: Budget | None = None
    end_users: EndUserPolicy | None = None
    tags: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def id(self) -> str:
        """The entry id."""
        return f"ak/{self.namespace}/{self.name}"


class Pool(_Value, frozen=True, tag="Pool", tag_field="entry"):
    """The deployments of one namespace that share a public name.

    And the policy their members agree on.

    `members` are names, ordered by (priority, name). `shared`: this pool holds its name among the
    pools that other namespaces can reach (design: "Who gets a name").
    """

    namespace: str
    model: str
    members: tuple[str, ...]
    strategy: Literal["Weighted", "LeastBusy", "LowestLatency", "LowestCost"] = "Weighted"
    fallbacks: tuple[Fallback, ...] = ()
    affinity: Literal["None", "EndUser", "ApiKey"] = "None"
    shared: bool = False

    @property
    def id(self) -> str:
        """The entry id."""
        return f"pool/{self.namespace}/{self.model}"


Entry: TypeAlias = Deployment | CredentialEntry | ClientKey | Pool


class Config(Struct, frozen=True):
    """One whole configuration, by entry id.

    `revisions[id]` is the hash of the entry's canonical form.
    """

    entries: Mapping[str, Entry]
    revisions: Mapping[str, str]

    def __repr__(self) -> str:
        return f"Config({len(self.entries)} entries)"

"""ModelDeployment: a provider, a model there, a credential, and how requests reach it."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

from pydantic import AfterValidator, Field

from sluicegate.resources.fields import (
    FallbackModel,
    Fields,
    Format,
    Namespace,
    ObjectName,
    Price,
    PublicModel,
    ShortDelay,
    Timeout,
)
from sluicegate.resources.header_rules import HEADER_KEYWORDS, header_problem
from sluicegate.resources.manifest import Manifest
from sluicegate.resources.policy import Budget, Count, Limits, SecretEntryRef
from sluicegate.resources.providers import Echo, Provider
from sluicegate.resources.rules import (
    VALIDATIONS,
    Keywords,
    missing_or_many,
    one_of,
    rule,
    validation,
)
from sluicegate.resources.yaml_documents import FieldPath

# Parameters that decide what a request is, and their types; the client alone sets them.
RESERVED_PARAMETERS = {
    "background": "boolean",
    "input": "string",
    "model": "string",
    "previous_response_id": "string",
    "store": "boolean",
    "stream": "boolean",
}
_RESERVED_SAYS = "only the client sets it"
# CEL sees no field that the schema does not name, so the reserved ones are named.
_PARAMETER_KEYWORDS: Keywords = {
    "x-kubernetes-preserve-unknown-fields": True,
    "properties": {
        name: {
            "type": kind,
            "description": f"Not allowed here: {_RESERVED_SAYS}.",
        }
        for name, kind in RESERVED_PARAMETERS.items()
    },
    VALIDATIONS: [
        validation(f"!has(self.{name})", f"must not set {name}: {_RESERVED_SAYS}")
        for name in RESERVED_PARAMETERS
    ],
}
_MAX_MODEL = 128


def _parameters_problem(parameters: dict[str, Any]) -> str | None:
    reserved = sorted(RESERVED_PARAMETERS.keys() & parameters.keys())
    return f"must not set {', '.join(reserved)}: {_RESERVED_SAYS}" if reserved else None


def _without_reserved_nulls(parameters: dict[str, Any]) -> dict[str, Any]:
    """The API server takes a null out where it knows the field, and leaves every other."""
    return {
        name: value
        for name, value in parameters.items()
        if value is not None or name not in RESERVED_PARAMETERS
    }


FreeParameters: TypeAlias = Annotated[
    dict[str, Any],
    AfterValidator(_without_reserved_nulls),
    Format(_parameters_problem, _PARAMETER_KEYWORDS),
]
Headers: TypeAlias = Annotated[dict[str, str], Format(header_problem, HEADER_KEYWORDS)]


class ApiKeyRef(Fields):
    """An ApiKey with `spec.upstream` in the same namespace."""

    name: ObjectName = Field(description="Name of the ApiKey, in the namespace of this object.")


class Credentials(Fields):
    """What is presented to the provider: exactly one of the members."""

    api_key_ref: ApiKeyRef | None = Field(
        None, description="An ApiKey with `spec.upstream` in this namespace."
    )
    secret_ref: SecretEntryRef | None = Field(
        None, description="An entry of a Secret in this namespace that holds a single key."
    )

    @rule(
        one_of("apiKeyRef", "secretRef"),
        "must have exactly one of apiKeyRef and secretRef "
        "(leave `credentials` out to use the provider's ambient credential)",
    )
    def _exactly_one(self) -> FieldPath | None:
        return missing_or_many(self.api_key_ref, self.secret_ref)


class Timeouts(Fields):
    """How long the parts of an upstream call may take."""

    connect: Timeout = Field(
        "5s", description="Until the connection, with TLS, is open: a duration such as 5s."
    )
    first_byte: Timeout = Field(
        "300s", description="From the request to the answer's first byte: a duration such as 300s."
    )
    idle: Timeout = Field(
        "120s",
        description="Longest silence between two pieces of the answer: a duration such as 120s.",
    )
    total: Timeout = Field(
        "30m",
        description="For the whole call, to the answer's last byte: a duration such as 30m.",
    )


class Retry(Fields):
    """How often this deployment is tried for one request."""

    attempts: int = Field(
        2, ge=1, le=10, description="Attempts at this deployment for one request; 1 means once."
    )
    backoff: ShortDelay = Field(
        "200ms",
        description="Time before the second attempt, a duration such as 200ms; it doubles, with "
        "jitter. Retry-After is honoured.",
    )


class Cooldown(Fields):
    """When a failing deployment is left alone, and for how long."""

    failures: int = Field(
        3, ge=1, le=1000, description="Failures in a row that take the deployment out."
    )
    duration: Timeout = Field(
        "5s", description="How long it is out before it is tried again: a duration such as 5s."
    )


class Parameters(Fields):
    """Request parameters that are set for the client, merged at the top level (RFC 7396)."""

    defaults: FreeParameters = Field(
        default_factory=dict,
        description="Used where the client does not set the parameter, as in "
        "max_output_tokens: 4096.",
    )
    overrides: FreeParameters = Field(
        default_factory=dict,
        description="Used whatever the client sets, as in temperature: 0; null removes a "
        "parameter (in a cluster: kubectl apply --server-side, for kubectl's own patches lose "
        "nulls).",
    )


class ModelInfo(Fields):
    """What the model can do, where the catalogue does not know it or is wrong."""

    context_window: Count | None = Field(
        None, description="Tokens that input and output may have together, as in 200000."
    )
    max_output_tokens: Count | None = Field(
        None, description="Tokens that the output may have, as in 8192."
    )
    reasoning: Literal["None", "Effort", "Budget", "Adaptive"] | None = Field(
        None,
        description="How the model is told to reason: not at all, by effort, by a token budget, "
        "or by itself.",
    )


class Pricing(Fields):
    """Prices in USD per million tokens, as decimal strings.

    What is left out comes from the price catalogue.
    """

    input: Price | None = Field(
        None, description='Input tokens that were not cached, as in "3.00".'
    )
    cached_input: Price | None = Field(
        None, description="Input tokens read from a cache; the input price if left out."
    )
    cache_write: Price | None = Field(
        None, description="Input tokens written to a cache; the input price if left out."
    )
    output: Price | None = Field(None, description='Output tokens, as in "15.00".')
    reasoning: Price | None = Field(
        None, description="Reasoning tokens, in place of the output price."
    )


class NamespaceCeiling(Fields):
    """What each foreign namespace may use of this deployment."""

    limits: Limits | None = Field(None, description="Limits of each foreign namespace.")
    budget: Budget | None = Field(None, description="Budget of each foreign namespace.")


class AllowedNamespaces(Fields):
    """Whose client keys may call this deployment."""

    source: Literal["Same", "All", "Names"] = Field(
        "Same",
        alias="from",
        description="Same: this namespace only. All: every namespace. Names: those in `names`, "
        "and this one.",
    )
    names: tuple[Namespace, ...] = Field(
        (), max_length=256, description="The namespaces, with `from: Names`, as in [search, ads]."
    )
    per_namespace: NamespaceCeiling | None = Field(
        None, description="A ceiling for each foreign namespace."
    )

    @rule(
        "!has(self.names) || size(self.names) == 0 || self.from == 'Names'",
        "names goes with from: Names",
        ".names",
    )
    def _names_are_meant(self) -> FieldPath | None:
        return ("names",) if self.names and self.source != "Names" else None

    @rule(
        "self.from != 'Names' || (has(self.names) && size(self.names) > 0)",
        "from: Names must come with at least one namespace in names",
    )
    def _names_are_there(self) -> FieldPath | None:
        return () if self.source == "Names" and not self.names else None

    @rule(
        "!has(self.perNamespace) || self.from != 'Same'",
        "perNamespace goes with from: All or from: Names",
        ".perNamespace",
    )
    def _others_are_let_in(self) -> FieldPath | None:
        wrong = self.per_namespace is not None and self.source == "Same"
        return ("perNamespace",) if wrong else None


class Fallback(Fields):
    """A pool to try when this one can't answer."""

    model: FallbackModel = Field(description="Public name of the other pool, or model@namespace.")
    causes: tuple[
        Literal["Error", "RateLimited", "Timeout", "ContextWindow", "ContentPolicy"], ...
    ] = Field((), max_length=5, description="Why it is tried; every cause if left out.")


class PoolPolicy(Fields):
    """Policy of the pool: the deployments of this namespace with the same `spec.model`.

    Members need not repeat it; where they differ, the first by priority and name holds.
    """

    strategy: Literal["Weighted", "LeastBusy", "LowestLatency", "LowestCost"] | None = Field(
        None, description="How one of several deployments is chosen; Weighted if no member says."
    )
    fallbacks: tuple[Fallback, ...] | None = Field(
        None, max_length=16, description="Pools to try, in this order, when this one can't answer."
    )
    affinity: Literal["None", "EndUser", "ApiKey"] | None = Field(
        None,
        description="Keeps an end user or a key on one deployment, so that prompt caches stay "
        "warm.",
    )


class ModelDeploymentSpec(Fields):
    """What the deployment is. Deployments of one namespace that share `model` are a pool."""

    model: PublicModel | None = Field(
        None,
        description="Public name that clients send, as in openai/o1-pro; metadata.name if left "
        "out. A trailing `*` makes a prefix: an exact name wins, then the longest prefix.",
    )
    provider: Provider = Field(description="Which provider answers; exactly one of the members.")
    credentials: Credentials | None = Field(
        None,
        description="What is presented to the provider; its SDK's ambient credential if left out.",
    )
    weight: int = Field(
        1,
        ge=0,
        le=1_000_000,
        description="Share of the requests among the deployments of the same priority: 3 gets "
        "three times what 1 gets, 0 is asked only when the others fail.",
    )
    priority: int = Field(
        0,
        ge=-1000,
        le=1000,
        description="Which deployments of the pool are tried first: those with the lowest number.",
    )
    limits: Limits | None = Field(
        None, description="Limits of this deployment; a full one is skipped."
    )
    timeouts: Timeouts = Field(
        default_factory=lambda: Timeouts.model_validate({}),
        description="How long the parts of an upstream call may take.",
    )
    retry: Retry = Field(
        default_factory=lambda: Retry.model_validate({}),
        description="How often this deployment is tried for one request.",
    )
    cooldown: Cooldown = Field(
        default_factory=lambda: Cooldown.model_validate({}),
        description="When a failing deployment is left alone, and for how long.",
    )
    headers: Headers = Field(
        default_factory=dict,
        description="Extra request headers upstream, as in X-Team: search; no credentials, and "
        "none that the gateway sets itself.",
    )
    parameters: Parameters = Field(
        default_factory=lambda: Parameters.model_validate({}),
        description="Request parameters that are set for the client.",
    )
    model_info: ModelInfo = Field(
        default_factory=lambda: ModelInfo.model_validate({}),
        description="What the model can do, where the catalogue is wrong.",
    )
    unsupported_parameters: Literal["Reject", "Drop"] = Field(
        "Reject",
        description="A parameter that the provider does not know: Reject answers 400, "
        "Drop leaves it out and names it in x-sluicegate-dropped.",
    )
    unsupported_tools: Literal["Reject", "Drop"] = Field(
        "Drop",
        description="A tool that the provider does not know: Drop leaves it out and names it in "
        "x-sluicegate-dropped, Reject answers 400.",
    )
    pricing: Pricing | None = Field(
        None, description="Prices in place of the catalogue's, USD per million tokens."
    )
    allowed_namespaces: AllowedNamespaces = Field(
        default_factory=lambda: AllowedNamespaces.model_validate({}),
        description="Whose client keys may call this deployment.",
    )
    pool: PoolPolicy = Field(
        default_factory=lambda: PoolPolicy.model_validate({}),
        description="Policy of the pool that this deployment belongs to.",
    )
    suspended: bool = Field(
        default=False, description="Takes the deployment out of routing and keeps the object."
    )

    @rule(
        "![has(self.provider.openai) && self.provider.openai.model == '*', "
        "has(self.provider.anthropic) && self.provider.anthropic.model == '*', "
        "has(self.provider.gemini) && self.provider.gemini.model == '*', "
        "has(self.provider.vertexAI) && self.provider.vertexAI.model == '*', "
        "has(self.provider.bedrock) && self.provider.bedrock.model == '*'].exists(x, x) "
        "|| (has(self.model) && self.model.endsWith('*'))",
        "provider's model '*' goes with a spec.model that ends in '*', as in openai/*",
        ".model",
    )
    def _rest_of_a_prefix(self) -> FieldPath | None:
        upstream = self.provider.chosen()
        whole = not isinstance(upstream, Echo) and upstream.model == "*"
        return ("model",) if whole and not (self.model or "").endswith("*") else None


class ModelDeployment(Manifest):
    """A provider, a model there, a credential, and how requests reach it."""

    kind: Literal["ModelDeployment"] = Field(description="ModelDeployment.")
    spec: ModelDeploymentSpec = Field(description="What the deployment is.")

    @property
    def public_model(self) -> str:
        """The name that clients send."""
        return self.spec.model or self.metadata.name

    @rule(
        f"has(self.spec.model) || size(self.metadata.name) <= {_MAX_MODEL}",
        f"is needed, because metadata.name has more than {_MAX_MODEL} characters",
        ".spec.model",
    )
    def _name_for_clients(self) -> FieldPath | None:
        long = len(self.metadata.name) > _MAX_MODEL
        return ("spec", "model") if self.spec.model is None and long else None

    @rule(
        "!has(self.spec.pool) || !has(self.spec.pool.fallbacks) || "
        "!self.spec.pool.fallbacks.exists(fallback, fallback.model == "
        "(has(self.spec.model) ? self.spec.model : self.metadata.name))",
        "must not fall back to itself: name another pool",
        ".spec.pool.fallbacks",
    )
    def _no_fallback_to_itself(self) -> FieldPath | None:
        for index, fallback in enumerate(self.spec.pool.fallbacks or ()):
            if fallback.model == self.public_model:
                return ("spec", "pool", "fallbacks", index, "model")
        return None

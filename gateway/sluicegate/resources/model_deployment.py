"""ModelDeployment: a provider, a model there, a credential, and how requests reach it."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from sluicegate.resources.fields import (
    FallbackModel,
    Fields,
    Namespace,
    ObjectName,
    Price,
    PublicModel,
    ShortDelay,
    Timeout,
    exactly_one,
    refusal,
)
from sluicegate.resources.header_rules import header_problem
from sluicegate.resources.manifest import Manifest
from sluicegate.resources.policy import Budget, Count, Limits, SecretEntryRef
from sluicegate.resources.providers import Echo, Provider

# Parameters that decide what a request is; the client alone sets them.
RESERVED_PARAMETERS = frozenset(
    {"model", "stream", "input", "store", "background", "previous_response_id"}
)
_MAX_MODEL = 128


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

    @model_validator(mode="after")
    def _exactly_one(self) -> Credentials:
        exactly_one(
            self,
            "must have exactly one of apiKeyRef and secretRef "
            "(leave `credentials` out to use the provider's ambient credential)",
        )
        return self


class Timeouts(Fields):
    """How long the parts of an upstream call may take."""

    connect: Timeout = Field("5s", description="Until the connection, with TLS, is open.")
    first_byte: Timeout = Field("300s", description="From the request to the answer's first byte.")
    idle: Timeout = Field("120s", description="Between two pieces of the answer.")
    total: Timeout = Field("30m", description="For the whole call.")


class Retry(Fields):
    """How often this deployment is tried for one request."""

    attempts: int = Field(
        2, ge=1, le=10, description="Attempts at this deployment for one request; 1 means once."
    )
    backoff: ShortDelay = Field(
        "200ms",
        description="Time before the second attempt; it doubles, with jitter. Retry-After is "
        "honoured.",
    )


class Cooldown(Fields):
    """When a failing deployment is left alone, and for how long."""

    failures: int = Field(
        3, ge=1, le=1000, description="Failures in a row that take the deployment out."
    )
    duration: Timeout = Field("5s", description="How long it is out before it is tried again.")


class Parameters(Fields):
    """Request parameters that are set for the client, merged at the top level (RFC 7396)."""

    defaults: dict[str, Any] = Field(
        default_factory=dict, description="Used where the client does not set the parameter."
    )
    overrides: dict[str, Any] = Field(
        default_factory=dict, description="Used whatever the client sets; null removes a parameter."
    )

    @field_validator("defaults", "overrides")
    @classmethod
    def _not_reserved(cls, value: dict[str, Any]) -> dict[str, Any]:
        reserved = sorted(RESERVED_PARAMETERS & value.keys())
        if reserved:
            raise refusal(f"must not set {', '.join(reserved)}: only the client sets it")
        return value


class ModelInfo(Fields):
    """What the model can do, where the catalogue does not know it or is wrong."""

    context_window: Count | None = Field(None, description="Tokens of input and output together.")
    max_output_tokens: Count | None = Field(None, description="Tokens of output.")
    reasoning: Literal["None", "Effort", "Budget", "Adaptive"] | None = Field(
        None,
        description="How the model is told to reason: not at all, by effort, by a token budget, "
        "or by itself.",
    )


class Pricing(Fields):
    """Prices in USD per million tokens, as decimal strings.

    What is left out comes from the price catalogue.
    """

    input: Price | None = Field(None, description="Input tokens that were not cached.")
    cached_input: Price | None = Field(
        None, description="Input tokens read from a cache; the input price if left out."
    )
    cache_write: Price | None = Field(
        None, description="Input tokens written to a cache; the input price if left out."
    )
    output: Price | None = Field(None, description="Output tokens.")
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
        (), max_length=256, description="The namespaces, with `from: Names`."
    )
    per_namespace: NamespaceCeiling | None = Field(
        None, description="A ceiling for each foreign namespace."
    )

    @model_validator(mode="after")
    def _fits(self) -> AllowedNamespaces:
        if self.names and self.source != "Names":
            raise refusal("names goes with from: Names", ("names",))
        if self.source == "Names" and not self.names:
            raise refusal("from: Names must come with at least one namespace in names")
        if self.per_namespace is not None and self.source == "Same":
            raise refusal("perNamespace goes with from: All or from: Names", ("perNamespace",))
        return self


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
        description="Public name that clients send; metadata.name if left out. A trailing `*` "
        "makes a prefix.",
    )
    provider: Provider = Field(description="Which provider answers; exactly one of the members.")
    credentials: Credentials | None = Field(
        None,
        description="What is presented to the provider; its SDK's ambient credential if left out.",
    )
    weight: int = Field(
        1, ge=0, le=1_000_000, description="Share among the deployments of the same priority."
    )
    priority: int = Field(0, ge=-1000, le=1000, description="Lower ones are tried first.")
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
    headers: dict[str, str] = Field(
        default_factory=dict, description="Extra request headers upstream; no credentials."
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

    @field_validator("headers")
    @classmethod
    def _headers(cls, value: dict[str, str]) -> dict[str, str]:
        problem = header_problem(value)
        if problem is not None:
            raise refusal(problem)
        return value


class ModelDeployment(Manifest):
    """A provider, a model there, a credential, and how requests reach it."""

    kind: Literal["ModelDeployment"] = Field(description="ModelDeployment.")
    spec: ModelDeploymentSpec = Field(description="What the deployment is.")

    @property
    def public_model(self) -> str:
        """The name that clients send."""
        return self.spec.model or self.metadata.name

    @model_validator(mode="after")
    def _names(self) -> ModelDeployment:
        model = self.public_model
        if len(model.removesuffix("*")) > _MAX_MODEL:
            raise refusal(
                f"is needed, because metadata.name has more than {_MAX_MODEL} characters",
                ("spec", "model"),
            )
        upstream = self.spec.provider.chosen()
        if not isinstance(upstream, Echo) and upstream.model == "*" and not model.endswith("*"):
            raise refusal(
                "provider's model '*' goes with a spec.model that ends in '*', as in openai/*",
                ("spec", "model"),
            )
        own = {model, f"{model}@{self.metadata.namespace}"}
        for index, fallback in enumerate(self.spec.pool.fallbacks or ()):
            if fallback.model in own:
                raise refusal(
                    "must not fall back to itself: name another pool",
                    ("spec", "pool", "fallbacks", index, "model"),
                )
        return self

"""A ModelDeployment to its entry.

The spec translated, its reference followed, the tenant's limits applied.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec.structs import replace
from pydantic import ValidationError

from sluicegate.compile.credentials import Found, find_credential
from sluicegate.compile.findings import Finding
from sluicegate.compile.outcome import Outcome, View
from sluicegate.compile.policy import budget_of, limits_of
from sluicegate.compile.reach import refusals
from sluicegate.config import (
    AmbientCredential,
    AnthropicUpstream,
    BedrockUpstream,
    Cooldown,
    Deployment,
    EchoUpstream,
    Fallback,
    GeminiUpstream,
    ModelInfo,
    NamespaceCeiling,
    OpenAIUpstream,
    Parameters,
    PoolPolicy,
    Pricing,
    ReferencedCredential,
    Retry,
    SecretCredential,
    Sharing,
    Timeouts,
    UnresolvedCredential,
    Upstream,
    VertexAIUpstream,
)
from sluicegate.pricing import is_priced
from sluicegate.resources.durations import parse_duration
from sluicegate.resources.model_deployment import (
    AllowedNamespaces,
    Credentials,
    ModelDeployment,
)
from sluicegate.resources.model_deployment import Pricing as PricingSpec
from sluicegate.resources.objects import Resource
from sluicegate.resources.providers import Anthropic, Bedrock, Echo, Gemini, OpenAI, VertexAI
from sluicegate.resources.validation import Invalid, as_mapping, validate

_encoder = msgspec.json.Encoder(order="sorted")
_CREDENTIALS = ("spec", "credentials")


def judge_deployment(resource: Resource, view: View, previous: Deployment | None) -> Outcome:
    """The outcome of one ModelDeployment.

    `previous` is its entry in the last published configuration.
    """
    parsed = validate(resource)
    if isinstance(parsed, Invalid):
        findings = tuple(
            Finding("Accepted", "InvalidSpec", flaw.message, flaw.path) for flaw in parsed.flaws
        )
        sharing, suspended = _newest_grants(parsed.manifest, previous)
        return _last_good(view, previous, sharing, suspended, findings)
    if not isinstance(parsed, ModelDeployment):  # the reference says what it is
        return Outcome(None)
    asked = _entry(parsed)
    found = _found(view, asked, _source(parsed.spec.credentials))
    asked = replace(asked, credential=found.credential)
    refused = tuple(refusals(asked, view.settings))
    if refused:
        return _last_good(view, previous, asked.sharing, asked.suspended, refused)
    entry, unshared = _share(asked, view)
    return Outcome(entry, unshared + found.findings + _unpriced(entry, view), found.uses)


def _last_good(
    view: View,
    previous: Deployment | None,
    sharing: Sharing,
    suspended: bool,  # noqa: FBT001 -- a value of the spec, not a switch
    findings: tuple[Finding, ...],
) -> Outcome:
    """The previous entry under the newest grants, its credential looked up again.

    None if it may not be served.
    """
    if previous is None:
        return Outcome(None, findings)
    found = _found(view, previous, _source_of(previous))
    asked = replace(previous, sharing=sharing, suspended=suspended, credential=found.credential)
    if any(refusals(asked, view.settings)):
        return Outcome(None, findings)
    entry, unshared = _share(asked, view)
    findings += unshared + found.findings + _unpriced(entry, view)
    return Outcome(entry, findings, found.uses, kept=True)


def _newest_grants(
    manifest: Mapping[str, object], previous: Deployment | None
) -> tuple[Sharing, bool]:
    """`allowedNamespaces` and `suspended` of a spec that is otherwise invalid.

    An unreadable `allowedNamespaces` grants nothing; an unreadable `suspended` changes nothing.
    """
    fields = as_mapping(manifest.get("spec"))
    suspended = fields.get("suspended", False)
    if not isinstance(suspended, bool):
        suspended = previous is not None and previous.suspended
    asked = fields.get("allowedNamespaces")
    if asked is None:
        return Sharing(), suspended
    try:
        return _sharing(AllowedNamespaces.model_validate_json(_encoder.encode(asked))), suspended
    except ValidationError:
        return Sharing(), suspended


def _found(view: View, entry: Deployment, source: str | None) -> Found:
    if source is None:
        return Found(entry.credential)
    return find_credential(view, entry.namespace, source, entry.upstream, _CREDENTIALS)


def _source(credentials: Credentials | None) -> str | None:
    if credentials is None:
        return None
    if credentials.api_key_ref is not None:
        return f"ApiKey/{credentials.api_key_ref.name}"
    if credentials.secret_ref is not None:
        return f"Secret/{credentials.secret_ref.name}/{credentials.secret_ref.key}"
    return None


def _source_of(entry: Deployment) -> str | None:
    """Where the credential of a compiled entry came from."""
    match entry.credential:
        case ReferencedCredential(entry=key):
            return f"ApiKey/{key.rpartition('/')[2]}"
        case SecretCredential(source=source) | UnresolvedCredential(source=source):
            return source
        case _:
            return None


def _share(entry: Deployment, view: View) -> tuple[Deployment, tuple[Finding, ...]]:
    if entry.sharing.source == "Same" or view.settings.may_share(entry.namespace):
        return entry, ()
    finding = Finding(
        "Accepted",
        "SharingNotAllowed",
        f"deployments of namespace {entry.namespace!r} may not be shared with others: "
        "write from: Same, or have the namespace added to --sharing-namespace",
        ("spec", "allowedNamespaces", "from"),
    )
    return replace(entry, sharing=Sharing()), (finding,)


def _unpriced(entry: Deployment, view: View) -> tuple[Finding, ...]:
    """A warning where nobody would know what it costs."""
    if is_priced(entry, view.now):
        return ()
    message = (
        f"no price is known for {entry.upstream.model!r}: write spec.pricing, or no budget counts "
        "what it costs (unless its answers name a model that the catalogue knows)"
    )
    path = ("spec", "provider")
    return (Finding("PriceUnknown", "PriceUnknown", message, path, "warning"),)


def _entry(parsed: ModelDeployment) -> Deployment:
    spec = parsed.spec
    return Deployment(
        namespace=parsed.metadata.namespace,
        name=parsed.metadata.name,
        model=parsed.public_model,
        upstream=_upstream(spec.provider.chosen()),
        credential=AmbientCredential(),
        weight=spec.weight,
        priority=spec.priority,
        limits=limits_of(spec.limits),
        timeouts=Timeouts(
            connect=parse_duration(spec.timeouts.connect),
            first_byte=parse_duration(spec.timeouts.first_byte),
            idle=parse_duration(spec.timeouts.idle),
            total=parse_duration(spec.timeouts.total),
        ),
        retry=Retry(spec.retry.attempts, parse_duration(spec.retry.backoff)),
        cooldown=Cooldown(spec.cooldown.failures, parse_duration(spec.cooldown.duration)),
        headers=tuple(sorted((name.lower(), value) for name, value in spec.headers.items())),
        parameters=Parameters(_raw(spec.parameters.defaults), _raw(spec.parameters.overrides)),
        model_info=ModelInfo(
            spec.model_info.context_window,
            spec.model_info.max_output_tokens,
            spec.model_info.reasoning,
        ),
        unsupported_parameters=spec.unsupported_parameters,
        unsupported_tools=spec.unsupported_tools,
        pricing=_pricing(spec.pricing),
        sharing=_sharing(spec.allowed_namespaces),
        suspended=spec.suspended,
        policy=_policy(parsed),
    )


def _policy(parsed: ModelDeployment) -> PoolPolicy:
    pool = parsed.spec.pool
    fallbacks = None
    if pool.fallbacks is not None:
        fallbacks = tuple(
            Fallback(fallback.model, tuple(dict.fromkeys(fallback.causes)))
            for fallback in pool.fallbacks
        )
    return PoolPolicy(pool.strategy, fallbacks, pool.affinity)


def _upstream(provider: OpenAI | Anthropic | Gemini | VertexAI | Bedrock | Echo) -> Upstream:
    match provider:
        case OpenAI(model=model, auth=auth, organization=organization, project=project, api=api):
            upstream = OpenAIUpstream(
                model=model, auth=auth, organization=organization, project=project, api=api
            )
        case Anthropic(model=model, version=version, betas=betas):
            upstream = AnthropicUpstream(model=model, betas=tuple(betas))
            upstream = upstream if version is None else replace(upstream, version=version)
        case Gemini(model=model):
            upstream = GeminiUpstream(model=model)
        case VertexAI(model=model, project=project, location=location, publisher=publisher):
            upstream = VertexAIUpstream(
                model=model, project=project, location=location, publisher=publisher
            )
        case Bedrock(model=model, region=region):
            upstream = BedrockUpstream(model=model, region=region)
        case Echo(delay=delay, chunk_delay=chunk_delay, chunks=chunks, text=text):
            return EchoUpstream(
                delay=parse_duration(delay),
                chunk_delay=parse_duration(chunk_delay),
                chunks=chunks,
                text=text,
            )
    if provider.base_url is None:
        return upstream
    return replace(upstream, base_url=provider.base_url.rstrip("/"))


def _sharing(allowed: AllowedNamespaces) -> Sharing:
    ceiling = allowed.per_namespace
    return Sharing(
        source=allowed.source,
        names=tuple(sorted(set(allowed.names))),
        per_namespace=None
        if ceiling is None
        else NamespaceCeiling(limits_of(ceiling.limits), budget_of(ceiling.budget)),
    )


def _pricing(pricing: PricingSpec | None) -> Pricing | None:
    if pricing is None:
        return None
    return Pricing(
        input=pricing.input,
        cached_input=pricing.cached_input,
        cache_write=pricing.cache_write,
        output=pricing.output,
        reasoning=pricing.reasoning,
    )


def _raw(values: Mapping[str, Any]) -> dict[str, msgspec.Raw]:
    return {name: msgspec.Raw(_encoder.encode(value)) for name, value in sorted(values.items())}

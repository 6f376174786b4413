"""Secrets to credentials. Findings name the Secret and the entry, never a value."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from sluicegate.compile.findings import Finding
from sluicegate.compile.outcome import Offer, Use, View
from sluicegate.compile.reach import provider_name
from sluicegate.config import (
    AnthropicUpstream,
    AwsCredential,
    BedrockUpstream,
    Credential,
    CredentialEntry,
    EchoUpstream,
    GeminiUpstream,
    GoogleCredential,
    OpenAIUpstream,
    ReferencedCredential,
    ResolvedCredential,
    SecretCredential,
    UnresolvedCredential,
    Upstream,
    VertexAIUpstream,
)
from sluicegate.resources.documents import PLACEHOLDER
from sluicegate.resources.objects import ResourceRef, Secret, SecretRef
from sluicegate.resources.validation import as_mapping
from sluicegate.resources.yaml_documents import FieldPath

# Which credentials fit which provider (design section 4, `credentials`).
_FITS: dict[type[Upstream], tuple[Offer, ...]] = {
    OpenAIUpstream: ("key",),
    AnthropicUpstream: ("key",),
    GeminiUpstream: ("key",),
    VertexAIUpstream: ("google",),
    BedrockUpstream: ("aws", "key"),
    EchoUpstream: (),
}
_OFFERS: dict[Offer, str] = {
    "key": "a single key",
    "aws": "AWS credentials (an ApiKey with spec.upstream.aws)",
    "google": "a Google credential (an ApiKey with spec.upstream.google)",
}
_VISIBLE = re.compile(r"[!-~]+", re.ASCII)
_GOOGLE_TOKEN_HOSTS = re.compile(
    r"https://(oauth2\.googleapis\.com/token|accounts\.google\.com/o/oauth2/token"
    r"|www\.googleapis\.com/oauth2/v4/token)"
)

_EXTERNAL_ACCOUNT = (
    "AmbientNotAllowed",
    "an external_account credential, which reads files and URLs, wants --ambient-namespace",
)


_LABELLED = ' with the label sluicegate.dev/credential: "true"'


class Text(NamedTuple):
    """An entry of a Secret, or (with `value` None) why there is none."""

    value: str | None
    findings: tuple[Finding, ...] = ()


class Found(NamedTuple):
    """A credential for an entry, and what there is to say about it."""

    credential: Credential
    findings: tuple[Finding, ...] = ()
    uses: tuple[Use, ...] = ()


def _unresolved(
    reason: str, message: str, path: FieldPath, *, external: bool = False
) -> tuple[Finding, ...]:
    return (Finding("ResolvedRefs", reason, message, path, external=external),)


def find_secret(view: View, ref: SecretRef, path: FieldPath) -> Secret | tuple[Finding, ...]:
    """The Secret, if it is there and may be used."""
    secret = view.secrets.get(ref)
    if secret is None:
        # Only labelled ones are watched: one that is made without the label goes unnoticed.
        labelled = _LABELLED if view.settings.require_label else ""
        return _unresolved(
            "SecretNotFound",
            f"there is no Secret {ref.name!r}{labelled} in namespace {ref.namespace!r}",
            path,
            external=True,
        )
    if view.settings.require_label and not secret.labelled and secret.minted_for is None:
        return _unresolved(
            "SecretNotLabelled",
            f'Secret {ref.name!r} must have the label sluicegate.dev/credential: "true"',
            path,
        )
    return secret


def entry_text(secret: Secret, key: str, path: FieldPath) -> Text:
    """One entry's value.

    A single line break at its end, as `echo` leaves one, is cut off with a warning.
    """
    value = secret.values.get(key)
    place = f"entry {key!r} of Secret {secret.name!r}"
    if value is None:
        variable, why = secret.unset.get(key), secret.missing.get(key)
        if variable is not None:
            message = f"{place} wants the environment variable {variable}, which is not set"
        elif why is not None:
            message = f"{place} can't be read: it {why}"
        else:
            message = f"Secret {secret.name!r} has no entry {key!r}"
        return Text(
            None, _unresolved("SecretKeyMissing", message, path, external=variable is not None)
        )
    findings: tuple[Finding, ...] = ()
    if value.endswith("\n"):
        value = value.removesuffix("\n").removesuffix("\r")
        message = f"{place} ends in a line break, which is left out"
        findings = (Finding(None, "TrailingNewline", message, path, "warning"),)
    if not value:
        return Text(None, _unresolved("SecretKeyMissing", f"{place} is empty", path))
    if PLACEHOLDER.fullmatch(value) is not None:
        message = (
            f"{place} holds a variable's name in place of the key: in a folder of manifests write "
            "$(NAME) in stringData; in a cluster the Secret holds the key itself"
        )
        return Text(None, _unresolved("SecretKeyMissing", message, path))
    return Text(value, findings)


def _visible(text: Text, place: str, path: FieldPath) -> Text:
    """A value that goes into a header: visible ASCII only."""
    if text.value is None or _VISIBLE.fullmatch(text.value) is not None:
        return text
    message = f"{place} must be one line of printable ASCII without white space"
    return Text(None, _unresolved("SecretKeyMissing", message, path))


def single_key(view: View, ref: SecretRef, key: str, path: FieldPath) -> Text:
    """A provider's key in a Secret."""
    secret = find_secret(view, ref, path)
    if isinstance(secret, tuple):
        return Text(None, secret)
    place = f"entry {key!r} of Secret {ref.name!r}"
    return _visible(entry_text(secret, key, path), place, path)


def aws_keys(view: View, ref: SecretRef, path: FieldPath) -> tuple[dict[str, str], list[Finding]]:
    """The entries of an AWS Secret, by their names; both of the first two are needed."""
    secret = find_secret(view, ref, path)
    if isinstance(secret, tuple):
        return {}, list(secret)
    values: dict[str, str] = {}
    findings: list[Finding] = []
    for key in ("aws_access_key_id", "aws_secret_access_key", "aws_session_token"):
        optional = key == "aws_session_token"
        if optional and key not in secret.values and key not in secret.unset:
            continue
        text = _visible(
            entry_text(secret, key, path), f"entry {key!r} of Secret {ref.name!r}", path
        )
        findings.extend(text.findings)
        if text.value is not None:
            values[key] = text.value
    return values, findings


def google_problem(view: View, namespace: str, text: str) -> tuple[str, str] | None:
    """(reason, message) where a credential file can't be used; the message holds nothing of it."""
    try:
        content = as_mapping(msgspec.json.decode(text))
    except (msgspec.MsgspecError, RecursionError, ValueError):
        content = as_mapping(None)
    if not content:
        return "CredentialKindMismatch", "the entry must be the JSON of a Google credential file"
    if not view.settings.restrict_credentials:
        return None
    kind = content.get("type")
    if kind == "external_account" and view.settings.may_use_ambient(namespace):
        return None
    return _EXTERNAL_ACCOUNT if kind == "external_account" else _tenant_problem(content)


def _tenant_problem(content: Mapping[str, object]) -> tuple[str, str] | None:
    if content.get("type") != "service_account":
        return "CredentialKindMismatch", "the credential file must be a service_account"
    token_uri, universe = content.get("token_uri"), content.get("universe_domain")
    if not isinstance(token_uri, str) or _GOOGLE_TOKEN_HOSTS.fullmatch(token_uri) is None:
        return "AddressNotAllowed", "the credential file's token_uri must be Google's own"
    if universe is not None and universe != "googleapis.com":
        return "AddressNotAllowed", "the credential file's universe_domain must be googleapis.com"
    return None


def find_credential(
    view: View, namespace: str, source: str, upstream: Upstream, path: FieldPath
) -> Found:
    """What a deployment's reference leads to.

    `source` is `ApiKey/<name>` or `Secret/<name>/<entry>`.
    """
    kind, name, *rest = source.split("/")
    if kind == "ApiKey":
        return _through_key(view, ResourceRef("ApiKey", namespace, name), source, upstream, path)
    ref = SecretRef(namespace, name)
    mismatch = _mismatch("key", upstream, path)
    if mismatch:
        return Found(UnresolvedCredential("CredentialKindMismatch", source), mismatch, (ref,))
    text = single_key(view, ref, rest[0] if rest else "", path)
    if text.value is None:
        return Found(UnresolvedCredential(text.findings[0].reason, source), text.findings, (ref,))
    return Found(SecretCredential(text.value, source), text.findings, (ref,))


def _through_key(
    view: View, ref: ResourceRef, source: str, upstream: Upstream, path: FieldPath
) -> Found:
    outcome = view.keys.get(ref)
    if outcome is None:
        findings = _unresolved(
            "ApiKeyNotFound",
            f"there is no ApiKey {ref.name!r} in namespace {ref.namespace!r}",
            path,
        )
    elif outcome.offers is None:
        findings = _unresolved(
            "CredentialKindMismatch",
            f"ApiKey {ref.name!r} has no valid spec.upstream, so it is no credential for a "
            "provider",
            path,
        )
    else:
        findings = _mismatch(outcome.offers, upstream, path)
    if outcome is None or findings:
        return Found(UnresolvedCredential(findings[0].reason, source), findings, (ref,))
    entry = outcome.entry
    assert isinstance(entry, CredentialEntry)  # noqa: S101 -- what offers says
    if isinstance(entry.credential, UnresolvedCredential):
        message = f"ApiKey {ref.name!r} is not resolved ({entry.credential.reason})"
        external = all(finding.external for finding in outcome.findings)
        findings = _unresolved(
            _reference_reason(entry.credential), message, path, external=external
        )
    return Found(ReferencedCredential(entry.id), findings, (ref,))


def _reference_reason(credential: UnresolvedCredential) -> str:
    """What is wrong with the ApiKey, in words of ResolvedRefs; one that is refused is no use."""
    refused = credential.reason in {"AmbientNotAllowed", "AddressNotAllowed"}
    return "CredentialKindMismatch" if refused else credential.reason


def _mismatch(offer: Offer, upstream: Upstream, path: FieldPath) -> tuple[Finding, ...]:
    fits = _FITS[type(upstream)]
    if offer in fits:
        return ()
    wanted = " or ".join(_OFFERS[each] for each in fits) or "no credentials: leave them out"
    return _unresolved(
        "CredentialKindMismatch",
        f"{provider_name(upstream)} takes {wanted}, and this is {_OFFERS[offer]}",
        path,
    )


def look_again(
    view: View,
    namespace: str,
    credential: ResolvedCredential | UnresolvedCredential,
    offer: Offer | None,
) -> tuple[ResolvedCredential | UnresolvedCredential, tuple[Use, ...]]:
    """A last good ApiKey's credential, with the Secret as it is now: what is gone is gone.

    `offer` is what the newest spec is about, for a credential that was not resolved.
    """
    if credential.source is None:
        by_itself = isinstance(credential, AwsCredential) and credential.access_key_id is None
        if by_itself and not view.settings.may_use_ambient(namespace):
            return UnresolvedCredential("AmbientNotAllowed"), ()
        return credential, ()
    ref = SecretRef(namespace, credential.source.split("/")[1])
    if isinstance(credential, AwsCredential):
        return _aws_again(view, ref, credential), (ref,)
    if isinstance(credential, UnresolvedCredential) and offer not in {"key", "google"}:
        return credential, (ref,)
    google = isinstance(credential, GoogleCredential) or offer == "google"
    return _text_again(view, ref, credential.source, google=google), (ref,)


def _aws_again(
    view: View, ref: SecretRef, credential: AwsCredential
) -> AwsCredential | UnresolvedCredential:
    values, findings = aws_keys(view, ref, ())
    broken = [finding for finding in findings if finding.condition is not None]
    if broken:
        return UnresolvedCredential(broken[0].reason, credential.source)
    return msgspec.structs.replace(
        credential,
        access_key_id=values["aws_access_key_id"],
        secret_access_key=values["aws_secret_access_key"],
        session_token=values.get("aws_session_token"),
    )


def _text_again(
    view: View, ref: SecretRef, source: str, *, google: bool
) -> ResolvedCredential | UnresolvedCredential:
    key = source.rpartition("/")[2]
    if not google:
        text = single_key(view, ref, key, ())
    else:
        secret = find_secret(view, ref, ())
        text = Text(None, secret) if isinstance(secret, tuple) else entry_text(secret, key, ())
    if text.value is None:
        return UnresolvedCredential(text.findings[0].reason, source)
    if not google:
        return SecretCredential(text.value, source)
    problem = google_problem(view, ref.namespace, text.value)
    if problem is not None:
        return UnresolvedCredential(problem[0], source)
    return GoogleCredential(text.value, source)

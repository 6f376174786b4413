"""An ApiKey to its entry: a provider's credential, or a client key's digests.

What grants access fails closed.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import NamedTuple

from msgspec.structs import replace

from sluicegate.compile.credentials import (
    aws_keys,
    entry_text,
    find_secret,
    google_problem,
    look_again,
    single_key,
)
from sluicegate.compile.findings import EXPIRY_WARNING, Finding
from sluicegate.compile.outcome import Offer, Outcome, Use, View
from sluicegate.compile.policy import budget_of, limits_of
from sluicegate.config import (
    AwsCredential,
    ClientKey,
    CredentialEntry,
    EndUserPolicy,
    GoogleCredential,
    KeyDigest,
    ResolvedCredential,
    SecretCredential,
    UnresolvedCredential,
)
from sluicegate.resources.api_key import ApiKey, AwsCredentials, EndUsers, GoogleCredentials
from sluicegate.resources.api_key import ClientKey as ClientSpec
from sluicegate.resources.api_key import UpstreamKey as UpstreamSpec
from sluicegate.resources.objects import Resource, ResourceRef, Secret, SecretRef
from sluicegate.resources.timestamps import TimestampError, parse_timestamp
from sluicegate.resources.validation import Invalid, as_mapping, validate

_UPSTREAM = ("spec", "upstream")
_CLIENT = ("spec", "client")
# 16 to 512 printable ASCII characters; no white space at the ends, where a header would lose it.
_KEY = re.compile(r"[!-~][ -~]{14,510}[!-~]", re.ASCII)
_MINTED = re.compile(r"sk-sg-([0-9A-Za-z]{8})-[0-9A-Za-z]{43}-[0-9A-Za-z]{6}", re.ASCII)


class _Digests(NamedTuple):
    digests: tuple[KeyDigest, ...]
    findings: tuple[Finding, ...] = ()
    uses: tuple[Use, ...] = ()
    mint: str | None = None


def judge_key(
    resource: Resource, view: View, previous: ClientKey | CredentialEntry | None
) -> Outcome:
    """The outcome of one ApiKey. `previous` is its entry in the last published configuration."""
    parsed = validate(resource)
    if isinstance(parsed, Invalid):
        findings = tuple(
            Finding("Accepted", "InvalidSpec", flaw.message, flaw.path) for flaw in parsed.flaws
        )
        return _invalid(parsed.manifest, view, previous, findings)
    if not isinstance(parsed, ApiKey):  # the reference says what it is
        return Outcome(None)
    if parsed.spec.upstream is not None:
        return _upstream(resource.ref, parsed.spec.upstream, view)
    if parsed.spec.client is not None:
        known = previous if isinstance(previous, ClientKey) else None
        return _client(resource.ref, parsed.spec.client, view, known)
    return Outcome(None)


def _invalid(
    manifest: Mapping[str, object],
    view: View,
    previous: ClientKey | CredentialEntry | None,
    findings: tuple[Finding, ...],
) -> Outcome:
    """An upstream key keeps its last good entry, as the Secret is now. A client key is out.

    Only where the newest spec still says that the key is revoked, or has expired, is its digest
    kept: a known key is refused by name, an unknown one may be served where anonymous callers are.
    """
    parts = as_mapping(manifest.get("spec"))
    if isinstance(previous, CredentialEntry) and "upstream" in parts and "client" not in parts:
        offer = _offer_of(previous.credential, as_mapping(parts["upstream"]))
        credential, uses = look_again(view, previous.namespace, previous.credential, offer)
        entry = replace(previous, credential=credential)
        return Outcome(entry, findings, uses, offer, kept=True)
    newest = as_mapping(parts.get("client"))
    if not isinstance(previous, ClientKey):
        return Outcome(None, findings)
    expires_at = _timestamp(newest.get("expiresAt"))
    expired = expires_at is not None and expires_at <= view.now
    if newest.get("revoked") is not True and not expired:
        return Outcome(None, findings)
    entry = replace(previous, revoked=newest.get("revoked") is True, expires_at=expires_at)
    return Outcome(entry, findings, kept=True)


def _timestamp(value: object) -> int | None:
    try:
        return parse_timestamp(value) if isinstance(value, str) else None
    except TimestampError:
        return None


def _offer_of(
    credential: ResolvedCredential | UnresolvedCredential, newest: Mapping[str, object]
) -> Offer | None:
    """What a last good credential is; where it is not resolved, what the newest spec is about."""
    match credential:
        case SecretCredential():
            return "key"
        case AwsCredential():
            return "aws"
        case GoogleCredential():
            return "google"
        case UnresolvedCredential():
            kinds: tuple[tuple[str, Offer], ...] = (
                ("secretRef", "key"),
                ("aws", "aws"),
                ("google", "google"),
            )
            return next((offer for name, offer in kinds if name in newest), None)


# --- what a deployment presents to a provider -----------------------------------------------------


def _upstream(ref: ResourceRef, spec: UpstreamSpec, view: View) -> Outcome:
    if spec.aws is not None:
        return _aws(ref, spec.aws, view)
    if spec.google is not None:
        return _google(ref, spec.google, view)
    if spec.secret_ref is None:
        return Outcome(None)
    secret = SecretRef(ref.namespace, spec.secret_ref.name)
    source = f"Secret/{secret.name}/{spec.secret_ref.key}"
    text = single_key(view, secret, spec.secret_ref.key, (*_UPSTREAM, "secretRef"))
    if text.value is None:
        return _credential(ref, _failed(text.findings, source), text.findings, (secret,), "key")
    return _credential(ref, SecretCredential(text.value, source), text.findings, (secret,), "key")


def _credential(
    ref: ResourceRef,
    credential: ResolvedCredential | UnresolvedCredential,
    findings: tuple[Finding, ...],
    uses: tuple[Use, ...],
    offers: Offer,
) -> Outcome:
    return Outcome(CredentialEntry(ref.namespace, ref.name, credential), findings, uses, offers)


def _failed(findings: tuple[Finding, ...], source: str | None) -> UnresolvedCredential:
    return UnresolvedCredential(findings[0].reason, source)


def _aws(ref: ResourceRef, spec: AwsCredentials, view: View) -> Outcome:
    external_id = f"{ref.namespace}/{ref.name}" if spec.role_arn is not None else None
    role = AwsCredential(
        role_arn=spec.role_arn, session_name=spec.session_name, external_id=external_id
    )
    if spec.secret_ref is None:
        if view.settings.may_use_ambient(ref.namespace):
            return _credential(ref, role, (), (), "aws")
        finding = Finding(
            "Accepted",
            "AmbientNotAllowed",
            "a role without secretRef is assumed with the gateway's own identity, which does not "
            f"serve namespace {ref.namespace!r}: add secretRef, or have the namespace added to "
            "--ambient-namespace",
            (*_UPSTREAM, "aws"),
        )
        return _credential(ref, _failed((finding,), None), (finding,), (), "aws")
    secret = SecretRef(ref.namespace, spec.secret_ref.name)
    source = f"Secret/{secret.name}"
    values, found = aws_keys(view, secret, (*_UPSTREAM, "aws", "secretRef"))
    findings = tuple(found)
    broken = tuple(finding for finding in findings if finding.condition is not None)
    if broken:
        return _credential(ref, _failed(broken, source), findings, (secret,), "aws")
    credential = replace(
        role,
        access_key_id=values["aws_access_key_id"],
        secret_access_key=values["aws_secret_access_key"],
        session_token=values.get("aws_session_token"),
        source=source,
    )
    return _credential(ref, credential, findings, (secret,), "aws")


def _google(ref: ResourceRef, spec: GoogleCredentials, view: View) -> Outcome:
    secret_ref = SecretRef(ref.namespace, spec.secret_ref.name)
    source = f"Secret/{secret_ref.name}/{spec.secret_ref.key}"
    path = (*_UPSTREAM, "google", "secretRef")
    secret = find_secret(view, secret_ref, path)
    if isinstance(secret, tuple):
        return _credential(ref, _failed(secret, source), secret, (secret_ref,), "google")
    text = entry_text(secret, spec.secret_ref.key, path)
    if text.value is None:
        failed = _failed(text.findings, source)
        return _credential(ref, failed, text.findings, (secret_ref,), "google")
    # A file ends in a line break; JSON does not mind.
    problem = google_problem(view, ref.namespace, text.value)
    if problem is None:
        credential = GoogleCredential(text.value, source)
        return _credential(ref, credential, (), (secret_ref,), "google")
    reason, message = problem
    accepted = reason in {"AmbientNotAllowed", "AddressNotAllowed"}
    finding = Finding("Accepted" if accepted else "ResolvedRefs", reason, message, path)
    return _credential(ref, _failed((finding,), source), (finding,), (secret_ref,), "google")


# --- what a caller presents to the gateway --------------------------------------------------------


def _client(ref: ResourceRef, spec: ClientSpec, view: View, previous: ClientKey | None) -> Outcome:
    found = _digests(ref, spec, view)
    expires_at = parse_timestamp(spec.expires_at) if spec.expires_at is not None else None
    expired = expires_at is not None and expires_at <= view.now
    digests = found.digests
    if not digests and previous is not None and (spec.revoked or expired):
        digests = previous.digests  # still refused by name, see _invalid
    entry = ClientKey(
        namespace=ref.namespace,
        name=ref.name,
        digests=digests,
        models=tuple(dict.fromkeys(spec.models)),
        expires_at=expires_at,
        revoked=spec.revoked,
        limits=limits_of(spec.limits),
        budget=budget_of(spec.budget),
        end_users=_end_users(spec.end_users),
        tags=dict(sorted(spec.tags.items())),
    )
    expiry = () if spec.revoked else _expiry(expires_at, view.now)
    rotates_at = _rotates_at(spec, view.now)
    return Outcome(
        entry if digests else None,
        found.findings + expiry + _rotation(rotates_at),
        found.uses,
        due=_due(expires_at, rotates_at, digests, view.now),
        mint=found.mint,
    )


def _end_users(spec: EndUsers | None) -> EndUserPolicy | None:
    if spec is None:
        return None
    return EndUserPolicy(limits_of(spec.limits), budget_of(spec.budget), spec.required)


def _expiry(expires_at: int | None, now: float) -> tuple[Finding, ...]:
    path = (*_CLIENT, "expiresAt")
    if expires_at is None or now < expires_at - EXPIRY_WARNING:
        return ()
    if now >= expires_at:
        return (Finding(None, "Expired", "the key has expired", path, "warning"),)
    message = "the key expires within 7 days: rotate it, or write a later expiresAt"
    return (Finding("ExpiringSoon", "ExpiringSoon", message, path, "warning"),)


def _rotates_at(spec: ClientSpec, now: float) -> int | None:
    """When a rotation that was asked for is to come."""
    if spec.generate is None or spec.rotation is None:
        return None
    requested_at = parse_timestamp(spec.rotation.requested_at)
    return requested_at if requested_at > now else None


def _rotation(rotates_at: int | None) -> tuple[Finding, ...]:
    if rotates_at is None:
        return ()
    path = (*_CLIENT, "rotation", "requestedAt")
    message = "the time is still to come: the key is rotated then"
    return (Finding(None, "RotationToCome", message, path, "warning"),)


def _due(
    expires_at: int | None, rotates_at: int | None, digests: tuple[KeyDigest, ...], now: float
) -> int | None:
    times = [digest.not_after for digest in digests if digest.not_after is not None]
    if rotates_at is not None:
        times.append(rotates_at)
    if expires_at is not None:
        times += [expires_at, expires_at - EXPIRY_WARNING]
    return min((time for time in times if time > now), default=None)


def _digests(ref: ResourceRef, spec: ClientSpec, view: View) -> _Digests:
    if spec.key_hash is not None:
        digest = spec.key_hash.removeprefix("sha256:")
        return _Digests((KeyDigest(digest, digest[:8]),))
    if spec.generate is not None:
        return _generated(ref, spec.generate.secret_name, view)
    if spec.secret_ref is None:
        return _Digests(())
    secret_ref = SecretRef(ref.namespace, spec.secret_ref.name)
    secret = find_secret(view, secret_ref, (*_CLIENT, "secretRef"))
    if isinstance(secret, tuple):
        return _Digests((), secret, (secret_ref,))
    digest, findings = _digest(secret, spec.secret_ref.key, (*_CLIENT, "secretRef"))
    return _Digests(() if digest is None else (digest,), findings, (secret_ref,))


def _generated(ref: ResourceRef, name: str, view: View) -> _Digests:
    path = (*_CLIENT, "generate")
    uses = (SecretRef(ref.namespace, name),)
    secret = view.secrets.get(uses[0])
    if secret is None:
        message = f"the key is not yet minted into Secret {name!r}"
        finding = Finding("ResolvedRefs", "SecretNotFound", message, path, external=True)
        return _Digests((), (finding,), uses, mint=name)
    if secret.minted_for != ref.name:
        message = (
            f"Secret {name!r} exists already and is never adopted: write another secretName, "
            "or use secretRef to take the key that is in it"
        )
        return _Digests((), (Finding("ResolvedRefs", "SecretExists", message, path),), uses)
    digest, findings = _digest(secret, "key", path)
    if digest is None:
        return _Digests((), findings, uses)
    older = _previous_digest(secret, view.now)
    if older is None or older.digest == digest.digest:
        return _Digests((digest,), findings, uses)
    return _Digests((digest, older), findings, uses)


def _previous_digest(secret: Secret, now: float) -> KeyDigest | None:
    """The key before a rotation, until its overlap ends."""
    not_after = _timestamp(secret.values.get("previousNotAfter"))
    if "previousKey" not in secret.values or not_after is None or not_after <= now:
        return None
    digest, _ = _digest(secret, "previousKey", ())
    return None if digest is None else replace(digest, not_after=not_after)


def _digest(
    secret: Secret, key: str, path: tuple[str, ...]
) -> tuple[KeyDigest | None, tuple[Finding, ...]]:
    text = entry_text(secret, key, path)
    if text.value is None:
        return None, text.findings
    if _KEY.fullmatch(text.value) is None:
        message = (
            f"entry {key!r} of Secret {secret.name!r} must hold a key of 16 to 512 printable "
            "ASCII characters without white space at its ends"
        )
        return None, (Finding("ResolvedRefs", "SecretKeyMissing", message, path),)
    digest = hashlib.sha256(text.value.encode()).hexdigest()
    minted = _MINTED.fullmatch(text.value)
    return KeyDigest(digest, minted.group(1) if minted else digest[:8]), text.findings

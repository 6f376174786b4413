"""Manifests as a gateway would have them, though their Secrets are elsewhere.

A credential that can't be looked up here is taken for granted, and remembered as not checked.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from time import monotonic
from types import MappingProxyType

import msgspec
from msgspec.structs import replace

from sluicegate.auth.authenticate import Caller, KeyIndex, authenticate
from sluicegate.auth.keys import digest, mint
from sluicegate.cli.gateway_health import GatewayHealth
from sluicegate.cli.rehearsal import Pretender
from sluicegate.compile import Compilation
from sluicegate.compile.compilation import entry_id
from sluicegate.compile.findings import Finding
from sluicegate.compile.keys import judge_key
from sluicegate.compile.outcome import View
from sluicegate.config import (
    AmbientCredential,
    ClientKey,
    Config,
    Credential,
    Deployment,
    Entry,
    KeyDigest,
    SecretCredential,
)
from sluicegate.providers import PROVIDERS
from sluicegate.providers.contract import Connector
from sluicegate.resources import ResourceRef
from sluicegate.resources.objects import Resource
from sluicegate.resources.validation import as_mapping
from sluicegate.routing.attempts import Cause
from sluicegate.routing.snapshot import Snapshot, Unavailable, build_steps

_NOTHING: Mapping[str, str] = MappingProxyType({})
_NOT_KNOWN = SecretCredential("not-known-here")  # every provider takes a single key
_SHARING = ("spec", "allowedNamespaces")
_CREDENTIALS = ("spec", "credentials")
_ELSEWHERE = "its Secret is not among the manifests"
_UNSET = "its Secret wants an environment variable that is not set here"
_AMBIENT = "it is the gateway's own"


class NoSuchKey(Exception):
    """A key that can't be asked for. The message says why."""


class Imagined:
    """A compilation's configuration. `gateway` is what a running one says of its deployments."""

    def __init__(self, compilation: Compilation, gateway: GatewayHealth | None) -> None:
        self.compilation = compilation
        self.gateway = gateway
        self.unchecked: dict[str, str] = {}  # why, by namespace/name
        entries: dict[str, Entry] = {}
        for id_, entry in compilation.config.entries.items():
            entries[id_] = entry
            if isinstance(entry, Deployment) and (why := self._lacking(entry)) is not None:
                self.unchecked[label_of(entry)] = why
                entries[id_] = replace(entry, credential=_NOT_KNOWN)
        self._config = Config(entries, compilation.config.revisions)
        self._connectors: dict[str, Connector] = {}

    def snapshot(self, cause: Cause | None = None) -> Snapshot[Connector]:
        """A fresh one, as healthy as the gateway says; its attempts all fail for `cause`."""

        def connect(deployment: Deployment, credential: Credential) -> Connector:
            return Pretender(self._connector(deployment, credential), cause)

        steps = build_steps(self._config, "0" * 12, 0, connect)
        while True:
            try:
                next(steps)
            except StopIteration as end:
                return self._with_health(end.value)

    def _with_health(self, snapshot: Snapshot[Connector]) -> Snapshot[Connector]:
        if self.gateway is not None:
            now = monotonic()
            for target in snapshot.targets.values():
                health = self.gateway.deployments.get(target.label)
                if health is not None:
                    health.put_into(target.state, now)
        return snapshot

    def _connector(self, deployment: Deployment, credential: Credential) -> Connector:
        """Raises Unavailable."""
        label = label_of(deployment)
        if self.gateway is not None:
            reason = self.gateway.unavailable.get(label)
            if reason is not None:
                raise Unavailable(reason.removeprefix(label).lstrip(": "))
            if label in self.gateway.deployments:
                self.unchecked.pop(label, None)
        known = self._connectors.get(deployment.id)
        if known is not None:
            return known
        provider = PROVIDERS[type(deployment.upstream)]
        try:
            connector = provider.connector(deployment, credential, _NOTHING)
        except Unavailable:
            if not isinstance(credential, AmbientCredential):
                raise
            connector = provider.connector(deployment, _NOT_KNOWN, _NOTHING)
            if self.gateway is None or label not in self.gateway.deployments:
                self.unchecked[label] = _AMBIENT
        self._connectors[deployment.id] = connector
        return connector

    def _lacking(self, deployment: Deployment) -> str | None:
        """What its credential lacks, where that is nothing but what can't be known here."""
        ref = ResourceRef("ModelDeployment", deployment.namespace, deployment.name)
        lacking = [
            finding
            for finding in self.compilation.findings.get(ref, ())
            if finding.condition == "ResolvedRefs" and finding.path[:2] == _CREDENTIALS
        ]
        if not lacking or not all(finding.external for finding in lacking):
            return None
        return _ELSEWHERE if lacking[0].reason == "SecretNotFound" else _UNSET

    def refused(self, model: str, namespace: str | None = None) -> Iterator[tuple[str, str]]:
        """Deployments of a model that are not served at all: namespace/name, and why."""
        for ref in sorted(self.compilation.findings):
            finding = _refusal(self.compilation.findings[ref])
            if (
                ref.kind != "ModelDeployment"
                or finding is None
                or namespace not in {None, ref.namespace}
                or entry_id(ref) in self.compilation.config.entries
            ):
                continue
            said = _spec(self.compilation.inputs.resources.get(ref)).get("model", ref.name)
            if said == model:
                place = ".".join(map(str, finding.path))
                yield f"{ref.namespace}/{ref.name}", f"{finding.reason}: {place} {finding.message}"

    def not_shared(self, namespace: str, name: str) -> Iterator[str]:
        """Why a deployment's `allowedNamespaces` do not count, where they do not."""
        for finding in self.compilation.findings.get(
            ResourceRef("ModelDeployment", namespace, name), ()
        ):
            if finding.path[:2] == _SHARING:
                yield f"{namespace}/{name}: {finding.message}."

    # --- who asks -------------------------------------------------------------------------------

    def caller(self, ref: ResourceRef, now: float) -> Caller:
        """The caller that the gateway finds behind an ApiKey at the Unix time `now`.

        Raises NoSuchKey; ApiError (401) where the key is revoked or has expired.
        """
        entry = self._client_key(ref)
        text = mint()  # nobody has the real one
        held = KeyDigest(digest(text).hex(), f"{ref.namespace}/{ref.name}")
        known = replace(entry, digests=(held,))
        return authenticate(KeyIndex((known,)), text, now=now)

    def _client_key(self, ref: ResourceRef) -> ClientKey:
        """As compiled; where its Secret is not there, as its manifest says. Raises NoSuchKey."""
        entry = self._config.entries.get(entry_id(ref))
        if isinstance(entry, ClientKey):
            return entry
        resource = self.compilation.inputs.resources.get(ref)
        if resource is None:
            raise NoSuchKey(f"there is no {ref} among the manifests")
        finding = _refusal(self.compilation.findings.get(ref, ()))
        if finding is not None:
            raise NoSuchKey(f"{ref} is not accepted: {finding.message}")
        if "client" not in _spec(resource):
            raise NoSuchKey(f"{ref} has no spec.client: it is a credential for a provider")
        view = View(self.compilation.settings, {}, {}, self.compilation.now)
        judged = judge_key(replace(resource, manifest=_hashed(resource)), view, None)
        if not isinstance(judged.entry, ClientKey):
            raise NoSuchKey(f"{ref} is no client key")
        return judged.entry


def label_of(deployment: Deployment) -> str:
    """namespace/name."""
    return f"{deployment.namespace}/{deployment.name}"


def _hashed(resource: Resource) -> bytes:
    """A client key's manifest with a hash in place of the reference to its Secret."""
    manifest = dict(as_mapping(msgspec.json.decode(resource.manifest)))
    spec = dict(as_mapping(manifest["spec"]))
    client = dict(as_mapping(spec["client"]))
    client.pop("generate", None)
    client.pop("secretRef", None)
    client["keyHash"] = "sha256:" + "0" * 64
    return msgspec.json.encode({**manifest, "spec": {**spec, "client": client}})


def _spec(resource: Resource | None) -> Mapping[str, object]:
    if resource is None:
        return {}
    try:
        manifest = msgspec.json.decode(resource.manifest)
    except RecursionError:  # which the compilation has refused
        return {}
    return as_mapping(as_mapping(manifest).get("spec"))


def _refusal(findings: tuple[Finding, ...]) -> Finding | None:
    return next(
        (each for each in findings if each.condition == "Accepted" and each.severity == "error"),
        None,
    )

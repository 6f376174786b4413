"""Where a deployment may go and with what.

Judged on the compiled entry, so that a last good one is judged too.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator

from sluicegate.compile.findings import Finding
from sluicegate.compile.settings import Settings
from sluicegate.config import (
    AmbientCredential,
    AnthropicUpstream,
    BedrockUpstream,
    Deployment,
    EchoUpstream,
    GeminiUpstream,
    OpenAIUpstream,
    Upstream,
    VertexAIUpstream,
)
from sluicegate.resources.addresses import AddressError, check_base_url

# The hosts to which a provider's own SDK sends its ambient credential.
_OWN_HOSTS: dict[type[Upstream], re.Pattern[str]] = {
    OpenAIUpstream: re.compile(r"([a-z]{2}\.)?api\.openai\.com"),
    AnthropicUpstream: re.compile(r"api\.anthropic\.com"),
    GeminiUpstream: re.compile(r"generativelanguage\.googleapis\.com"),
    VertexAIUpstream: re.compile(r"([a-z0-9-]+-)?aiplatform(\.[a-z]+\.rep)?\.googleapis\.com"),
    BedrockUpstream: re.compile(
        r"bedrock-runtime(-fips)?\.[a-z0-9-]+\.amazonaws\.com(\.cn)?", re.ASCII
    ),
}
_PRIVATE_SUFFIXES = (".svc", ".local", ".localhost", ".internal", ".cluster", ".lan", ".home.arpa")
# Carrier-grade NAT (RFC 6598) is neither private nor global to Python, but is inside some clusters.
_SHARED_SPACE = ipaddress.IPv4Network("100.64.0.0/10")


def refusals(entry: Deployment, settings: Settings) -> Iterator[Finding]:
    """Why this entry may not be served at all; nothing where it may."""
    base_url = base_url_of(entry.upstream)
    path = ("spec", "provider", provider_name(entry.upstream), "baseURL")
    if settings.restrict_addresses and base_url is not None:
        problem = _address_problem(base_url, entry.namespace, settings)
        if problem is not None:
            yield Finding("Accepted", "AddressNotAllowed", problem, path)
    if isinstance(entry.upstream, EchoUpstream) or not isinstance(
        entry.credential, AmbientCredential
    ):
        return
    if not settings.may_use_ambient(entry.namespace):
        yield Finding(
            "Accepted",
            "AmbientNotAllowed",
            f"the gateway's ambient credential does not serve namespace {entry.namespace!r}: "
            "write spec.credentials, or have the namespace added to --ambient-namespace",
            ("spec",),
        )
    elif settings.restrict_credentials and not _is_own(entry.upstream, base_url, settings):
        yield Finding(
            "Accepted",
            "AmbientNotAllowed",
            "the gateway's ambient credential goes only to the provider's own hosts: "
            "write spec.credentials, or have the URL added to --ambient-base-url",
            path,
        )


def provider_name(upstream: Upstream) -> str:
    """The member of `spec.provider` that an upstream was."""
    return str(upstream.__struct_config__.tag)


def base_url_of(upstream: Upstream) -> str | None:
    """Where an upstream is.

    None where its provider derives it from a region or location, or needs none.
    """
    return None if isinstance(upstream, EchoUpstream) else upstream.base_url


def _is_own(upstream: Upstream, base_url: str | None, settings: Settings) -> bool:
    if base_url is None or base_url in settings.ambient_base_urls:
        return True
    try:
        parts = check_base_url(base_url)
    except AddressError:
        return False
    own = _OWN_HOSTS.get(type(upstream))
    return parts.scheme == "https" and own is not None and own.fullmatch(parts.host) is not None


def _address_problem(base_url: str, namespace: str, settings: Settings) -> str | None:
    try:
        parts = check_base_url(base_url)
    except AddressError as error:
        return f"baseURL {error}"
    allowed = (
        f"have it added to SLUICEGATE_UPSTREAM_ALLOW, or use a Service of namespace {namespace!r}"
    )
    if parts.address is not None:
        public = parts.address.is_global and parts.address not in _SHARED_SPACE
        if public or _allows_address(settings, parts.address):
            return None
        return f"baseURL must not be a loopback or private address: {allowed}"
    if _is_inside(parts.host) and not (
        _is_own_service(parts.host, namespace) or _allows_name(settings, parts.host)
    ):
        return f"baseURL must not be a name inside the cluster or of this machine: {allowed}"
    return None


def _is_inside(host: str) -> bool:
    return "." not in host or host.endswith(_PRIVATE_SUFFIXES)


def _is_own_service(host: str, namespace: str) -> bool:
    for suffix in (".svc.cluster.local", ".svc"):
        if host.endswith(suffix):
            return host.removesuffix(suffix).split(".")[-1] == namespace and "." in (
                host.removesuffix(suffix)
            )
    return False


def _allows_address(
    settings: Settings, address: ipaddress.IPv4Address | ipaddress.IPv6Address
) -> bool:
    for item in settings.upstream_allow:
        try:
            network = ipaddress.ip_network(item, strict=False)
        except ValueError:
            continue
        if address in network:
            return True
    return False


def _allows_name(settings: Settings, host: str) -> bool:
    return any(
        host == item.lower().lstrip(".") or host.endswith("." + item.lower().lstrip("."))
        for item in settings.upstream_allow
        if item
    )

"""What a `Transport` is set up with, and the proxy variables of the environment.

Read once at start; the pool relies on it, because one `Transport` has one TLS context and one way
to reach an origin, so that the origin alone names a set of interchangeable connections.
"""

import base64
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_network
from urllib.parse import unquote, urlsplit

from .addresses import AddressPolicy, Network, literal_address
from .messages import Origin


@dataclass(frozen=True, slots=True)
class Proxy:
    """A forward proxy spoken to in plain HTTP; `authorization` is the header's value."""

    host: str
    port: int
    authorization: bytes | None = field(default=None, repr=False)

    @property
    def where(self) -> str:
        """host:port for messages."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class BypassRule:
    """One entry of NO_PROXY: a network, or a host with all names below it; port None = any."""

    host: str
    network: Network | None
    port: int | None

    def covers(self, origin: Origin) -> bool:
        """Whether this entry sends `origin` around the proxy."""
        if self.port is not None and self.port != origin.port:
            return False
        if self.host == "*":
            return True
        address = literal_address(origin.host)
        if self.network is not None:
            return address is not None and address in self.network
        host = origin.host.rstrip(".")
        return host == self.host or host.endswith("." + self.host)


@dataclass(frozen=True, slots=True)
class ProxySettings:
    """The proxy of each scheme and what bypasses them."""

    http: Proxy | None = None
    https: Proxy | None = None
    bypass: tuple[BypassRule, ...] = ()

    def proxy_for(self, origin: Origin) -> Proxy | None:
        """Choose; the machine itself is never reached through a proxy (as Go's net/http does)."""
        proxy = self.https if origin.scheme == "https" else self.http
        if proxy is None or origin.host == "localhost":
            return None
        address = literal_address(origin.host)
        if address is not None and address.is_loopback:
            return None
        return None if any(rule.covers(origin) for rule in self.bypass) else proxy


@dataclass(frozen=True, slots=True)
class TransportSettings:
    """What one `Transport` is set up with.

    `idle_seconds` stays below the 60 s after which common servers and load balancers drop an
    idle connection, so that we close first and a request seldom meets a connection that is just
    being closed. `max_idle_per_origin` bounds what a burst leaves behind.
    """

    ca_file: str | None = None
    proxies: ProxySettings = field(default_factory=ProxySettings)
    address_policy: AddressPolicy = field(default_factory=AddressPolicy)
    idle_seconds: float = 30.0
    max_idle_per_origin: int = 128
    dns_seconds: float = 5.0


def proxies_from_environment(environ: Mapping[str, str]) -> ProxySettings:
    """Read HTTP_PROXY, HTTPS_PROXY and NO_PROXY; the lower-case spelling wins.

    Raises ValueError that names the variable and never its value, which may hold a password.
    """
    return ProxySettings(
        http=_proxy(environ, "HTTP_PROXY"),
        https=_proxy(environ, "HTTPS_PROXY"),
        bypass=tuple(_bypass_rules(_variable(environ, "NO_PROXY"))),
    )


def _variable(environ: Mapping[str, str], name: str) -> str:
    return environ.get(name.lower(), environ.get(name, "")).strip()


def _proxy(environ: Mapping[str, str], name: str) -> Proxy | None:
    value = _variable(environ, name)
    if not value:
        return None
    message = f"{name} must look like http://[user:password@]host[:port]"
    try:
        url = urlsplit(value if "://" in value else f"http://{value}")
        # Judged like an upstream's: the same characters, the same range of ports.
        origin = Origin(url.scheme, (url.hostname or "").lower(), url.port or 80)
    except ValueError:
        raise ValueError(message) from None
    if origin.scheme != "http":
        raise ValueError(message)
    authorization = None
    if url.username is not None:
        pair = f"{unquote(url.username)}:{unquote(url.password or '')}".encode()
        authorization = b"Basic " + base64.b64encode(pair)
    return Proxy(origin.host, origin.port, authorization)


def _bypass_rules(text: str) -> Iterator[BypassRule]:
    """Read NO_PROXY: `*`, names, addresses and CIDRs; all but CIDRs with an optional port.

    A name covers all names below it; a leading dot or `*.` changes nothing. What is none of these
    matches nothing.
    """
    for entry in text.replace(",", " ").lower().split():
        host, port = _split_port(entry)
        network: Network | None = None
        if "/" in host or literal_address(host) is not None:
            try:
                network = ip_network(host, strict=False)
            except ValueError:
                continue
        if host != "*":
            host = host.removeprefix("*").strip(".")
        if host:
            yield BypassRule(host, network, port)


def _split_port(entry: str) -> tuple[str, int | None]:
    if entry.startswith("["):
        host, _, port = entry[1:].partition("]")
        port = port.removeprefix(":")
    elif entry.count(":") == 1:
        host, _, port = entry.partition(":")
    else:
        host, port = entry, ""
    return host, int(port) if port.isdecimal() and port.isascii() else None

"""What a `baseURL` may be, judged by its text alone.

The spelling of its host, and addresses no one may reach.

Link-local addresses and the clouds' metadata servers give credentials to whoever asks, so they are
refused in every spelling and in every mode. What a name resolves to is judged again at the connect.
"""

from __future__ import annotations

import ipaddress
import re
from typing import NamedTuple, TypeAlias

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address

# Scheme, host, port, path: no user, query, fragment, escape or backslash.
BASE_URL_PATTERN = (
    r"https?://(\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9]([A-Za-z0-9._-]{0,251}[A-Za-z0-9])?\.?)"
    r"(:[0-9]{1,5})?(/[A-Za-z0-9._~!$&'()*+,;=:@/-]*)?"
)
_MATCHER = re.compile(BASE_URL_PATTERN, re.ASCII)
_NUMERIC_LABEL = re.compile(r"[0-9]+|0[xX][0-9A-Fa-f]*", re.ASCII)
_MAX_LENGTH = 2048
_MAX_PORT = 65535

_METADATA_ADDRESSES: frozenset[Address] = frozenset(
    ipaddress.ip_address(text)
    for text in (
        "169.254.169.254",  # AWS, Google Cloud, Azure, OpenStack
        "169.254.170.2",  # ECS tasks
        "169.254.170.23",  # EKS Pod Identity
        "fd00:ec2::254",  # AWS over IPv6
        "fd00:ec2::23",  # EKS Pod Identity over IPv6
        "fd20:ce::254",  # Google Cloud over IPv6
        "100.100.100.200",  # Alibaba Cloud
        "168.63.129.16",  # Azure's host
        "192.0.0.192",  # Oracle Cloud
    )
)
_METADATA_NAMES = frozenset(
    {"metadata", "metadata.google.internal", "metadata.goog", "instance-data"}
    | {"instance-data.ec2.internal"}
)
# Prefixes of IPv6 that carry an IPv4 address, and where in it: mapped and compatible (RFC 4291
# 2.5.5), NAT64 (RFC 6052), 6to4 (RFC 3056).
_EMBEDDED = (
    (ipaddress.IPv6Network("::ffff:0:0/96"), 0),
    (ipaddress.IPv6Network("::/96"), 0),
    (ipaddress.IPv6Network("::ffff:0:0:0/96"), 0),
    (ipaddress.IPv6Network("64:ff9b::/96"), 0),
    (ipaddress.IPv6Network("2002::/16"), 80),
)


class AddressError(ValueError):
    """The base URL is refused; the message says what to write."""


class BaseURLParts(NamedTuple):
    """A checked base URL.

    `host` in lower case without the root's dot, `address` where it is a literal.
    """

    scheme: str
    host: str
    address: Address | None
    port: int | None


def check_base_url(url: str) -> BaseURLParts:
    """The parts of a base URL.

    Raises AddressError where it is malformed or points where nothing may be asked.
    """
    match = _MATCHER.fullmatch(url) if len(url) <= _MAX_LENGTH else None
    if match is None:
        raise AddressError(
            "must be http:// or https://, an ASCII host, perhaps a port and a path, and nothing "
            "else "
            '(no user, query or fragment), as in "https://api.example.com/v1"'
        )
    path = match.group(4) or ""
    if any(segment in {".", ".."} for segment in path.split("/")):
        raise AddressError("must not have '.' or '..' as a part of its path")
    port = int(match.group(3)[1:]) if match.group(3) else None
    if port is not None and not 0 < port <= _MAX_PORT:
        raise AddressError("must have a port between 1 and 65535")
    host = match.group(1).lower()
    address = _literal(host)
    if address is None:
        host = _check_name(host)
    else:
        _check_address(address)
    return BaseURLParts(url.partition(":")[0], host, address, port)


def embedded_ipv4(address: Address) -> ipaddress.IPv4Address | None:
    """The IPv4 address that an IPv6 address carries (mapped, compatible, NAT64, 6to4), if any."""
    if isinstance(address, ipaddress.IPv4Address):
        return None
    for network, shift in _EMBEDDED:
        if address in network:
            return ipaddress.IPv4Address((int(address) >> shift) & 0xFFFFFFFF)
    return None


def _literal(host: str) -> Address | None:
    if host.startswith("["):
        try:
            return ipaddress.IPv6Address(host[1:-1])
        except ValueError:
            raise AddressError("must have a valid IPv6 address between [ and ]") from None
    # A name whose last label is a number is an address to resolvers (WHATWG URL, "ends in a
    # number").
    if _NUMERIC_LABEL.fullmatch(host.rstrip(".").rpartition(".")[2]) is None:
        return None
    try:
        return ipaddress.IPv4Address(host)
    except ValueError:
        raise AddressError(
            "must write an IPv4 address as four decimal numbers, as in 10.0.0.1"
        ) from None


def _check_name(host: str) -> str:
    name = host.removesuffix(".")
    if not all(name.split(".")):
        raise AddressError("must not have an empty label in its host")
    if name in _METADATA_NAMES:
        raise AddressError("must not be a metadata or link-local address")
    return name


def _check_address(address: Address) -> None:
    inner = embedded_ipv4(address) or address
    if address.is_link_local or inner.is_link_local or inner in _METADATA_ADDRESSES:
        raise AddressError("must not be a link-local or metadata address")
    if inner.is_multicast or address.is_multicast:
        raise AddressError("must not be a multicast address")
    if address.is_unspecified or (isinstance(inner, ipaddress.IPv4Address) and _is_zero(inner)):
        if address == ipaddress.IPv6Address("::1"):
            return
        raise AddressError("must not be an unspecified address; write 127.0.0.1 for this machine")
    if inner == ipaddress.IPv4Address("255.255.255.255"):
        raise AddressError("must not be the broadcast address")


def _is_zero(address: ipaddress.IPv4Address) -> bool:
    return address in ipaddress.IPv4Network("0.0.0.0/8")

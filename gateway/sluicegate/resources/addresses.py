"""What a `baseURL` may be, judged by its text alone.

The spelling of its host, and addresses no one may reach.

Link-local addresses and the clouds' metadata servers give credentials to whoever asks, so they are
refused in every spelling and in every mode. What a name resolves to is judged again at the connect.

Each reason to refuse is a regular expression over the whole URL, valid in Python and in RE2: the
API server judges by the very same ones (CEL's own functions for addresses exceed its cost limit).
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, TypeAlias

from sluicegate.resources.rules import quoted

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address

BASE_URL_MAX_LENGTH = 2048
_PORT = r":(?:[1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])"
_PATH = r"/[A-Za-z0-9._~!$&'()*+,;=:@/-]*"
# Scheme, host, port, path: no user, query, fragment, escape or backslash.
_URL = (
    r"https?://(?:\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9](?:[A-Za-z0-9._-]{0,251}[A-Za-z0-9])?\.?)"
    rf"(?:{_PORT})?(?:{_PATH})?"
)
_PARTS = re.compile(
    r"(?P<scheme>https?)://(?P<host>\[[^\]]*\]|[^/:]*)(?::(?P<port>[0-9]+))?", re.ASCII
)
_AFTER_HOST = r"(?:[:/].*)?"
_OCTET = r"(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
_GROUP = r"[0-9A-Fa-f]{1,4}"
# RFC 4291 2.2, without a dotted IPv4 address at its end.
_IPV6 = "|".join(
    (
        rf"(?:{_GROUP}:){{7}}{_GROUP}",
        *(rf"(?:{_GROUP}:){{1,{7 - n}}}(?::{_GROUP}){{1,{n}}}" for n in range(1, 7)),
        rf"(?:{_GROUP}:){{1,7}}:",
        rf":(?::{_GROUP}){{1,7}}",
        "::",
    )
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


@dataclass(frozen=True)
class Refusal:
    """A reason to refuse a URL: that it has a form, but (`unless`) not another one.

    Both are expressions for the whole URL; without `form` every URL has it.
    """

    says: str
    form: str = ""
    unless: str = ""

    @cached_property
    def _form(self) -> re.Pattern[str]:
        return re.compile(self.form, re.ASCII)

    @cached_property
    def _unless(self) -> re.Pattern[str]:
        return re.compile(self.unless, re.ASCII)

    def holds(self, url: str) -> bool:
        """Whether the URL is refused."""
        if self.form and self._form.fullmatch(url) is None:
            return False
        return not (self.unless and self._unless.fullmatch(url))

    def cel(self) -> str:
        """The API server's words for: it is not refused."""
        words: list[str] = []
        if self.form:
            words.append(f"!self.matches({quoted(f'^(?:{self.form})$')})")
        if self.unless:
            words.append(f"self.matches({quoted(f'^(?:{self.unless})$')})")
        return " || ".join(words)


def _host(*hosts: str) -> str:
    """A URL with one of these hosts, whatever follows."""
    return rf"https?://(?:{'|'.join(hosts)}){_AFTER_HOST}"


BASE_URL_REFUSALS = (
    Refusal(
        "must be http:// or https://, an ASCII host, perhaps a port (1 to 65535) and a path, and "
        'nothing else (no user, query or fragment), as in "https://api.example.com/v1"',
        unless=_URL,
    ),
    Refusal(
        "must not have '.' or '..' as a part of its path",
        r"https?://[^/]*(?:/.*)?/\.\.?(?:/.*)?",
    ),
    Refusal("must not have an empty label in its host", r"https?://[^/]*\.\..*"),
    # A name whose last label is a number is an address to resolvers (WHATWG URL, "ends in a
    # number").
    Refusal(
        "must write an IPv4 address as four decimal numbers, as in 10.0.0.1",
        _host(r"(?:[^/:\[]*\.)?(?:[0-9]+|0[xX][0-9A-Fa-f]*)\.?"),
        _host(rf"{_OCTET}(?:\.{_OCTET}){{3}}"),
    ),
    Refusal(
        "must not be a link-local or metadata address",
        _host(
            r"169\.254\.[0-9.]+",  # RFC 3927; AWS, Google Cloud, Azure, OpenStack, ECS, EKS
            r"100\.100\.100\.200",  # Alibaba Cloud
            r"168\.63\.129\.16",  # Azure's host
            r"192\.0\.0\.192",  # Oracle Cloud
            r"\[[fF][eE][89abAB][0-9a-fA-F]:[^\]]*\]",  # RFC 4291
            r"\[[fF][dD]00:0?[eE][cC]2:[^\]]*\]",  # AWS
            r"\[[fF][dD]20:0{0,2}[cC][eE]:[^\]]*\]",  # Google Cloud
            r"(?i:metadata(?:\.google\.internal|\.goog)?|instance-data(?:\.ec2\.internal)?)\.?",
        ),
    ),
    # In these an IPv4 address hides: mapped, compatible and translated ones begin with zeros.
    Refusal(
        "must not be an IPv6 address that can carry an IPv4 address, perhaps a link-local or "
        "metadata one: write that one as four decimal numbers (or [::1] for this machine)",
        _host(
            r"\[:[^\]]*\]",
            r"\[0{1,4}:[^\]]*\]",
            r"\[0{0,2}64:0?[fF][fF]9[bB]:[^\]]*\]",  # RFC 6052, RFC 8215
            r"\[2002:[^\]]*\]",  # RFC 3056
            r"\[[^\]]*\.[^\]]*\]",
        ),
        _host(r"\[(?:::|(?:0{1,4}:){7})0{0,3}1\]", r"\[(?:::|(?:0{1,4}:){7}0{1,4})\]"),
    ),
    Refusal(
        "must have a valid IPv6 address between [ and ]", _host(r"\[.*"), _host(rf"\[(?:{_IPV6})\]")
    ),
    Refusal(
        "must not be an unspecified address; write 127.0.0.1 for this machine",
        _host(r"0\.[0-9.]+", r"\[[0:]+\]"),
    ),
    Refusal(
        "must not be a multicast address",
        _host(r"(?:22[4-9]|23[0-9])\.[0-9.]+", r"\[[fF]{2}[0-9a-fA-F]{2}:[^\]]*\]"),
    ),
    Refusal("must not be the broadcast address", _host(r"255\.255\.255\.255")),
)


def check_base_url(url: str) -> BaseURLParts:
    """The parts of a base URL.

    Raises AddressError where it is malformed or points where nothing may be asked.
    """
    if len(url) > BASE_URL_MAX_LENGTH:
        raise AddressError(BASE_URL_REFUSALS[0].says)
    for refusal in BASE_URL_REFUSALS:
        if refusal.holds(url):
            raise AddressError(refusal.says)
    match = _PARTS.match(url)
    if match is None:
        raise AddressError(BASE_URL_REFUSALS[0].says)
    host = match["host"].lower().removesuffix(".")
    return BaseURLParts(
        match["scheme"], host, _literal(host), int(match["port"]) if match["port"] else None
    )


def _literal(host: str) -> Address | None:
    try:
        return ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return None

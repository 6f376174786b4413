"""Which addresses an upstream may have. Pure: names are resolved by `dial`, which asks here.

Two kinds of refusal. Some addresses are never an upstream: link-local, the clouds' metadata
services, unspecified, multicast, broadcast and reserved ones; no setting allows them. Loopback and
everything else that is not globally reachable is allowed on a user's own machine (folder mode) and
refused where tenants write the manifests (`allow_private=False`), but for the allow-lists.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from socket import inet_aton
from typing import Final

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

# Metadata services that lie outside the link-local ranges, each from its cloud's documentation.
_METADATA: Final[tuple[Network, ...]] = (
    # Alibaba Cloud ECS, "View instance metadata"; the second is its IPv6 form.
    ip_network("100.100.100.200/32"),
    ip_network("fd00:100::100:200/128"),
    # AWS EC2 instance metadata (::254), EKS Pod Identity (::23), DNS and time: one IPv6 block.
    ip_network("fd00:ec2::/32"),
    # Azure, "What is IP address 168.63.129.16" (WireServer; a public address).
    ip_network("168.63.129.16/32"),
    # Google Compute Engine, "About VM metadata": IPv6-only instances.
    ip_network("fd20:ce::254/128"),
    # Oracle Cloud: Compute Classic, and OCI's IPv6 address.
    ip_network("192.0.0.192/32"),
    ip_network("fd00:c1::a9fe:a9fe/128"),
    # Akamai (Linode), "Metadata service API"; cloud-init's Akamai data source.
    ip_network("fd00:a9fe:a9fe::1/128"),
    # Scaleway; cloud-init's Scaleway data source.
    ip_network("fd00:42::42/128"),
)
_NEVER: Final[tuple[tuple[Network, str], ...]] = (
    # RFC 3927, RFC 4291. Holds 169.254.169.254 (AWS, Azure, Google, OCI, DigitalOcean, OpenStack,
    # ...), 169.254.170.2 (AWS ECS), 169.254.42.42 (Scaleway), fe80::a9fe:a9fe (OpenStack).
    (ip_network("169.254.0.0/16"), "a link-local address"),
    (ip_network("fe80::/10"), "a link-local address"),
    # RFC 1122 section 3.2.1.3: "this network"; Linux connects to the machine itself.
    (ip_network("0.0.0.0/8"), "an unspecified address"),
    (ip_network("::/128"), "an unspecified address"),
    # RFC 5771, RFC 4291.
    (ip_network("224.0.0.0/4"), "a multicast address"),
    (ip_network("ff00::/8"), "a multicast address"),
    # RFC 1112 section 4 (reserved), RFC 919 (255.255.255.255).
    (ip_network("240.0.0.0/4"), "a reserved or broadcast address"),
    *((network, "a cloud metadata address") for network in _METADATA),
    # RFC 8215: the operator's own NAT64; where the IPv4 address sits depends on its prefix length.
    (ip_network("64:ff9b:1::/48"), "a local translation address"),
)
# IPv6 forms whose last 32 bits are an IPv4 address: mapped and compatible (RFC 4291), translated
# (RFC 2765), the well-known NAT64 prefix (RFC 6052).
_IPV4_AT_END: Final = (
    IPv6Network("::ffff:0:0/96"),
    IPv6Network("::/96"),
    IPv6Network("::ffff:0:0:0/96"),
    IPv6Network("64:ff9b::/96"),
)
_LOOPBACK6: Final = IPv6Address("::1")
# RFC 5214 section 6.1: the interface identifiers of ISATAP, without and with the global bit.
_ISATAP: Final = frozenset({0x00005EFE, 0x02005EFE})


def literal_address(host: str) -> Address | None:
    """Return the address that `host` spells, or None for a name.

    Understands the old IPv4 spellings (`127.1`, `0x7f000001`, `2130706433`) as the C library does.
    """
    try:
        return ip_address(host)
    except ValueError:
        pass
    try:
        return IPv4Address(inet_aton(host))
    except (OSError, UnicodeEncodeError):
        return None


def _forms(address: Address) -> Iterator[Address]:
    """Yield every address that this one stands for; IPv4 in disguise no longer counts as IPv6."""
    if isinstance(address, IPv4Address):
        yield address
        return
    last = IPv4Address(int(address) & 0xFFFFFFFF)
    if address != _LOOPBACK6 and any(address in network for network in _IPV4_AT_END):
        yield last
        return
    yield address
    if address.sixtofour is not None:
        yield address.sixtofour
    if address.teredo is not None:
        yield from address.teredo
    if int(address) >> 32 & 0xFFFFFFFF in _ISATAP:
        yield last


@dataclass(frozen=True, slots=True)
class AddressPolicy:
    """Judges resolved addresses. The allow-lists matter only with `allow_private=False`.

    `allow_host_suffixes`: `internal.example` allows that host and all below it.
    """

    allow_private: bool = True
    allow_networks: tuple[Network, ...] = ()
    allow_host_suffixes: tuple[str, ...] = ()

    def refusal(self, address: Address, host: str = "") -> str | None:
        """Say why `address` (of `host`) is no upstream, as the end of a sentence, or None."""
        for network, what in _NEVER:
            if address in network:
                return what
        for form in _forms(address):
            for network, what in _NEVER:
                if form in network:
                    return what
            reason = self._private_refusal(form, host)
            if reason is not None:
                return reason
        return None

    def _private_refusal(self, address: Address, host: str) -> str | None:
        if self.allow_private or address.is_global or self._host_allowed(host):
            return None
        if any(address in network for network in self.allow_networks):
            return None
        return "a loopback address" if address.is_loopback else "a private address"

    def _host_allowed(self, host: str) -> bool:
        dotted = "." + host.rstrip(".").lower()
        return any(dotted.endswith("." + suffix) for suffix in self.allow_host_suffixes)


def parse_allow_list(text: str) -> AddressPolicy:
    """Read `SLUICEGATE_UPSTREAM_ALLOW` (CIDRs and host suffixes, by commas) for cluster mode.

    Raises ValueError naming the entry.
    """
    networks: list[Network] = []
    suffixes: list[str] = []
    for entry in filter(None, (part.strip().lower() for part in text.split(","))):
        if "/" in entry or literal_address(entry) is not None:
            try:
                networks.append(ip_network(entry))
            except ValueError:
                raise ValueError(f"{entry!r} is neither a CIDR nor a host suffix") from None
        else:
            suffixes.append(entry.removeprefix("*").lstrip(".").rstrip("."))
    return AddressPolicy(
        allow_private=False,
        allow_networks=tuple(networks),
        allow_host_suffixes=tuple(filter(None, suffixes)),
    )

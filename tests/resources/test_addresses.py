"""Base URLs by their text: every spelling of an address that nobody may reach is refused."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.resources.addresses import AddressError, check_base_url


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://api.openai.com/v1", "api.openai.com"),
        ("http://localhost:8080", "localhost"),
        ("http://127.0.0.1:1/v1", "127.0.0.1"),
        ("http://10.1.2.3/v1", "10.1.2.3"),
        ("http://[::1]:80/", "[::1]"),
        ("http://[0:0:0:0:0:0:0:1]", "[0:0:0:0:0:0:0:1]"),
        ("http://[1:2:3:4:5:6:7::]", "[1:2:3:4:5:6:7::]"),
        ("http://[fd00::1]/v1", "[fd00::1]"),
        ("https://API.Example.com./v1/", "api.example.com"),
        ("http://vllm.models.svc.cluster.local:8000/v1", "vllm.models.svc.cluster.local"),
        ("http://my_host/v1", "my_host"),
        ("https://x.example/a;b/c@d/$e(f)", "x.example"),
    ],
)
def test_what_is_taken(url: str, host: str) -> None:
    assert check_base_url(url).host == host


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("http://169.254.169.254/v1", "link-local"),
        ("http://169.254.1.2", "link-local"),
        ("http://[fe80::1]/", "link-local"),
        ("http://[febf::1]/", "link-local"),
        ("http://[::ffff:169.254.169.254]/", "link-local"),
        ("http://[0:0:0:0:0:ffff:a9fe:a9fe]/v1", "link-local"),
        ("http://[::a9fe:a9fe]/", "link-local"),
        ("http://[64:ff9b::169.254.169.254]/", "link-local"),
        ("http://[2002:a9fe:a9fe::]/", "link-local"),
        ("http://[fd00:ec2::254]/", "link-local"),
        ("http://[FD00:0EC2:0:0:0:0:0:254]/", "link-local"),
        ("http://[fd20:00ce::254]/", "link-local"),
        ("http://[::ffff:10.2.0.1]/", "four decimal numbers"),
        ("http://[64:ff9b::a00:1]/", "four decimal numbers"),
        ("http://[64:ff9b:1::a00:1]/", "four decimal numbers"),
        ("http://[2001:db8::10.2.0.1]/", "four decimal numbers"),
        ("http://100.100.100.200/", "link-local"),
        ("http://metadata.google.internal/", "link-local"),
        ("http://METADATA.google.internal./", "link-local"),
        ("http://2852039166/v1", "four decimal numbers"),
        ("http://0xa9fea9fe/", "four decimal numbers"),
        ("http://0xA9.0xFE.0xA9.0xFE/", "four decimal numbers"),
        ("http://0251.0376.0251.0376/", "four decimal numbers"),
        ("http://169.254.43518/", "four decimal numbers"),
        ("http://169.254.169.254./", "four decimal numbers"),
        ("http://127.1/", "four decimal numbers"),
        ("http://256.1.1.1/", "four decimal numbers"),
        ("http://1.2.3.4.5/", "four decimal numbers"),
        ("http://0.0.0.0/", "unspecified"),
        ("http://[::]/", "unspecified"),
        ("http://0.1.2.3/", "unspecified"),
        ("http://224.0.0.1/", "multicast"),
        ("http://[ff02::1]/", "multicast"),
        ("http://255.255.255.255/", "broadcast"),
        ("http://[::g]/", "must be http"),
        ("http://[1:2]/", "valid IPv6"),
        ("http://[1:2:3:4:5:6:7:8:9]/", "valid IPv6"),
        ("http://[1::2::3]/", "valid IPv6"),
        ("http://[1:2:3:4:5:6:7::8]/", "valid IPv6"),
        ("http://[fe80::1%25eth0]/", "must be http"),
        ("ftp://x.example/", "must be http"),
        ("https://user@x.example/", "must be http"),
        ("https://x.example/?a=b", "must be http"),
        ("https://x.example/#a", "must be http"),
        ("https://x.example\\@169.254.169.254/", "must be http"),
        ("https://x.example/%2e%2e/", "must be http"),
        ("https://x.example/a/../b", "must not have"),
        ("https://x.example/./b", "must not have"),
        ("https://x..example/", "empty label"),
        ("https://\u2179.example/", "must be http"),
        ("https://x.example\n/", "must be http"),
        ("https://x.example/v1\n", "must be http"),
        ("https://x.example:0/", "port"),
        ("https://x.example:65536/", "port"),
        ("https://x.example:/", "must be http"),
        ("https:///v1", "must be http"),
        ("", "must be http"),
        ("https://" + "a" * 3000, "must be http"),
    ],
)
def test_what_is_refused(url: str, says: str) -> None:
    with pytest.raises(AddressError, match=says):
        check_base_url(url)


def exploded(address: ipaddress.IPv6Address) -> str:
    return address.exploded


def upper(address: ipaddress.IPv6Address) -> str:
    return str(address).upper()


link_local = st.integers(0xA9FE0000, 0xA9FEFFFF)


@given(link_local, st.integers(0, 5), st.booleans())
def test_no_spelling_of_a_link_local_address_is_taken(number: int, form: int, upper: bool) -> None:
    octets = number.to_bytes(4)
    host = [
        str(ipaddress.IPv4Address(number)),
        str(number),
        hex(number),
        f"0{number:o}",
        ".".join(hex(octet) for octet in octets),
        f"{octets[0]}.{octets[1]}.{int.from_bytes(octets[2:])}",
    ][form]
    with pytest.raises(AddressError, match=r"link-local|four decimal numbers"):
        check_base_url(f"http://{host.upper().replace('0X', '0x') if upper else host}/v1")


@given(link_local, st.sampled_from(["::ffff:0:0", "::", "64:ff9b::"]), st.booleans())
def test_no_ipv6_address_that_carries_one_is_taken(number: int, base: str, long: bool) -> None:
    address = ipaddress.IPv6Address(int(ipaddress.IPv6Address(base)) + number)
    with pytest.raises(AddressError, match="link-local"):
        check_base_url(f"http://[{address.exploded if long else address}]/v1")


@given(st.ip_addresses(v=6), st.sampled_from([str, exploded, upper]))
def test_what_ipv6_says_is_not_what_it_hides(
    address: ipaddress.IPv6Address, spelled: Callable[[ipaddress.IPv6Address], str]
) -> None:
    """An address that is taken is Python's, is none of those nobody may reach, and hides none."""
    try:
        taken = check_base_url(f"http://[{spelled(address)}]/v1").address
    except AddressError:
        return
    assert taken == address
    assert not any((address.is_link_local, address.is_multicast, address.is_unspecified))
    assert address.ipv4_mapped is None
    assert address.sixtofour is None


@given(st.text(alphabet="0123456789abcdefF:", min_size=2, max_size=24))
def test_an_ipv6_address_that_is_taken_is_one(text: str) -> None:
    try:
        taken = check_base_url(f"http://[{text}]/").address
    except AddressError:
        return
    assert taken == ipaddress.IPv6Address(text)


@given(st.text(max_size=40))
def test_no_text_does_more_than_be_refused(text: str) -> None:
    for url in (text, "http://" + text, "https://[" + text + "]/"):
        try:
            host = check_base_url(url).host
        except AddressError:
            continue
        assert host.isascii()

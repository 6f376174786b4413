"""Which addresses are no upstream, in whatever way they are written or resolved."""

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable
from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.transport import (
    AddressPolicy,
    AddressRefused,
    AttemptTimeouts,
    ConnectFailed,
    Origin,
    Transport,
    TransportSettings,
    UpstreamRequest,
    parse_allow_list,
)
from sluicegate.transport.addresses import literal_address
from sluicegate.transport.dial import Resolver

Script = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
Serve = Callable[[Script], Awaitable[Origin]]

OWN_MACHINE = AddressPolicy()
CLUSTER = AddressPolicy(allow_private=False)
TIMEOUTS = AttemptTimeouts(connect=5, first_byte=5, idle=5, total=10)

NEVER = [
    "169.254.0.0",
    "169.254.169.254",
    "169.254.170.2",
    "169.254.255.255",
    "fe80::1",
    "febf:ffff::1",
    "fe80::a9fe:a9fe",
    "100.100.100.200",
    "168.63.129.16",
    "192.0.0.192",
    "fd00:ec2::254",
    "fd00:ec2::23",
    "fd20:ce::254",
    "fd00:c1::a9fe:a9fe",
    "fd00:a9fe:a9fe::1",
    "fd00:42::42",
    "fd00:100::100:200",
    "0.0.0.0",
    "0.1.2.3",
    "::",
    "224.0.0.1",
    "239.255.255.255",
    "ff02::1",
    "240.0.0.1",
    "255.255.255.255",
    "64:ff9b:1::a9fe:a9fe",
    "64:ff9b:1:a9fe:a9:fe00::",
]
PRIVATE = [
    "127.0.0.1",
    "127.255.0.1",
    "::1",
    "10.0.0.1",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.1.1",
    "100.64.0.1",
    "198.18.0.1",
    "192.0.2.1",
    "fc00::1",
    "fdff::1",
    "2001:db8::1",
]
PUBLIC = ["8.8.8.8", "1.1.1.1", "172.32.0.1", "100.63.255.255", "2606:4700::1111"]


def in_ipv6(address: IPv4Address) -> list[IPv6Address]:
    """Every way to write an IPv4 address as an IPv6 one that a host may translate back."""
    number = int(address)
    return [
        IPv6Address(0xFFFF << 32 | number),
        IPv6Address(number),
        IPv6Address(0xFFFF << 48 | number),
        IPv6Address(0x0064_FF9B << 96 | number),
        IPv6Address(0x2002 << 112 | number << 80 | 1),
        IPv6Address(0x2001_0000 << 96 | 0x08080808 << 64 | (number ^ 0xFFFFFFFF)),
        IPv6Address(0x2001_0000 << 96 | number << 64 | (0x08080808 ^ 0xFFFFFFFF)),
        IPv6Address(0x2606_4700 << 96 | 0x00005EFE << 32 | number),
        IPv6Address(0x2606_4700 << 96 | 0x02005EFE << 32 | number),
    ]


@pytest.mark.parametrize("text", NEVER)
def test_never(text: str) -> None:
    address = ip_address(text)
    open_wide = parse_allow_list("0.0.0.0/0, ::/0, example")
    for policy in (OWN_MACHINE, CLUSTER, open_wide):
        assert policy.refusal(address, "a.example")
        if isinstance(address, IPv4Address):
            for form in in_ipv6(address):
                assert policy.refusal(form, "a.example"), form


@pytest.mark.parametrize("text", PRIVATE)
def test_private(text: str) -> None:
    address = ip_address(text)
    assert OWN_MACHINE.refusal(address) is None
    assert CLUSTER.refusal(address)
    if isinstance(address, IPv4Address):
        for form in in_ipv6(address):
            assert CLUSTER.refusal(form), form


@pytest.mark.parametrize("text", PUBLIC)
def test_public(text: str) -> None:
    assert OWN_MACHINE.refusal(ip_address(text)) is None
    assert CLUSTER.refusal(ip_address(text)) is None


def test_public_ipv4_behind_a_translator() -> None:
    assert CLUSTER.refusal(ip_address("64:ff9b::808:808")) is None
    assert CLUSTER.refusal(ip_address("::ffff:8.8.8.8")) is None


def test_reasons_differ() -> None:
    reasons = {CLUSTER.refusal(ip_address(text)) for text in [*NEVER, *PRIVATE]}
    assert {
        "a link-local address",
        "a cloud metadata address",
        "a multicast address",
        "a loopback address",
        "a private address",
    } <= reasons


@pytest.mark.parametrize(
    ("entries", "address", "host", "allowed"),
    [
        ("10.1.0.0/16", "10.1.2.3", "", True),
        ("10.1.0.0/16", "10.2.2.3", "", False),
        ("10.1.0.0/16", "::ffff:10.1.2.3", "", True),
        ("10.1.2.3", "10.1.2.3", "", True),
        ("fd12::/16,127.0.0.0/8", "fd12::1", "", True),
        ("internal.example", "10.0.0.1", "internal.example", True),
        ("internal.example", "10.0.0.1", "vllm.internal.example", True),
        ("internal.example", "10.0.0.1", "vllm.Internal.example.", True),
        (".internal.example", "10.0.0.1", "vllm.internal.example", True),
        ("*.internal.example", "10.0.0.1", "vllm.internal.example", True),
        ("internal.example", "10.0.0.1", "evil-internal.example", False),
        ("internal.example", "10.0.0.1", "internal.example.evil", False),
        ("internal.example", "10.0.0.1", "", False),
        ("internal.example", "169.254.169.254", "internal.example", False),
        ("", "10.0.0.1", "a", False),
        ("*", "10.0.0.1", "a", False),
        (".", "10.0.0.1", "a", False),
    ],
)
def test_allow_list(entries: str, address: str, host: str, allowed: bool) -> None:
    reason = parse_allow_list(entries).refusal(ip_address(address), host)
    assert (reason is None) is allowed


@pytest.mark.parametrize("entries", ["10.0.0.1/8", "10.0.0.0/33", "a/b"])
def test_an_allow_list_that_is_not_understood(entries: str) -> None:
    with pytest.raises(ValueError, match=entries):
        parse_allow_list(entries)


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("127.1", "127.0.0.1"),
        ("0x7f000001", "127.0.0.1"),
        ("2130706433", "127.0.0.1"),
        ("0177.0.0.1", "127.0.0.1"),
        ("2852039166", "169.254.169.254"),
        ("::FFFF:127.0.0.1", "::ffff:127.0.0.1"),
        ("api.example", None),
        ("1.2.3.4.5", None),
        ("1.2.3.400", None),
        ("dead.beef", None),
        ("", None),
    ],
)
def test_literal_addresses(host: str, address: str | None) -> None:
    assert literal_address(host) == (None if address is None else ip_address(address))


@given(st.ip_addresses())
def test_every_address_is_judged(address: IPv4Address | IPv6Address) -> None:
    refused_here, refused_there = OWN_MACHINE.refusal(address), CLUSTER.refusal(address)
    assert refused_there or not refused_here
    if address.is_link_local or address.is_multicast or address.is_unspecified:
        assert refused_here


async def answering(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")


async def fetch(policy: AddressPolicy, origin: Origin) -> bytes:
    transport = Transport(settings=TransportSettings(address_policy=policy))
    try:
        answer = await transport.send(UpstreamRequest(origin, "GET", "/"), TIMEOUTS)
        return await answer.read_all(9)
    finally:
        await transport.close()


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1", "localhost", "::ffff:127.0.0.1"])
async def test_the_policy_holds_for_names_and_spellings(serve: Serve, host: str) -> None:
    origin = Origin("http", host, (await serve(answering)).port)
    assert await fetch(OWN_MACHINE, origin) == b"ok"
    with pytest.raises(AddressRefused, match="loopback") as caught:
        await fetch(CLUSTER, origin)
    assert (caught.value.phase, caught.value.sent) == ("connect", False)
    assert await fetch(parse_allow_list("127.0.0.0/8,::1"), origin) == b"ok"


async def test_a_host_suffix_allows_what_it_resolves_to(serve: Serve) -> None:
    origin = Origin("http", "localhost", (await serve(answering)).port)
    assert await fetch(parse_allow_list("localhost"), origin) == b"ok"


@pytest.mark.parametrize("host", ["169.254.169.254", "fe80::1", "100.100.100.200", "0"])
async def test_metadata_is_refused_on_every_machine(host: str) -> None:
    with pytest.raises(AddressRefused):
        await fetch(OWN_MACHINE, Origin("http", host, 80))


Address = IPv4Address | IPv6Address


@pytest.mark.parametrize(
    "resolved",
    [
        ["127.0.0.1"],
        ["127.0.0.2", "127.0.0.1"],
        ["169.254.169.254", "127.0.0.1", "fd00:ec2::254"],
        ["::1", "127.0.0.1"],
    ],
)
async def test_only_the_judged_addresses_are_connected_to(
    serve: Serve, resolved: list[str]
) -> None:
    """The name exists in this look-up only, so nothing can have resolved it again."""

    async def look_up(_: str) -> list[Address]:
        return [ip_address(text) for text in resolved]

    origin = Origin("http", "pinned.invalid", (await serve(answering)).port)
    transport = Transport(settings=TransportSettings(), look_up=look_up)
    answer = await transport.send(UpstreamRequest(origin, "GET", "/"), TIMEOUTS)
    assert await answer.read_all(9) == b"ok"
    await transport.close()


async def test_a_silent_address_leaves_time_for_the_next(serve: Serve) -> None:
    async def look_up(_: str) -> list[Address]:
        return [ip_address("127.0.0.3"), ip_address("127.0.0.1")]

    origin = Origin("http", "pinned.invalid", (await serve(answering)).port)
    with contextlib.ExitStack() as stack:
        silent = stack.enter_context(socket.socket())
        silent.bind(("127.0.0.3", origin.port))
        silent.listen(0)
        for _ in range(4):  # a full backlog leaves further connections unanswered
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.3", origin.port))
        transport = Transport(settings=TransportSettings(), look_up=look_up)
        timeouts = AttemptTimeouts(connect=1.0)
        answer = await transport.send(UpstreamRequest(origin, "GET", "/"), timeouts)
        assert await answer.read_all(9) == b"ok"
        await transport.close()


async def test_a_name_without_addresses() -> None:
    async def look_up(_: str) -> list[Address]:
        return []

    transport = Transport(settings=TransportSettings(), look_up=look_up)
    request = UpstreamRequest(Origin("http", "empty.invalid", 80), "GET", "/")
    with pytest.raises(ConnectFailed, match="no address"):
        await transport.send(request, TIMEOUTS)
    await transport.close()


# The resolver.


async def test_one_look_up_serves_many_and_is_remembered() -> None:
    go = asyncio.Event()
    asked: list[str] = []

    async def look_up(host: str) -> list[IPv4Address | IPv6Address]:
        asked.append(host)
        await go.wait()
        return [ip_address("192.0.2.1")]

    resolver = Resolver(60, look_up)
    waiting = [asyncio.create_task(resolver.resolve("a.example")) for _ in range(3)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    await asyncio.sleep(0)
    go.set()
    assert await waiting[1] == await waiting[2] == [ip_address("192.0.2.1")]
    assert waiting[0].cancelled()
    await resolver.resolve("a.example")
    await resolver.resolve("b.example")
    assert asked == ["a.example", "b.example"]


async def test_a_look_up_that_takes_long_is_not_begun_again() -> None:
    """Each holds a thread; were there one for every few seconds, other names would not get any."""
    asked: list[str] = []
    cancelled: list[str] = []

    async def look_up(host: str) -> list[IPv4Address | IPv6Address]:
        asked.append(host)
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(host)
            raise
        raise AssertionError

    resolver = Resolver(0, look_up)
    for host in ("dead.example", "dead.example", "other.example", "dead.example"):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(resolver.resolve(host), 0.01)
    assert asked == ["dead.example", "other.example"]
    resolver.close()
    await asyncio.sleep(0)
    assert cancelled == asked


async def test_the_end_of_the_transport_fails_who_waits_for_a_look_up() -> None:
    """It does not cancel them: their clients are still to be told."""
    asked = asyncio.Event()

    async def look_up(_: str) -> list[IPv4Address | IPv6Address]:
        asked.set()
        await asyncio.Event().wait()
        raise AssertionError

    transport = Transport(settings=TransportSettings(), look_up=look_up)
    request = UpstreamRequest(Origin("http", "slow.example", 80), "GET", "/")
    sending = asyncio.create_task(transport.send(request, TIMEOUTS))
    await asked.wait()
    await transport.close()
    with pytest.raises(ConnectFailed) as caught:
        await sending
    assert not caught.value.sent


async def test_answers_and_failures_are_forgotten() -> None:
    asked = 0

    async def look_up(host: str) -> list[IPv4Address | IPv6Address]:
        nonlocal asked
        asked += 1
        await asyncio.sleep(0)
        if host == "broken.example":
            raise OSError(-2, "no such name")
        return [ip_address("192.0.2.1")]

    resolver = Resolver(0, look_up)
    for expected in (1, 2):
        await resolver.resolve("a.example")
        assert asked == expected
    patient = Resolver(60, look_up)
    for expected in (3, 4):
        with pytest.raises(OSError, match="no such name"):
            await patient.resolve("broken.example")
        assert asked == expected

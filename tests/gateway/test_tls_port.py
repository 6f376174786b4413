"""TLS on the public port: replaced while it serves, and no client can hold it up."""

import asyncio
import logging
import ssl
from pathlib import Path

import pytest
import trustme
from cryptography.hazmat.primitives import serialization

from eventually import eventually
from gateway_rig import Rig
from raw_client import RawClient
from running_gateway import AUTHORIZED, RunningGateway, echo_entry, key_entry
from sluicegate.server.process import ServerSettings
from sluicegate.server.tls import PairRefused
from undisturbed import undisturbed

BODY = b'{"model":"echo","input":"hi"}'


class Pair:
    """The files of a certificate and its key, as an operator of a cluster replaces them."""

    def __init__(self, folder: Path) -> None:
        self.cert = folder / "tls.crt"
        self.key = folder / "tls.key"

    def replace(self, issued: trustme.LeafCert) -> None:
        self.replace_cert(issued)
        self.replace_key(issued)

    def replace_cert(self, issued: trustme.LeafCert) -> None:
        self.cert.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))

    def replace_key(self, issued: trustme.LeafCert) -> None:
        self.key.write_bytes(issued.private_key_pem.bytes())


@pytest.fixture
def pair(authority: tuple[trustme.CA, Path], tmp_path: Path) -> Pair:
    made = Pair(tmp_path)
    made.replace(authority[0].issue_cert("localhost"))
    return made


def trusting(*authorities: trustme.CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    for one in authorities:
        context.load_verify_locations(cadata=one.cert_pem.bytes().decode())
    return context


async def start(rig: Rig, pair: Pair, *, idle_seconds: float = 30.0) -> RunningGateway:
    settings = ServerSettings(
        port=0,
        admin_port=0,
        drain_seconds=0,
        idle_seconds=idle_seconds,
        tls=(pair.cert, pair.key),
    )
    return await rig.gateway(key_entry(), echo_entry(), settings=settings)


async def serial_of(gateway: RunningGateway, context: ssl.SSLContext) -> str:
    """The certificate that a new connection meets, after a request over it."""
    async with await RawClient.open(gateway.port, tls=context) as client:
        client.post(BODY, AUTHORIZED)
        assert (await client.answer()).status == 200
        certificate: dict[str, str] = client.writer.get_extra_info("peercert")
        return certificate["serialNumber"]


async def until_another(gateway: RunningGateway, context: ssl.SSLContext, serial: str) -> str:
    seen = {serial}

    async def another() -> bool:
        seen.add(await serial_of(gateway, context))
        return len(seen) > 1

    await eventually(another)
    return (seen - {serial}).pop()


async def test_requests_and_streams_over_tls(
    rig: Rig, pair: Pair, authority: tuple[trustme.CA, Path]
) -> None:
    gateway = await start(rig, pair)
    async with await RawClient.open(gateway.port, tls=trusting(authority[0])) as client:
        version = client.writer.get_extra_info("ssl_object").version()
        assert version in ("TLSv1.2", "TLSv1.3")
        for _ in range(3):
            client.post(b'{"model":"echo","input":"hi there","stream":true}', AUTHORIZED)
            assert (await client.answer()).body.endswith(b"data: [DONE]\n\n")
    assert (await gateway.admin("/healthz")).status == 200  # probes of the kubelet are plain


async def test_a_new_certificate_is_taken_up_while_serving(
    rig: Rig, pair: Pair, authority: tuple[trustme.CA, Path]
) -> None:
    other = trustme.CA()
    context = trusting(authority[0], other)
    gateway = await start(rig, pair)
    old = await RawClient.open(gateway.port, tls=context)
    async with old:
        first = await serial_of(gateway, context)
        # In two steps, between which the files do not fit together: the old one goes on.
        renewed = other.issue_cert("localhost")
        pair.replace_cert(renewed)
        await asyncio.sleep(1.3)
        assert await serial_of(gateway, context) == first
        pair.replace_key(renewed)
        second = await until_another(gateway, context, first)
        old.post(BODY, AUTHORIZED)
        assert (await old.answer()).status == 200  # what was connected stays connected
    # What is no certificate at all leaves it in place, and what is one again is taken up.
    pair.cert.write_text("nonsense")
    pair.key.unlink()
    await asyncio.sleep(1.3)
    assert await serial_of(gateway, context) == second
    pair.replace(authority[0].issue_cert("localhost"))
    third = await until_another(gateway, context, second)
    assert len({first, second, third}) == 3


async def test_files_that_go_away_and_come_back_are_told_each_time(
    rig: Rig, pair: Pair, caplog: pytest.LogCaptureFixture
) -> None:
    async def told(text: str) -> None:
        async def condition() -> bool:
            return text in caplog.text

        await eventually(condition)
        caplog.clear()

    aside = pair.cert.with_name("aside")
    with caplog.at_level(logging.INFO):
        await start(rig, pair)
        for _ in range(2):
            pair.cert.rename(aside)
            await told("the old one serves")
            aside.rename(pair.cert)
            await told("the files of the TLS certificate are what it serves")


@undisturbed(0.3)
async def test_clients_that_do_not_shake_hands_hold_nothing_up(
    rig: Rig, pair: Pair, authority: tuple[trustme.CA, Path]
) -> None:
    gateway = await start(rig, pair, idle_seconds=1)
    silent = [await rig.client(gateway) for _ in range(20)]
    plain = await rig.client(gateway)
    plain.send(b"GET /v1/models HTTP/1.1\r\nHost: x\r\n\r\n")
    await plain.closed()
    half = await rig.client(gateway)
    half.send(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
    assert await serial_of(gateway, trusting(authority[0]))
    for client in (*silent, half):
        await asyncio.wait_for(client.closed(), 10)
    late = await rig.client(gateway)
    gateway.stop.ask()
    await asyncio.wait_for(gateway.ended, 10)
    late.leave()


async def test_a_client_that_leaves_cancels_over_tls_too(
    rig: Rig, pair: Pair, authority: tuple[trustme.CA, Path]
) -> None:
    gateway = await start(rig, pair)
    client = await RawClient.open(gateway.port, tls=trusting(authority[0]))
    client.post(BODY, AUTHORIZED | {"Content-Length": "100000"})

    async def begun() -> bool:
        return await gateway.metric("sluicegate_requests_in_flight") == 1

    await eventually(begun)
    client.leave()

    async def gone() -> bool:
        return await gateway.metric("sluicegate_requests_in_flight") == 0

    await eventually(gone)


async def test_old_protocols_are_refused(
    rig: Rig, pair: Pair, authority: tuple[trustme.CA, Path]
) -> None:
    gateway = await start(rig, pair)
    context = trusting(authority[0])
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    with pytest.raises((ssl.SSLError, ConnectionError)):
        await RawClient.open(gateway.port, tls=context)


async def test_a_pair_that_does_not_fit_is_an_error_at_start(
    rig: Rig, pair: Pair, authority: tuple[trustme.CA, Path]
) -> None:
    pair.replace_key(authority[0].issue_cert("localhost"))
    with pytest.raises(PairRefused):
        await start(rig, pair)


async def test_an_encrypted_key_is_an_error_and_no_question_at_the_terminal(
    rig: Rig, pair: Pair
) -> None:
    key = serialization.load_pem_private_key(pair.key.read_bytes(), None)
    pair.key.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
    )
    with pytest.raises(PairRefused):
        await asyncio.wait_for(start(rig, pair), 30)

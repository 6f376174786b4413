"""A client that goes away, or reads slowly, or not at all, costs nothing but itself."""

import asyncio
import os
from pathlib import Path

import pytest

from eventually import eventually
from gateway_rig import Rig
from raw_client import RawClient
from responses_wire import answer_body, frame, frames, numbered, prelude, text_events, text_stream
from running_gateway import AUTHORIZED, RunningGateway, echo_entry, key_entry
from scripted_upstream import Call, answers, hangs
from sluicegate.config import EchoUpstream
from sluicegate.server.exchange import ExchangeLimits
from sluicegate.server.process import ServerSettings
from undisturbed import undisturbed

GOOD = b'{"model":"gpt-test","input":"hi"}'
STREAM = b'{"model":"gpt-test","input":"hi","stream":true}'
LONG = b'{"model":"gpt-test","input":"%b"}' % (b"h" * 100_000)
BEGUN = frames(numbered([*prelude(), *text_events(("Hel", "lo"))[:4]]))


async def nothing_in_flight(gateway: RunningGateway) -> bool:
    return await gateway.metric("sluicegate_requests_in_flight") == 0


@pytest.mark.parametrize("way", ["close", "reset"])
@pytest.mark.parametrize("body", [GOOD, LONG, STREAM], ids=["whole", "long", "stream"])
async def test_leaving_before_the_answer_cancels_the_upstream(
    rig: Rig, body: bytes, way: str
) -> None:
    gateway, upstream = await rig.serving(hangs())
    client = await rig.client(gateway)
    client.post(body, AUTHORIZED)
    call = await upstream.called()
    (client.leave if way == "close" else client.reset)()
    await asyncio.wait_for(call.gone.wait(), 10)
    await eventually(lambda: nothing_in_flight(gateway))
    assert await gateway.metric("sluicegate_requests_total", status="499") == 1
    assert await gateway.metric("sluicegate_attempts_total", outcome="cancelled") == 1


@pytest.mark.parametrize("way", ["close", "reset"])
async def test_leaving_in_mid_stream_cancels_the_upstream(rig: Rig, way: str) -> None:
    gateway, upstream = await rig.serving(hangs(*BEGUN))
    client = await rig.client(gateway)
    client.post(STREAM, AUTHORIZED)
    await client.head()
    await client.chunk()
    (client.leave if way == "close" else client.reset)()
    await asyncio.wait_for(upstream.last.gone.wait(), 10)
    await eventually(lambda: nothing_in_flight(gateway))
    assert await gateway.metric("sluicegate_requests_total", status="499") == 1


async def test_leaving_while_output_is_held_back_cancels_the_upstream(rig: Rig) -> None:
    gateway, upstream = await rig.serving(hangs(*frames(numbered(prelude()))))
    client = await rig.client(gateway)
    client.post(STREAM, AUTHORIZED)
    call = await upstream.called()
    await asyncio.sleep(0.05)
    client.leave()
    await asyncio.wait_for(call.gone.wait(), 10)


async def test_leaving_in_the_middle_of_the_answers_body(rig: Rig) -> None:
    async def script(call: Call) -> None:
        call.head(200, [("Content-Length", "1000")])
        call.write(b'{"object"')
        await call.gone.wait()

    gateway, upstream = await rig.serving(script)
    client = await rig.client(gateway)
    client.post(GOOD, AUTHORIZED)
    call = await upstream.called()
    await asyncio.sleep(0.02)
    client.leave()
    await asyncio.wait_for(call.gone.wait(), 10)


async def test_leaving_while_the_body_is_sent(rig: Rig) -> None:
    gateway, upstream = await rig.serving(hangs())
    client = await rig.client(gateway)
    client.post(GOOD, AUTHORIZED | {"Content-Length": "100000"})
    await eventually(lambda: in_flight(gateway, 1))
    client.leave()
    await eventually(lambda: nothing_in_flight(gateway))
    assert not upstream.calls


async def in_flight(gateway: RunningGateway, count: int) -> bool:
    return await gateway.metric("sluicegate_requests_in_flight") == count


async def test_leaving_a_deployment_that_answers_by_itself(rig: Rig) -> None:
    gateway = await rig.gateway(key_entry(), echo_entry(EchoUpstream(delay=60)))
    client = await rig.client(gateway)
    client.post(b'{"model":"echo","input":"hi","stream":true}', AUTHORIZED)
    await eventually(lambda: in_flight(gateway, 1))
    client.leave()
    await eventually(lambda: nothing_in_flight(gateway))


async def test_leaving_with_requests_queued_behind(rig: Rig) -> None:
    gateway, upstream = await rig.serving(hangs())
    client = await rig.client(gateway)
    for _ in range(10):
        client.post(GOOD, AUTHORIZED)
    call = await upstream.called()
    await asyncio.sleep(0.05)
    client.leave()
    await asyncio.wait_for(call.gone.wait(), 10)
    await eventually(lambda: nothing_in_flight(gateway))
    assert len(upstream.calls) == 1


async def test_many_that_leave_leave_nothing_behind(rig: Rig) -> None:
    gateway, upstream = await rig.serving(hangs(*BEGUN))
    for body in (GOOD, STREAM) * 25:
        client = await rig.client(gateway)
        client.post(body, AUTHORIZED)
        await upstream.called(len(upstream.calls) + 1)
        client.leave()
    await eventually(lambda: nothing_in_flight(gateway))

    async def closed() -> bool:
        return not upstream.open

    await eventually(closed)


# Slow readers. 50 MB go to a client that does not read: none of it may pile up in the gateway.

EVENT = frame({"type": "response.output_text.delta", "sequence_number": 2, "delta": "x" * 60_000})


def resident() -> int:
    pages = Path("/proc/self/statm").read_text().split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


async def test_a_slow_client_slows_its_upstream_down(rig: Rig) -> None:
    sent = 0
    total = 50 * 1024 * 1024

    async def script(call: Call) -> None:
        nonlocal sent
        call.begin()
        call.chunk(b"".join(frames(numbered(prelude()))))
        while sent < total and not call.gone.is_set():
            await call.send(b"%x\r\n%b\r\n" % (len(EVENT), EVENT))
            sent += len(EVENT)
        call.chunk(frame(text_stream()[-1]))
        call.end()

    gateway, _ = await rig.serving(script)
    client = await rig.client(gateway, receive_buffer=64 * 1024)
    client.post(STREAM, AUTHORIZED)
    await client.head()
    before = resident()
    still = -1
    while still != sent:  # until nothing moves any more
        still = sent
        await asyncio.sleep(0.2)
    assert sent < total / 2
    assert resident() - before < 20 * 1024 * 1024
    received = 0
    while chunk := await client.chunk():
        received += len(chunk)
    assert received > total
    assert sent >= total
    client.leave()


QUICK = ServerSettings(
    port=0, admin_port=0, drain_seconds=0.0, limits=ExchangeLimits(stall_seconds=0.5)
)


async def test_a_client_that_reads_nothing_is_given_up(rig: Rig) -> None:
    async def script(call: Call) -> None:
        call.begin()
        while not call.gone.is_set():
            await call.send(b"%x\r\n%b\r\n" % (len(EVENT), EVENT))

    gateway, upstream = await rig.serving(script, settings=QUICK)
    client = await rig.client(gateway, receive_buffer=64 * 1024)
    client.post(STREAM, AUTHORIZED)
    call = await upstream.called()
    await asyncio.wait_for(call.gone.wait(), 10)
    await eventually(lambda: nothing_in_flight(gateway))
    assert await gateway.metric("sluicegate_requests_total", status="499") == 1
    client.leave()


@undisturbed(0.3)
async def test_a_client_that_reads_slowly_is_not_given_up(rig: Rig) -> None:
    """What counts is that it reads, not how fast: the whole takes many times the stall's time."""
    body = answer_body("x" * 10_000_000)
    gateway, _ = await rig.serving(answers(body), settings=QUICK)
    client = await rig.client(gateway, receive_buffer=64 * 1024)
    client.post(GOOD, AUTHORIZED)
    _, headers = await client.head()
    received = b""
    while len(received) < int(headers["content-length"]):
        received += await client.reader.read(250_000)
        await asyncio.sleep(0.05)
    assert received == body
    client.leave()


async def test_answers_that_nobody_reads_do_not_pile_up(rig: Rig) -> None:
    """A client that asks on and on, and never reads, gets no further than a few answers."""
    gateway, upstream = await rig.serving(answers(answer_body("x" * 1_000_000)), settings=QUICK)
    client = await rig.client(gateway, receive_buffer=64 * 1024)
    for _ in range(30):
        client.post(GOOD, AUTHORIZED)
    assert await asyncio.wait_for(_lost(client), 10)
    assert len(upstream.calls) < 10


async def _lost(client: RawClient) -> bool:
    """Wait until the gateway has torn the connection down, without reading from it."""
    while not client.writer.transport.is_closing():
        client.writer.write(b"\r\n")
        await asyncio.sleep(0.05)
    return True


async def test_an_answer_that_is_never_read_does_not_hold_its_connection(rig: Rig) -> None:
    """Also where the kernel took it all, so that the gateway itself is done with it."""
    gateway, _ = await rig.serving(answers(answer_body("x" * 200_000)), settings=QUICK)
    client = await rig.client(gateway, receive_buffer=4096)
    client.post(GOOD, AUTHORIZED)
    assert await asyncio.wait_for(_lost(client), 10)

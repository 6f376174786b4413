"""The end of a gateway: unready first, what runs may finish, and nothing waits for ever."""

import asyncio

import pytest

from gateway_rig import Rig
from raw_client import RawClient
from responses_wire import (
    answer_body,
    check_whole,
    frames,
    numbered,
    prelude,
    sent_events,
    text_events,
    text_stream,
)
from running_gateway import AUTHORIZED, echo_entry, key_entry, openai_entry
from scripted_upstream import Call, Script, answers, hangs, waits
from sluicegate.config import EchoUpstream, Retry
from sluicegate.server.process import ServerSettings
from undisturbed import undisturbed

GOOD = b'{"model":"gpt-test","input":"hi"}'
FIRST = b'{"model":"gpt-test","input":"first"}'
STREAM = b'{"model":"gpt-test","input":"hi","stream":true}'
WHOLE = b"".join(frames(text_stream())) + b"data: [DONE]\n\n"
BEGUN = frames(numbered([*prelude(), *text_events(("Hel", "lo"))[:4]]))
PATIENT = ServerSettings(port=0, admin_port=0, drain_seconds=15)
HASTY = ServerSettings(port=0, admin_port=0, drain_seconds=0.3)


async def test_a_drain(rig: Rig) -> None:
    go_on = asyncio.Event()
    script = waits(go_on, *frames(text_stream()), whole=answer_body())
    gateway, _ = await rig.serving(script, settings=PATIENT)
    idle, used, streaming = [await rig.client(gateway) for _ in range(3)]
    used.post(GOOD, AUTHORIZED)
    assert (await used.answer()).status == 200
    streaming.post(STREAM, AUTHORIZED)
    await streaming.head()
    received = await streaming.chunk()
    gateway.stop.ask()
    # Idle connections end at once, used or not.
    assert await asyncio.wait_for(idle.closed(), 10) == b""
    assert await asyncio.wait_for(used.closed(), 10) == b""
    # The probe says so while the stream goes on.
    ready = await gateway.admin("/readyz")
    assert (ready.status, ready.json()["status"]) == (503, "draining")
    assert (await gateway.admin("/healthz")).status == 200
    with pytest.raises(ConnectionRefusedError):
        await RawClient.open(gateway.port)
    assert not gateway.ended.done()
    go_on.set()
    while chunk := await streaming.chunk():
        received += chunk
    assert received == WHOLE
    assert await asyncio.wait_for(streaming.closed(), 10) == b""
    await asyncio.wait_for(gateway.ended, 10)


def two_turns() -> tuple[Script, asyncio.Event, asyncio.Event]:
    """An upstream that answers `FIRST` after the first event, and all else after the second."""
    first, second = asyncio.Event(), asyncio.Event()

    async def script(call: Call) -> None:
        await (first if call.json()["input"] == "first" else second).wait()
        call.answer(answer_body())

    return script, first, second


async def test_requests_that_wait_are_answered_and_the_last_closes(rig: Rig) -> None:
    script, first, second = two_turns()
    gateway, upstream = await rig.serving(script, settings=PATIENT)
    async with await gateway.connect() as client, await gateway.connect() as other:
        client.post(FIRST, AUTHORIZED)
        client.post(GOOD, AUTHORIZED)  # queued behind: it was here before the drain began
        other.post(GOOD, AUTHORIZED)  # keeps the drain going
        await upstream.called(2)
        gateway.stop.ask()
        first.set()
        assert "connection" not in (await client.answer()).headers
        await upstream.called(3)
        second.set()
        answer = await client.answer()
        assert (answer.status, answer.headers["connection"]) == (200, "close")
        assert (await other.answer()).status == 200
    await asyncio.wait_for(gateway.ended, 10)


async def test_an_answer_that_was_under_way_tells_that_it_is_the_last(rig: Rig) -> None:
    script, first, second = two_turns()
    gateway, upstream = await rig.serving(script, settings=PATIENT)
    async with await gateway.connect() as client, await gateway.connect() as other:
        client.post(FIRST, AUTHORIZED)
        other.post(GOOD, AUTHORIZED)  # keeps the drain going
        await upstream.called(2)
        gateway.stop.ask()
        assert (await gateway.admin("/readyz")).status == 503
        first.set()
        assert (await client.answer()).headers["connection"] == "close"
        assert await asyncio.wait_for(client.closed(), 10) == b""
        second.set()
        assert (await other.answer()).status == 200
    await asyncio.wait_for(gateway.ended, 10)


async def test_what_was_sent_in_one_go_is_answered_to_its_end(rig: Rig) -> None:
    go_on = asyncio.Event()

    async def script(call: Call) -> None:
        await go_on.wait()
        call.answer(answer_body())

    gateway, upstream = await rig.serving(script, settings=PATIENT)
    async with await gateway.connect() as client:
        for _ in range(3):
            client.post(GOOD, AUTHORIZED)
        await upstream.called()
        gateway.stop.ask()
        go_on.set()
        assert [(await client.answer()).status for _ in range(2)] == [200, 200]
    await asyncio.wait_for(gateway.ended, 10)


async def test_without_anything_running_it_ends_at_once(rig: Rig) -> None:
    gateway, _ = await rig.serving(answers(answer_body()), settings=PATIENT)
    clients = [await rig.client(gateway) for _ in range(20)]
    gateway.stop.ask()
    await asyncio.wait_for(gateway.ended, 10)
    for client in clients:
        assert await client.closed() == b""


@pytest.mark.parametrize("insist", [True, False], ids=["second signal", "drain timeout"])
@undisturbed(0.2)
async def test_what_does_not_end_is_cut_off(rig: Rig, insist: bool) -> None:
    settings = PATIENT if insist else HASTY
    gateway, upstream = await rig.serving(hangs(*BEGUN), settings=settings)
    streaming, waiting = await rig.client(gateway), await rig.client(gateway)
    streaming.post(STREAM, AUTHORIZED)
    await streaming.head()
    received = await streaming.chunk()
    waiting.post(GOOD, AUTHORIZED)
    await upstream.called(2)
    began = asyncio.get_running_loop().time()
    gateway.stop.ask()
    if insist:
        await asyncio.sleep(0.05)
        gateway.stop.ask()
    await asyncio.wait_for(gateway.ended, 10)
    assert asyncio.get_running_loop().time() - began < 3
    # The client of the stream is told, so that it knows what it has.
    while chunk := await streaming.chunk():
        received += chunk
    events = sent_events(received)
    assert check_whole(events)["response"]["output"][0]["content"][0]["text"] == "Hello"
    assert "shutting down" in events[-2]["message"]
    told = await waiting.answer()
    assert told.status in (502, 503)
    assert "shutting down" in told.error["message"]
    for call in upstream.calls:
        await asyncio.wait_for(call.gone.wait(), 10)


@pytest.mark.parametrize("insist", [True, False], ids=["second signal", "drain timeout"])
async def test_a_deployment_that_answers_by_itself_is_cut_off_too(rig: Rig, insist: bool) -> None:
    slow = echo_entry(EchoUpstream(text="Hello there", chunk_delay=60), name="slow", model="slow")
    begun = echo_entry(EchoUpstream(text="one two " * 40, chunk_delay=0.05))
    settings = PATIENT if insist else HASTY
    gateway = await rig.gateway(key_entry(), slow, begun, settings=settings)
    streaming, waiting = await rig.client(gateway), await rig.client(gateway)
    waiting.post(b'{"model":"slow","input":"hi"}', AUTHORIZED)
    streaming.post(b'{"model":"echo","input":"hi","stream":true}', AUTHORIZED)
    await streaming.head()
    received = await streaming.chunk()
    gateway.stop.ask()
    if insist:
        gateway.stop.ask()
    await asyncio.wait_for(gateway.ended, 10)
    while chunk := await streaming.chunk():
        received += chunk
    assert received.endswith(b"data: [DONE]\n\n")
    events = sent_events(received)
    failed = check_whole(events)
    assert (failed["type"], events[-2]["type"]) == ("response.failed", "error")
    assert failed["response"]["output"][0]["content"][0]["text"].startswith("one")
    assert "shutting down" in events[-2]["message"]
    told = await waiting.answer()
    assert told.status == 502
    assert "shutting down" in told.error["message"]


async def test_the_end_waits_for_no_further_attempt(rig: Rig) -> None:
    """Neither for the pause before one, nor for one that the end itself has made necessary."""
    hanging = await rig.upstream(hangs())
    busy = await rig.upstream(answers(b"{}", 500))
    patient = Retry(attempts=2, backoff=20)
    gateway = await rig.gateway(
        key_entry(),
        openai_entry(hanging.base_url, model="hanging", name="hanging", retry=patient),
        openai_entry(busy.base_url, model="busy", name="busy", retry=patient),
        settings=HASTY,
    )
    clients = [await rig.client(gateway) for _ in range(2)]
    for client, model in zip(clients, ("hanging", "busy"), strict=True):
        client.post(b'{"model":"%b","input":"hi"}' % model.encode(), AUTHORIZED)
    await hanging.called()
    await busy.called()
    gateway.stop.ask()
    await asyncio.wait_for(gateway.ended, 10)
    assert [(await client.answer()).status for client in clients] == [502, 500]


async def test_a_client_that_does_not_read_does_not_hold_the_end(rig: Rig) -> None:
    gateway, upstream = await rig.serving(answers(answer_body("x" * 8_000_000)), settings=HASTY)
    client = await rig.client(gateway, receive_buffer=4096)
    client.post(GOOD, AUTHORIZED)
    await upstream.called()
    await asyncio.sleep(0.05)
    gateway.stop.ask()
    await asyncio.wait_for(gateway.ended, 10)


async def test_a_client_that_sends_half_a_request_does_not_hold_the_end(rig: Rig) -> None:
    gateway, _ = await rig.serving(answers(answer_body()), settings=HASTY)
    head, body = await rig.client(gateway), await rig.client(gateway)
    head.send(b"POST /v1/responses HTTP/1.1\r\nHo")
    body.post(GOOD, AUTHORIZED | {"Content-Length": "100000"})
    await asyncio.sleep(0.05)
    gateway.stop.ask()
    await asyncio.wait_for(gateway.ended, 10)
    assert await head.closed() == b""
    await body.closed()

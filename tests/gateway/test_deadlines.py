"""How long an attempt and a request may take, and what the client is told then."""

import asyncio
import socket

import pytest

from eventually import eventually
from gateway_rig import Rig
from responses_wire import check_whole, frames, sent_events, text_stream
from running_gateway import AUTHORIZED, echo_entry, key_entry, openai_entry
from scripted_upstream import Call, answers, hangs, streams
from sluicegate.config import EchoUpstream, Retry, Timeouts
from undisturbed import undisturbed

GOOD = b'{"model":"gpt-test","input":"hi"}'
STREAM = b'{"model":"gpt-test","input":"hi","stream":true}'
ECHO = b'{"model":"echo","input":"one two three four five"}'
ECHO_STREAM = b'{"model":"echo","input":"one two three four five","stream":true}'


def within(seconds: float) -> dict[str, str]:
    return AUTHORIZED | {"x-sluicegate-timeout": str(seconds)}


@pytest.mark.parametrize("body", [GOOD, STREAM], ids=["whole", "stream"])
@undisturbed(0.1)
async def test_no_first_byte_is_504(rig: Rig, body: bytes) -> None:
    upstream = await rig.upstream(hangs())
    timeouts = Timeouts(first_byte=0.2)
    gateway = await rig.gateway(key_entry(), openai_entry(upstream.base_url, timeouts=timeouts))
    answer = await gateway.post(body)
    assert answer.status == 504
    assert answer.error["code"] == "upstream_timeout"
    assert "default/primary" in answer.error["message"]
    assert answer.headers["x-sluicegate-attempts"] == "default/primary=timeout"
    await asyncio.wait_for(upstream.last.gone.wait(), 10)


async def test_no_connection_is_504(rig: Rig) -> None:
    """A listener whose queue is full lets a connection wait: nothing accepts, nothing refuses."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        port = listener.getsockname()[1]
        fillers = [socket.socket() for _ in range(3)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", port))
        timeouts = Timeouts(connect=0.3)
        deployment = openai_entry(f"http://127.0.0.1:{port}/v1", timeouts=timeouts)
        gateway = await rig.gateway(key_entry(), deployment)
        answer = await gateway.post(GOOD)
        for filler in fillers:
            filler.close()
    assert answer.status == 504
    assert answer.error["code"] == "upstream_timeout"


@pytest.mark.parametrize("body", [GOOD, STREAM], ids=["whole", "stream"])
@undisturbed(0.1)
async def test_the_clients_deadline_is_504(rig: Rig, body: bytes) -> None:
    gateway, upstream = await rig.serving(hangs())
    began = asyncio.get_running_loop().time()
    answer = await gateway.post(body, within(0.3))
    assert asyncio.get_running_loop().time() - began < 2
    assert (answer.status, answer.error["code"]) == (504, "upstream_timeout")
    await asyncio.wait_for(upstream.last.gone.wait(), 10)


@undisturbed(0.1)
async def test_the_deadline_covers_all_attempts(rig: Rig) -> None:
    slow = await rig.upstream(hangs())
    other = await rig.upstream(hangs())
    gateway = await rig.gateway(
        key_entry(),
        openai_entry(slow.base_url, name="slow", timeouts=Timeouts(first_byte=0.2)),
        openai_entry(other.base_url, name="other", priority=1),
    )
    began = asyncio.get_running_loop().time()
    answer = await gateway.post(GOOD, within(0.5))
    assert asyncio.get_running_loop().time() - began < 2
    assert answer.status == 504
    both = "default/slow=timeout;default/other=timeout"
    assert answer.headers["x-sluicegate-attempts"] == both


@undisturbed(0.1)
async def test_a_wait_that_does_not_fit_the_deadline_is_not_begun(rig: Rig) -> None:
    error = b'{"error":{"message":"later"}}'
    upstream = await rig.upstream(answers(error, 429, [("Retry-After", "2")]))
    deployment = openai_entry(upstream.base_url, retry=Retry(attempts=9, backoff=0.01))
    gateway = await rig.gateway(key_entry(), deployment)
    began = asyncio.get_running_loop().time()
    answer = await gateway.post(GOOD, within(1))
    assert asyncio.get_running_loop().time() - began < 0.9
    assert (answer.status, answer.headers["retry-after"]) == (429, "2")


async def test_a_deadline_that_is_kept_changes_nothing(rig: Rig) -> None:
    gateway, _ = await rig.serving(streams(*frames(text_stream())))
    answer = await gateway.post(STREAM, within(30))
    assert answer.body == b"".join(frames(text_stream())) + b"data: [DONE]\n\n"


@undisturbed(0.1)
async def test_a_slow_answer_body_counts_too(rig: Rig) -> None:
    async def script(call: Call) -> None:
        call.head(200, [("Content-Length", "100000")])
        while not call.gone.is_set():
            call.write(b" ")
            await asyncio.sleep(0.02)

    gateway, upstream = await rig.serving(script)
    assert (await gateway.post(GOOD, within(0.3))).status == 504
    await asyncio.wait_for(upstream.last.gone.wait(), 10)


async def test_the_deadline_holds_for_a_deployment_that_answers_by_itself(rig: Rig) -> None:
    gateway = await rig.gateway(key_entry(), echo_entry(EchoUpstream(delay=30)))
    for body in (ECHO, ECHO_STREAM):
        answer = await gateway.post(body, within(0.2))
        assert (answer.status, answer.error["code"]) == (504, "upstream_timeout")


@undisturbed(0.1)
async def test_the_deadline_ends_a_stream_that_a_deployment_makes_itself(rig: Rig) -> None:
    gateway = await rig.gateway(key_entry(), echo_entry(EchoUpstream(chunk_delay=0.2)))
    answer = await gateway.post(ECHO_STREAM, within(0.5))
    events = sent_events(answer.body)
    failed = check_whole(events)
    assert [event["type"] for event in events[-2:]] == ["error", "response.failed"]
    assert events[-2]["code"] == "upstream_timeout"
    (item,) = failed["response"]["output"]
    assert item["content"][0]["text"].startswith("one")
    whole = await gateway.post(ECHO, within(0.5))
    assert (whole.status, whole.error["code"]) == (504, "upstream_timeout")


async def test_a_retry_does_not_wait_beyond_a_client_that_is_gone(rig: Rig) -> None:
    upstream = await rig.upstream(answers(b"", 503, [("Retry-After", "5")]))
    deployment = openai_entry(upstream.base_url, retry=Retry(attempts=9, backoff=0.01))
    gateway = await rig.gateway(key_entry(), deployment)
    async with await gateway.connect() as client:
        client.post(GOOD, AUTHORIZED)
        await upstream.called()

    async def has_left() -> bool:
        return await gateway.metric("sluicegate_requests_total", status="499") == 1

    await eventually(has_left)
    assert await gateway.metric("sluicegate_requests_in_flight") == 0

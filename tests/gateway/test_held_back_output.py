"""What is held back of a stream: until there is output another deployment may take over unseen."""

import asyncio

import pytest

from gateway_rig import Rig
from raw_client import Answer
from responses_wire import frame, frames, numbered, prelude, response, sent_events, text_stream
from running_gateway import AUTHORIZED, key_entry, openai_entry
from scripted_upstream import Call, breaks_after, hangs, streams
from sluicegate.config import Timeouts

STREAM = b'{"model":"gpt-test","input":"hi","stream":true}'
WHOLE = b"".join(frames(text_stream())) + b"data: [DONE]\n\n"


async def sound(call: Call) -> None:
    """A deployment in good health."""
    await streams(*frames(text_stream()))(call)


def attempts(answer: Answer) -> list[str]:
    return answer.headers["x-sluicegate-attempts"].split(";")


OVERLOADED = {"type": "server_error", "code": "server_error", "message": "Overloaded."}
FAILED = {
    "type": "response.failed",
    "response": response(
        status="failed",
        more={"error": {"code": "server_error", "message": "Overloaded."}, "id": "resp_first"},
    ),
}
NESTED = {"type": "error", "error": {**OVERLOADED, "param": None}}
FLAT = {"type": "error", "code": "server_error", "message": "Overloaded.", "param": None}


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize(
    "ending",
    [[FAILED], [NESTED, FAILED], [FLAT, FAILED], [NESTED]],
    ids=["failed", "both", "flat", "error"],
)
async def test_a_stream_that_fails_before_output_leaves_no_trace(
    rig: Rig, ending: list[dict[str, object]], together: bool
) -> None:
    pieces = frames(numbered([*prelude(), *ending]))
    first = streams(b"".join(pieces)) if together else streams(*pieces)
    gateway, (one, two) = await rig.pool(first, sound)
    answer = await gateway.post(STREAM)
    assert answer.body == WHOLE
    assert attempts(answer) == ["default/number0=server_error(500)", "default/number1=ok"]
    assert answer.headers["x-sluicegate-deployment"] == "default/number1"
    assert (len(one.calls), len(two.calls)) == (1, 1)


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("rate_limit_exceeded", 429),
        ("insufficient_quota", 429),
        ("server_error", 500),
        ("context_length_exceeded", 400),
        ("invalid_prompt", 400),
        ("from_next_year", 500),
    ],
)
@pytest.mark.parametrize("form", ["failed", "nested", "flat"])
async def test_a_stream_that_fails_before_output_is_an_http_error(
    rig: Rig, code: str, status: int, form: str
) -> None:
    said = {"code": code, "message": "It can't be."}
    event = {
        "failed": {
            "type": "response.failed",
            "response": response(status="failed", more={"error": said}),
        },
        "nested": {"type": "error", "error": {**said, "type": "t", "param": None}},
        "flat": {"type": "error", **said, "param": None},
    }[form]
    gateway, _ = await rig.pool(streams(b"".join(frames(numbered([*prelude(), event])))))
    answer = await gateway.post(STREAM)
    assert answer.status == status
    assert (answer.error["code"], answer.error["message"]) == (code, "It can't be.")


async def test_a_clients_mistake_told_in_a_stream_is_not_tried_again(rig: Rig) -> None:
    said = {"code": "context_length_exceeded", "message": "Too long."}
    event = {"type": "response.failed", "response": response(status="failed", more={"error": said})}
    gateway, (_, second) = await rig.pool(streams(*frames(numbered([*prelude(), event]))), sound)
    assert (await gateway.post(STREAM)).status == 400
    assert not second.calls


async def test_a_stream_that_breaks_before_output_leaves_no_trace(rig: Rig) -> None:
    for first in (
        breaks_after(*frames(numbered(prelude()))),
        breaks_after(*frames(numbered(prelude())), reset=True),
        streams(*frames(numbered(prelude()))),
    ):
        gateway, _ = await rig.pool(first, sound)
        answer = await gateway.post(STREAM)
        assert answer.body == WHOLE
        assert attempts(answer) == ["default/number0=lost", "default/number1=ok"]


async def test_after_two_seconds_of_silence_the_prelude_is_written(rig: Rig) -> None:
    """From then on the client knows this attempt, so its failure is told in the stream."""
    begun = frames(numbered(prelude()))
    late = asyncio.Event()

    async def script(call: Call) -> None:
        call.begin()
        for piece in begun:
            call.chunk(piece)
        await late.wait()
        call.reset()

    gateway, (_, second) = await rig.pool(script, sound)
    async with await gateway.connect() as client:
        client.post(STREAM, AUTHORIZED)
        began = asyncio.get_running_loop().time()
        status, headers = await client.head()
        assert asyncio.get_running_loop().time() - began > 1.5
        assert (status, headers["x-sluicegate-deployment"]) == (200, "default/number0")
        assert await client.chunk() == b"".join(begun)
        late.set()
        rest = b""
        while chunk := await client.chunk():
            rest += chunk
    events = sent_events(rest)
    assert [event["type"] for event in events] == ["error", "response.failed"]
    assert [event["sequence_number"] for event in events] == [2, 3]
    assert not second.calls


async def test_without_any_word_of_the_upstream_nothing_is_written(rig: Rig) -> None:
    """No `response.created`, no head: after the first byte's timeout the next deployment serves."""
    slow = await rig.upstream(hangs())
    quick = await rig.upstream(sound)
    gateway = await rig.gateway(
        key_entry(),
        openai_entry(slow.base_url, name="slow", timeouts=Timeouts(first_byte=0.2)),
        openai_entry(quick.base_url, name="quick", priority=1),
    )
    answer = await gateway.post(STREAM)
    assert answer.body == WHOLE
    assert attempts(answer) == ["default/slow=timeout", "default/quick=ok"]
    await asyncio.wait_for(slow.last.gone.wait(), 10)


async def test_a_flood_of_prelude_events_does_not_pile_up(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Held back are two events, not whatever an upstream calls a prelude."""
    monkeypatch.setattr("sluicegate.pipeline.relay._HOLD", 60.0)  # its size alone lets it go
    big = frame({"type": "response.in_progress", "sequence_number": 1, "pad": "x" * 100_000})

    async def script(call: Call) -> None:
        call.begin()
        while not call.gone.is_set():
            await call.send(b"%x\r\n%b\r\n" % (len(big), big))

    gateway, (first,) = await rig.pool(script)
    async with await gateway.connect() as client:
        client.post(STREAM, AUTHORIZED)
        await asyncio.wait_for(client.head(), 10)
    await asyncio.wait_for(first.last.gone.wait(), 10)


async def test_what_a_failed_attempt_had_said_does_not_come_out_later(rig: Rig) -> None:
    """Its two seconds must not run out while the next deployment is still thinking."""

    async def thinks(call: Call) -> None:
        await asyncio.sleep(2.2)
        await streams(*frames(text_stream()))(call)

    gateway, _ = await rig.pool(breaks_after(*frames(numbered(prelude()))), thinks)
    answer = await gateway.post(STREAM)
    assert answer.body == WHOLE
    assert answer.headers["x-sluicegate-deployment"] == "default/number1"

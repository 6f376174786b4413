"""A stream that fails after its output began: told in the stream, with all that had come."""

import asyncio
from typing import Any

import pytest
from openai import APIError, AsyncOpenAI
from openai.types.responses import Response

from gateway_rig import Rig
from responses_wire import (
    Json,
    call_events,
    check_whole,
    frame,
    frames,
    numbered,
    prelude,
    sent_events,
    text_events,
    text_stream,
)
from running_gateway import AUTHORIZED, CLIENT_KEY, key_entry, openai_entry
from scripted_upstream import Call, Script, breaks_after, hangs, streams
from sluicegate.api.partial import failed_events
from sluicegate.config import Timeouts
from sluicegate.model import ApiError
from undisturbed import undisturbed

STREAM = b'{"model":"gpt-test","input":"hi","stream":true}'
BEGUN = numbered([*prelude(), *text_events(("Hel", "lo"))[:4]])  # an open message with two deltas
CALLING = numbered([*prelude(), *call_events(('{"city":', '"Bo'))[:3]])


async def _garbage(call: Call) -> None:
    call.begin()
    call.chunk(b"".join(frames(BEGUN)))
    await asyncio.sleep(0.05)
    call.write(b"\0\xff\xfe not a chunk size\r\n")


async def _no_end(call: Call) -> None:
    await streams(b"".join(frames(BEGUN)))(call)


async def _until_eof(call: Call) -> None:
    call.head(200, [("Content-Type", "text/event-stream")])
    call.write(b"".join(frames(BEGUN)))
    await asyncio.sleep(0.05)
    call.close()


def followed_by(*pieces: bytes) -> Script:
    return streams(b"".join(frames(BEGUN)), *pieces)


UNREADABLE = b"event: response.completed\ndata: {nothing to read\n\n"

BREAKS: dict[str, Script] = {
    "reset": breaks_after(*frames(BEGUN), reset=True),
    "closed in mid-chunk": breaks_after(*frames(BEGUN)),
    "ended without its end": _no_end,
    "closed without a length": _until_eof,
    "garbage": _garbage,
    "half an event": followed_by(frame(text_stream()[-1])[:200]),
    "an end that no client could read": followed_by(UNREADABLE),
    "an end without data": followed_by(b"event: response.completed\n\n"),
    "only done": followed_by(b"data: [DONE]\n\n"),
    "data that is no event": followed_by(b"data: hello\n\n"),
}


@pytest.mark.parametrize("script", BREAKS.values(), ids=BREAKS.keys())
async def test_a_break_is_told_with_the_output_so_far(rig: Rig, script: Script) -> None:
    gateway, (_, second) = await rig.pool(script, streams())
    answer = await gateway.post(STREAM)
    assert answer.status == 200
    events = sent_events(answer.body)
    assert answer.body.startswith(b"".join(frames(BEGUN)))
    failed = check_whole(events)
    assert [event["type"] for event in events[len(BEGUN) :]] == ["error", "response.failed"]
    error = events[-2]
    assert error["error"] == {key: error[key] for key in ("message", "param", "code")} | {
        "type": "server_error"
    }
    assert "default/number0" in error["message"]
    response = failed["response"]
    assert response["id"] == "resp_upstream0001"
    assert response["status"] == "failed"
    assert response["error"] == {"code": "server_error", "message": error["message"]}
    (item,) = response["output"]
    assert (item["id"], item["type"], item["status"]) == ("msg_1", "message", "incomplete")
    assert [part["text"] for part in item["content"]] == ["Hello"]
    Response.model_validate(response)
    assert not second.calls
    broken = {"deployment": "default/number0", "outcome": "broken_stream"}
    assert await gateway.metric("sluicegate_attempts_total", **broken) == 1


async def test_what_the_end_tells_is_what_was_sent(rig: Rig) -> None:
    """A chunk that can't be read to its end is not passed on, so the end does not count it."""
    more = {**BEGUN[-1], "sequence_number": len(BEGUN), "delta": " there"}
    gateway, _ = await rig.serving(followed_by(frame(more) + UNREADABLE))
    events = sent_events((await gateway.post(STREAM)).body)
    failed = check_whole(events)
    said = [event["delta"] for event in events if event["type"] == "response.output_text.delta"]
    assert failed["response"]["output"][0]["content"][0]["text"] == "".join(said)


async def test_the_arguments_of_a_call_so_far(rig: Rig) -> None:
    gateway, _ = await rig.pool(breaks_after(*frames(CALLING)))
    failed = check_whole(sent_events((await gateway.post(STREAM)).body))
    (item,) = failed["response"]["output"]
    assert (item["type"], item["status"]) == ("function_call", "incomplete")
    assert item["arguments"] == '{"city":"Bo'


async def test_items_that_were_done_stay_as_they_were(rig: Rig) -> None:
    second = {"output_index": 1, "item_id": "fc_1"}
    events = numbered(
        [
            *prelude(),
            *text_events(("Done",)),
            *({**event, "output_index": 1} for event in call_events(("{", "}"))[:2]),
            {"type": "response.from_next_year", **second},
        ]
    )
    gateway, _ = await rig.pool(breaks_after(*frames(events)))
    failed = check_whole(sent_events((await gateway.post(STREAM)).body))
    message, call = failed["response"]["output"]
    assert (message["status"], message["content"][0]["text"]) == ("completed", "Done")
    assert (call["status"], call["arguments"]) == ("incomplete", "{")


async def test_reasoning_summaries_and_refusals_so_far(rig: Rig) -> None:
    at = {"item_id": "rs_1", "output_index": 0, "summary_index": 0}
    message = {"item_id": "msg_1", "output_index": 1, "content_index": 0}
    events = numbered(
        [
            *prelude(),
            {
                "type": "response.output_item.added",
                "output_index": 0,
                "item": {"id": "rs_1", "type": "reasoning", "summary": []},
            },
            {
                "type": "response.reasoning_summary_part.added",
                **at,
                "part": {"type": "summary_text", "text": ""},
            },
            {"type": "response.reasoning_summary_text.delta", **at, "delta": "Thin"},
            {"type": "response.reasoning_summary_text.delta", **at, "delta": "king"},
            {
                "type": "response.output_item.added",
                "output_index": 1,
                "item": {"id": "msg_1", "type": "message", "status": "in_progress", "content": []},
            },
            {
                "type": "response.content_part.added",
                **message,
                "part": {"type": "refusal", "refusal": ""},
            },
            {"type": "response.refusal.delta", **message, "delta": "No."},
        ]
    )
    gateway, _ = await rig.pool(breaks_after(*frames(events)))
    failed = check_whole(sent_events((await gateway.post(STREAM)).body))
    reasoning, refusal = failed["response"]["output"]
    assert reasoning["summary"] == [{"type": "summary_text", "text": "Thinking"}]
    assert refusal["content"] == [{"type": "refusal", "refusal": "No."}]


@pytest.mark.parametrize("which", ["idle", "total"])
@undisturbed(0.1)
async def test_silence_and_endless_streams_end_in_time(rig: Rig, which: str) -> None:
    async def endless(call: Call) -> None:
        call.begin()
        call.chunk(b"".join(frames(BEGUN)))
        while not call.gone.is_set():
            call.chunk(b": alive\n\n")
            await asyncio.sleep(0.02)

    upstream = await rig.upstream(hangs(*frames(BEGUN)) if which == "idle" else endless)
    limits = Timeouts(idle=0.3) if which == "idle" else Timeouts(total=0.3)
    gateway = await rig.gateway(key_entry(), openai_entry(upstream.base_url, timeouts=limits))
    answer = await gateway.post(STREAM)
    said = b"\n\n".join(part for part in answer.body.split(b"\n\n") if not part.startswith(b":"))
    events = sent_events(said)
    failed = check_whole(events)
    assert events[-2]["code"] == "upstream_timeout"
    assert failed["response"]["output"][0]["content"][0]["text"] == "Hello"
    await asyncio.wait_for(upstream.last.gone.wait(), 10)


@undisturbed(0.1)
async def test_the_clients_deadline_ends_a_stream(rig: Rig) -> None:
    gateway, upstream = await rig.serving(hangs(*frames(BEGUN)))
    answer = await gateway.post(STREAM, AUTHORIZED | {"x-sluicegate-timeout": "0.3"})
    events = sent_events(answer.body)
    check_whole(events)
    assert events[-2]["code"] == "upstream_timeout"
    await asyncio.wait_for(upstream.last.gone.wait(), 10)


# What the upstream itself says of its failure is passed on, and only completed where it is not.

OWN_ERROR: Json = {
    "type": "error",
    "error": {"type": "server_error", "code": "oops", "message": "Own words.", "param": None},
}


async def test_an_upstreams_own_failure_passes_unchanged(rig: Rig) -> None:
    failed = {"type": "response.failed", "response": {"id": "resp_upstream0001", "x": 1}}
    events = numbered([*BEGUN, OWN_ERROR, failed])
    for event, number in zip(events, range(len(events)), strict=True):
        event["sequence_number"] = number
    gateway, _ = await rig.serving(streams(*frames(events)))
    answer = await gateway.post(STREAM)
    assert answer.body == b"".join(frames(events)) + b"data: [DONE]\n\n"
    assert await gateway.metric("sluicegate_requests_total", status="500") == 1


async def test_an_upstreams_error_without_its_end_gets_one(rig: Rig) -> None:
    own = {**OWN_ERROR, "sequence_number": len(BEGUN)}
    gateway, _ = await rig.serving(streams(*frames([*BEGUN, own])))
    events = sent_events((await gateway.post(STREAM)).body)
    check_whole(events)
    assert [event["type"] for event in events[len(BEGUN) :]] == ["error", "response.failed"]
    assert events[-2] == own
    assert events[-1]["response"]["error"]["message"] == "Own words."


@pytest.mark.parametrize(
    ("code", "outcome"),
    [("rate_limit_exceeded", "broken_stream"), ("context_length_exceeded", None)],
)
async def test_an_upstream_that_hangs_after_its_error_is_not_waited_for(
    rig: Rig, code: str, outcome: str | None
) -> None:
    said = {"type": "error", "code": code, "message": "Own words.", "param": None}
    own = {**said, "sequence_number": len(BEGUN)}
    gateway, upstream = await rig.serving(hangs(*frames([*BEGUN, own])))
    answer = await asyncio.wait_for(gateway.post(STREAM), 10)
    events = sent_events(answer.body)
    failed = check_whole(events)
    assert [event["type"] for event in events[len(BEGUN) :]] == ["error", "response.failed"]
    assert failed["response"]["error"]["message"] == "Own words."
    assert failed["response"]["output"][0]["content"][0]["text"] == "Hello"
    await asyncio.wait_for(upstream.last.gone.wait(), 10)
    broken = {"deployment": "default/primary", "outcome": "broken_stream"}
    booked = await gateway.metric("sluicegate_attempts_total", **broken)
    assert bool(booked) is (outcome is not None)


# Upstreams that are hostile, or only very odd, can't make the end of a stream fail.

ODD: dict[str, list[Any]] = {
    "sequence numbers of other types": ["x", None, 1.5, True, [], {}, -3, 2**60, 1e300],
    "output indices of other types": ["x", None, 1.5, -1, [], 2**70],
}


@pytest.mark.parametrize("value", ODD["sequence numbers of other types"])
async def test_odd_sequence_numbers(rig: Rig, value: object) -> None:
    odd = [{**event, "sequence_number": value} for event in BEGUN]
    gateway, _ = await rig.serving(breaks_after(*frames(odd)))
    events = sent_events((await gateway.post(STREAM)).body)
    assert [event["type"] for event in events[-2:]] == ["error", "response.failed"]
    first, second = (event["sequence_number"] for event in events[-2:])
    assert (first, second) == (len(BEGUN), len(BEGUN) + 1)


@pytest.mark.parametrize("value", ODD["output indices of other types"])
@pytest.mark.parametrize("key", ["output_index", "content_index", "item", "part", "delta"])
async def test_odd_members(rig: Rig, key: str, value: object) -> None:
    odd = [{**event, key: value} if key in event else event for event in BEGUN]
    gateway, _ = await rig.serving(breaks_after(*frames(odd)))
    check_whole(sent_events((await gateway.post(STREAM)).body))


async def test_events_nested_to_the_limit(rig: Rig) -> None:
    for depth in (300, 900, 1000, 3000):
        item = b'{"type":"x","deep":' + b"[" * depth + b"]" * depth + b"}"
        event = (
            b'event: response.output_item.added\ndata: {"type":"response.output_item.added",'
            b'"sequence_number":2,"output_index":0,"item":' + item + b"}\n\n"
        )
        gateway, _ = await rig.serving(breaks_after(*frames(numbered(prelude())), event))
        answer = await gateway.post(STREAM)
        assert answer.body.endswith(b"data: [DONE]\n\n")
        assert answer.body.count(b"event: response.failed\n") == 1


@pytest.mark.parametrize(
    "payload",
    [
        b'{"type":"response.output_item.added","output_index":0,"item":{"type":"x","deep":%b}}',
        b'{"type":"response.created","response":{"id":"resp_1","deep":%b}}',
    ],
)
def test_what_can_just_be_read_may_be_too_deep_to_be_written(payload: bytes) -> None:
    for depth in range(700, 1000):
        event = b"data: " + payload % (b"[" * depth + b"]" * depth) + b"\n\n"
        ended = failed_events([event], ApiError(500, "Broken."), errored=False)
        assert [one.type for one in ended] == ["error", "response.failed"]


async def test_more_output_than_is_kept(rig: Rig) -> None:
    """Past some megabytes the end comes without the whole output, but it comes."""
    delta = {**BEGUN[-1], "delta": "x" * 50_000}
    events = BEGUN + [{**delta, "sequence_number": number} for number in range(len(BEGUN), 200)]
    gateway, _ = await rig.serving(breaks_after(*frames(events)))
    answer = await gateway.post(STREAM)
    tail = sent_events(b"".join(answer.body.partition(b"event: error\n")[1:]))
    assert [event["sequence_number"] for event in tail] == [200, 201]


async def test_the_sdk_raises_what_the_stream_tells(rig: Rig) -> None:
    gateway, _ = await rig.serving(breaks_after(*frames(BEGUN)))
    async with AsyncOpenAI(base_url=gateway.base_url, api_key=CLIENT_KEY, max_retries=0) as client:
        stream = await client.responses.create(model="gpt-test", input="hi", stream=True)
        seen: list[str] = []

        async def read() -> None:
            async for event in stream:
                seen.append(event.type)  # noqa: PERF401 -- what came before the error counts

        with pytest.raises(APIError) as raised:
            await read()
    assert seen == [event["type"] for event in BEGUN]
    assert raised.value.code == "upstream_connection_lost"


async def test_an_event_without_end_is_not_collected_for_ever(rig: Rig) -> None:
    sent = 0

    async def script(call: Call) -> None:
        nonlocal sent
        call.begin()
        call.chunk(b"".join(frames(BEGUN)) + b"data: ")
        piece = b"x" * 1_000_000
        while not call.gone.is_set():
            await call.send(b"%x\r\n%b\r\n" % (len(piece), piece))
            sent += len(piece)

    gateway, upstream = await rig.serving(script)
    events = sent_events((await gateway.post(STREAM)).body)
    check_whole(events)
    assert "larger than" in events[-2]["message"]
    await asyncio.wait_for(upstream.last.gone.wait(), 10)
    assert sent < 50_000_000


async def test_an_upstream_that_says_it_failed_counts_against_its_deployment(rig: Rig) -> None:
    response: dict[str, object] = {"id": "resp_upstream0001", "object": "response"}
    response |= {"status": "failed", "output": list[object]()}
    response["error"] = {"code": "server_error", "message": "it broke"}
    failed = {"type": "response.failed", "sequence_number": len(BEGUN), "response": response}
    gateway, _ = await rig.pool(streams(*frames([*BEGUN, failed])))
    answer = await gateway.post(STREAM)
    assert sent_events(answer.body)[-1]["type"] == "response.failed"
    broken = {"deployment": "default/number0", "outcome": "broken_stream"}
    assert await gateway.metric("sluicegate_attempts_total", **broken) == 1

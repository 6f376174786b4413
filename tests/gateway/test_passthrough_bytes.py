"""What passes through a deployment of the same dialect: every byte, but for the model's name."""

import asyncio
import json
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway_rig import Rig
from raw_client import RawClient
from responses_wire import answer_body, frame, frames, numbered, prelude, text_stream
from running_gateway import AUTHORIZED, UPSTREAM_KEY
from scripted_upstream import Call, answers, streams

DONE = b"data: [DONE]\n\n"

# Each holds the model once, in the spelling that goes upstream as "gpt-real".
BODIES = {
    "plain": b'{"model":"gpt-test","input":"hi"}',
    "odd white space": b'\r\n {\t"input" :\n"hi" ,\r "model"\t:  "gpt-test"  } \n',
    "unicode escapes": (
        b'{"\\u006dodel":"gpt\\u002dtest","input":"\\ud83d\\ude00 \\u00e9 \xc3\xa9"}'
    ),
    "model deeper down": (
        b'{"metadata":{"model":"gpt-test"},"model":"gpt-test","input":"\\"model\\""}'
    ),
    "unknown members": (
        b'{"future":{"a":[1.0,1e2,-0,12345678901234567890123]},"input":[{"type":"new","x":null}],'
        b'"model":"gpt-test","client_metadata":{"k":"v"}}'
    ),
    "tools": (
        b'{"model":"gpt-test","input":"x","tools":[{"type":"function","name":"f","parameters":'
        b'{"type":"object","properties":{}},"strict":null},{"type":"web_search"},'
        b'{"type":"namespace","name":"n","tools":[]},{"type":"from_next_year","z":[[]]}]}'
    ),
}


def under_real_name(body: bytes) -> bytes:
    """By hand: the last top-level spelling of the model is the one that is replaced."""
    for name in (b'"gpt\\u002dtest"', b'"gpt-test"'):
        at = body.rfind(name)
        if at >= 0:
            return body[:at] + b'"gpt-real"' + body[at + len(name) :]
    raise AssertionError(body)


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES.keys())
async def test_request_bytes_pass_unchanged_but_for_the_model(rig: Rig, body: bytes) -> None:
    gateway, upstream = await rig.serving(answers(answer_body()))
    assert (await gateway.post(body)).status == 200
    assert upstream.last.body == under_real_name(body)


async def test_what_goes_upstream_besides_the_body(rig: Rig) -> None:
    gateway, upstream = await rig.serving(answers(answer_body()))
    sent = {
        **AUTHORIZED,
        "Cookie": "session=1",
        "X-Forwarded-For": "10.0.0.1",
        "X-Sluicegate-Tags": "a=b",
        "Connection": "keep-alive, x-secret",
        "X-Secret": "1",
        "User-Agent": "test/1",
    }
    assert (await gateway.post(BODIES["plain"], sent)).status == 200
    call = upstream.last
    assert (call.method, call.target) == ("POST", "/v1/responses")
    assert dict(call.headers) == {
        "host": f"127.0.0.1:{upstream.port}",
        "content-type": "application/json",
        "authorization": f"Bearer {UPSTREAM_KEY}",
        "accept-encoding": "identity",
        "content-length": str(len(call.body)),
    }


ANSWERS = {
    "odd white space": b' {\r\n"object" : "response" ,\t"id":"resp_1" } \n',
    "unknown members": b'{"id":"resp_1","object":"response","future":[1.00,{"\\u00e9":1e400}]}',
    "one megabyte": b'{"id":"resp_1","object":"response","x":"' + b"y" * 1_000_000 + b'"}',
}


@pytest.mark.parametrize("body", ANSWERS.values(), ids=ANSWERS.keys())
async def test_answer_bytes_pass_unchanged(rig: Rig, body: bytes) -> None:
    gateway, _ = await rig.serving(answers(body))
    answer = await gateway.post(BODIES["plain"])
    assert answer.status == 200
    assert answer.body == body
    assert answer.headers["content-type"] == "application/json"


async def test_an_answer_in_one_byte_chunks_passes(rig: Rig) -> None:
    async def script(call: Call) -> None:
        call.head(200, [("Transfer-Encoding", "chunked")])
        for byte in answer_body("chunks"):
            call.chunk(bytes([byte]))
        call.end()

    gateway, _ = await rig.serving(script)
    assert (await gateway.post(BODIES["plain"])).body == answer_body("chunks")


async def test_an_answer_that_ends_with_the_connection_passes(rig: Rig) -> None:
    async def script(call: Call) -> None:
        call.head(200)
        call.write(answer_body("until the end"))
        call.close()

    gateway, _ = await rig.serving(script)
    assert (await gateway.post(BODIES["plain"])).body == answer_body("until the end")


# Streams.

STREAM = b'{"model":"gpt-test","input":"hi","stream":true}'
EMOJI = "\N{GRINNING FACE}\N{COMBINING ACUTE ACCENT}é漢"


async def streamed(rig: Rig, *pieces: bytes) -> bytes:
    gateway, _ = await rig.serving(streams(*pieces))
    answer = await gateway.post(STREAM)
    assert answer.status == 200
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert answer.headers["cache-control"] == "no-cache"
    return answer.body


async def test_frames_pass_unchanged_and_done_ends_the_stream(rig: Rig) -> None:
    sent = frames(text_stream())
    assert await streamed(rig, *sent) == b"".join(sent) + DONE


async def test_an_upstreams_own_done_is_not_doubled(rig: Rig) -> None:
    sent = frames(text_stream())
    assert await streamed(rig, *sent, DONE) == b"".join(sent) + DONE
    assert await streamed(rig, b"".join(sent) + DONE) == b"".join(sent) + DONE


@pytest.mark.parametrize("newline", ["\r\n", "\r"])
async def test_other_line_ends_pass_unchanged(rig: Rig, newline: str) -> None:
    sent = frames(text_stream(), newline=newline)
    assert await streamed(rig, *sent) == b"".join(sent) + DONE


async def test_events_of_unknown_types_pass(rig: Rig) -> None:
    events = text_stream()
    events.insert(3, {"type": "response.from_next_year", "new": {"a": [1]}})
    events = numbered([{**event} for event in events])
    nameless = b'data: {"type":"response.nameless","x":1}\n\n'
    odd = b'id: 7\nevent: response.odd\nretry: 10\ndata: {"type":\ndata: "response.odd"}\n\n'
    sent = frames(events)
    sent[4:4] = [nameless, odd]
    assert await streamed(rig, *sent) == b"".join(sent) + DONE


async def test_events_without_a_name_are_known_by_their_data(rig: Rig) -> None:
    sent = [b"data: " + json.dumps(event).encode() + b"\n\n" for event in text_stream()]
    assert await streamed(rig, *sent) == b"".join(sent) + DONE


async def test_comments_are_not_taken_for_events(rig: Rig) -> None:
    """A keep-alive says nothing of output: what comes after it can still fail over."""
    sent = frames(text_stream())
    body = await streamed(rig, b": hello\n\n", sent[0], b": ping\n\n", *sent[1:], b": bye\n\n")
    without_comments = b"".join(
        piece + b"\n\n" for piece in body.split(b"\n\n")[:-1] if not piece.startswith(b":")
    )
    assert without_comments == b"".join(sent) + DONE


async def test_an_event_of_a_megabyte_passes(rig: Rig) -> None:
    sent = frames(text_stream(("x" * 1_000_000, EMOJI)))
    whole = b"".join(sent)
    cut = [whole[at : at + 50_000] for at in range(0, len(whole), 50_000)]
    assert await streamed(rig, *cut) == whole + DONE


async def test_one_byte_chunks_pass_and_characters_stay_whole(rig: Rig) -> None:
    events = text_stream((EMOJI,))
    whole = b"".join(
        b"event: %b\ndata: %b\n\n"
        % (event["type"].encode(), json.dumps(event, ensure_ascii=False).encode())
        for event in events
    )
    assert await streamed(rig, *(bytes([byte]) for byte in whole)) == whole + DONE


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cuts=st.lists(st.integers(0, 4000), max_size=12))
async def test_any_cut_of_the_stream_gives_the_same_bytes(rig: Rig, cuts: list[int]) -> None:
    whole = b"".join(frames(text_stream((EMOJI, "b"))))
    places = sorted({0, len(whole), *(cut % len(whole) for cut in cuts)})
    pieces = [whole[a:b] for a, b in pairwise(places)]
    assert await streamed(rig, *pieces) == whole + DONE


async def test_nothing_after_the_terminal_event_is_passed_on(rig: Rig) -> None:
    sent = frames(text_stream())
    more = frame({"type": "response.output_text.delta", "delta": "late"})
    assert await streamed(rig, *sent, more, sent[-1]) == b"".join(sent) + DONE


async def test_each_event_is_passed_on_as_it_comes(rig: Rig) -> None:
    go_on = asyncio.Event()
    sent = frames(text_stream())

    async def script(call: Call) -> None:
        call.begin()
        for piece in sent[: len(prelude()) + 3]:
            call.chunk(piece)
        await go_on.wait()
        for piece in sent[len(prelude()) + 3 :]:
            call.chunk(piece)
        call.end()

    gateway, _ = await rig.serving(script)
    async with await RawClient.open(gateway.port) as client:
        client.post(STREAM, AUTHORIZED)
        await client.head()
        early = b""
        while b"Hel" not in early:
            early += await client.chunk()
        go_on.set()
        late = b""
        while chunk := await client.chunk():
            late += chunk
    assert early + late == b"".join(sent) + DONE


async def test_connections_to_the_upstream_are_used_again(rig: Rig) -> None:
    gateway, upstream = await rig.serving(streams(*frames(text_stream())))
    for _ in range(5):
        assert (await gateway.post(STREAM)).status == 200
    assert len(upstream.calls) == 5
    assert upstream.accepted == 1


@pytest.mark.parametrize("end", ["response.incomplete", "response.failed"])
async def test_other_ends_end_the_stream_too(rig: Rig, end: str) -> None:
    events = text_stream()
    events[-1] = {**events[-1], "type": end}
    sent = frames(events)
    assert await streamed(rig, *sent) == b"".join(sent) + DONE


async def test_tokens_of_streams_and_of_whole_answers_are_counted(rig: Rig) -> None:
    async def script(call: Call) -> None:
        await (streams(*frames(text_stream())) if call.streamed else answers(answer_body()))(call)

    gateway, _ = await rig.serving(script)
    for body in (STREAM, BODIES["plain"], STREAM):
        assert (await gateway.post(body)).status == 200
    for kind, tokens in (("input", 11), ("cached_input", 3), ("output", 7), ("reasoning", 5)):
        assert await gateway.metric("sluicegate_tokens_total", kind=kind) == 3 * tokens

"""Which failures send a request on to the next deployment, and what the client sees of them."""

import asyncio

import pytest

from free_ports import free_ports
from gateway_rig import Rig
from raw_client import Answer
from responses_wire import (
    answer_body,
    frames,
    text_stream,
)
from running_gateway import AUTHORIZED, key_entry, openai_entry
from scripted_upstream import Call, Script, answers, in_turn, streams
from sluicegate.config import Retry

GOOD = b'{"model":"gpt-test","input":"hi"}'
STREAM = b'{"model":"gpt-test","input":"hi","stream":true}'
WHOLE = b"".join(frames(text_stream())) + b"data: [DONE]\n\n"
SECOND = answer_body("from the second")


def envelope(message: str, code: str | None = None, param: str | None = None) -> bytes:
    error = f'"message":"{message}","type":"some_type","param":{quoted(param)}'
    return f'{{"error":{{{error},"code":{quoted(code)}}}}}'.encode()


def quoted(text: str | None) -> str:
    return "null" if text is None else f'"{text}"'


async def either(call: Call) -> None:
    """A deployment in good health, for streamed and for whole answers."""
    if call.streamed:
        await streams(*frames(text_stream()))(call)
    else:
        call.answer(SECOND)


def attempts(answer: Answer) -> list[str]:
    return answer.headers["x-sluicegate-attempts"].split(";")


def unused_port() -> int:
    """Which the kernel gives nobody else."""
    with free_ports(1) as (port,):
        return port


@pytest.mark.parametrize("body", [GOOD, STREAM], ids=["whole", "stream"])
async def test_a_refused_connection_goes_on_to_the_next(rig: Rig, body: bytes) -> None:
    second = await rig.upstream(either)
    gateway = await rig.gateway(
        key_entry(),
        openai_entry(f"http://127.0.0.1:{unused_port()}/v1", name="down"),
        openai_entry(second.base_url, name="up", priority=1),
    )
    answer = await gateway.post(body)
    assert answer.status == 200
    assert answer.body == (WHOLE if body == STREAM else SECOND)
    assert answer.headers["x-sluicegate-deployment"] == "default/up"
    assert attempts(answer) == ["default/down=connect", "default/up=ok"]


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (500, "server_error"),
        (502, "server_error"),
        (503, "server_error"),
        (504, "server_error"),
        (520, "server_error"),
        (529, "server_error"),
        (599, "server_error"),
        (408, "server_error"),
        (409, "server_error"),
        (301, "server_error"),
        (302, "server_error"),
        (307, "server_error"),
        (429, "rate_limited"),
        (401, "credential"),
        (403, "credential"),
    ],
)
@pytest.mark.parametrize("body", [GOOD, STREAM], ids=["whole", "stream"])
async def test_an_upstreams_own_trouble_goes_on_to_the_next(
    rig: Rig, status: int, outcome: str, body: bytes
) -> None:
    headers = [("Location", "http://127.0.0.1:1/elsewhere"), ("Retry-After", "60")]
    trouble = answers(envelope("trouble"), status, headers)
    gateway, (first, second) = await rig.pool(trouble, either)
    answer = await gateway.post(body)
    assert answer.status == 200
    assert answer.body == (WHOLE if body == STREAM else SECOND)
    assert attempts(answer) == [f"default/number0={outcome}({status})", "default/number1=ok"]
    assert (len(first.calls), len(second.calls)) == (1, 1)
    assert first.last.body == second.last.body


@pytest.mark.parametrize("status", [400, 404, 405, 410, 413, 415, 422, 451, 499])
@pytest.mark.parametrize("body", [GOOD, STREAM], ids=["whole", "stream"])
async def test_the_clients_own_mistake_is_told_and_not_tried_again(
    rig: Rig, status: int, body: bytes
) -> None:
    mistake = answers(envelope("Unsupported parameter: 'x'.", "unsupported", "x"), status)
    gateway, (first, second) = await rig.pool(mistake, either)
    answer = await gateway.post(body)
    assert answer.status == status
    error = answer.error
    assert error["message"] == "Unsupported parameter: 'x'."
    assert (error["code"], error["param"], error["type"]) == ("unsupported", "x", "some_type")
    assert attempts(answer) == [f"default/number0=client_error({status})"]
    assert (len(first.calls), len(second.calls)) == (1, 0)


@pytest.mark.parametrize(
    ("status", "told"),
    [
        (500, 500),
        (502, 502),
        (503, 503),
        (504, 504),
        (520, 520),
        (529, 503),
        (599, 599),
        (408, 504),
        (409, 409),
        (429, 429),
        (401, 502),
        (403, 502),
        (407, 502),
        (301, 502),
        (302, 502),
        (304, 502),
        (308, 502),
        (418, 418),
        (420, 420),
        (460, 460),
    ],
)
async def test_when_nothing_is_left_the_error_is_told(rig: Rig, status: int, told: int) -> None:
    body = b"" if status == 304 else envelope("no luck", "some_code")
    gateway, _ = await rig.pool(answers(body, status))
    answer = await gateway.post(GOOD)
    assert answer.status == told
    assert answer.error["type"]
    assert answer.headers["x-sluicegate-deployment"] == "default/number0"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>Bad gateway</html>",
        b"{",
        b"[]",
        b'{"error":null}',
        b'{"error":[]}',
        b"\xff\xfe",
        b'{"error":{"message":7,"code":{}}}',
        b'{"error":{"message":"' + b"x" * 100_000 + b'"}}',
        b'{"error":"just words"}',
        b'{"detail":"words"}',
        b"[" * 100_000,
        b'{"error":{"code":12}}',
    ],
)
@pytest.mark.parametrize("status", [400, 500])
async def test_an_error_without_the_envelope_gets_one(rig: Rig, status: int, body: bytes) -> None:
    gateway, _ = await rig.pool(answers(body, status))
    answer = await gateway.post(GOOD)
    assert answer.status == status
    assert answer.error["message"]
    assert len(answer.body) < 5000


async def test_retry_after_is_passed_on(rig: Rig) -> None:
    for sent, told in (("7", "7"), ("1.2", "2"), ("0", "0")):
        gateway, _ = await rig.pool(answers(envelope("slow down"), 429, [("Retry-After", sent)]))
        answer = await gateway.post(GOOD)
        assert (answer.status, answer.headers["retry-after"]) == (429, told)
    gateway, _ = await rig.pool(answers(envelope("slow"), 503, [("retry-after-ms", "2500")]))
    assert (await gateway.post(GOOD)).headers["retry-after"] == "3"


@pytest.mark.parametrize(
    "value", ["-1", "nan", "inf", "1e400", "Wed, 21 Okt 2026 07:28:00 GMT", ""]
)
async def test_a_retry_after_that_is_no_time_is_not_passed_on(rig: Rig, value: str) -> None:
    gateway, _ = await rig.pool(answers(envelope("slow down"), 429, [("Retry-After", value)]))
    assert "retry-after" not in (await gateway.post(GOOD)).headers


async def test_the_same_deployment_is_tried_again_when_it_is_the_last(rig: Rig) -> None:
    upstream = await rig.upstream(in_turn(answers(b"", 503), answers(b"", 429), either))
    retry = Retry(attempts=3, backoff=0.01)
    gateway = await rig.gateway(key_entry(), openai_entry(upstream.base_url, retry=retry))
    answer = await gateway.post(GOOD)
    assert answer.status == 200
    assert attempts(answer) == [
        "default/primary=server_error(503)",
        "default/primary=rate_limited(429)",
        "default/primary=ok",
    ]


async def test_a_long_retry_after_is_told_and_not_waited_for(rig: Rig) -> None:
    upstream = await rig.upstream(answers(envelope("later"), 429, [("Retry-After", "20")]))
    retry = Retry(attempts=5, backoff=0.01)
    gateway = await rig.gateway(key_entry(), openai_entry(upstream.base_url, retry=retry))
    answer = await gateway.post(GOOD, AUTHORIZED | {"x-sluicegate-timeout": "10"})
    assert (answer.status, answer.headers["retry-after"]) == (429, "20")
    assert len(upstream.calls) == 1


# A connection that breaks before there is an answer.


async def _half_a_head(call: Call) -> None:
    call.write(b"HTTP/1.1 200 OK\r\nContent-")
    call.close()


async def _half_a_body(call: Call) -> None:
    call.write(b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"object"')
    call.close()


async def _nothing(call: Call) -> None:
    call.close()


async def _reset(call: Call) -> None:
    call.reset()


async def _garbage(call: Call) -> None:
    call.write(b"\x15\x03\x01\x00\x02\x02\x50" + b"\0" * 50)


async def _bad_chunks(call: Call) -> None:
    call.begin()
    call.write(b"zz\r\n{}\r\n")


LOST: dict[str, Script] = {
    "half a head": _half_a_head,
    "half a body": _half_a_body,
    "closed": _nothing,
    "reset": _reset,
    "garbage": _garbage,
    "bad chunks": _bad_chunks,
}
UNREADABLE: dict[str, Script] = {
    "not JSON": answers(b"<html></html>"),
    "an empty body": answers(b""),
    "no content": answers(b"", 204),
    "an array": answers(b"[]"),
    "an empty stream": streams(),
    "a stream of something else": streams(b"hello\n\nworld\n\n"),
    "only comments": streams(b": a\n\n", b": b\n\n"),
    "only done": streams(b"data: [DONE]\n\n"),
    "events that are not JSON": streams(b"data: hello\n\n"),
}
BREAKS = LOST | UNREADABLE


@pytest.mark.parametrize("script", BREAKS.values(), ids=BREAKS.keys())
@pytest.mark.parametrize("body", [GOOD, STREAM], ids=["whole", "stream"])
async def test_an_answer_that_is_none_goes_on_to_the_next(
    rig: Rig, script: Script, body: bytes
) -> None:
    gateway, _ = await rig.pool(script, either)
    answer = await gateway.post(body)
    assert answer.status == 200
    assert answer.body == (WHOLE if body == STREAM else SECOND)
    # A whole answer may have cost what it says, so nobody asks there again.
    paid = body == GOOD and script in UNREADABLE.values()
    outcome = "invalid_answer" if paid else "lost"
    assert attempts(answer) == [f"default/number0={outcome}", "default/number1=ok"]


@pytest.mark.parametrize("script", BREAKS.values(), ids=BREAKS.keys())
@pytest.mark.parametrize("body", [GOOD, STREAM], ids=["whole", "stream"])
async def test_an_answer_that_is_none_is_502_at_the_last(
    rig: Rig, script: Script, body: bytes
) -> None:
    gateway, _ = await rig.pool(script)
    answer = await gateway.post(body)
    assert answer.status == 502
    assert answer.error["code"] in ("upstream_connection_lost", "upstream_invalid_answer")
    assert "default/number0" in answer.error["message"]


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (b'{"message":"Overloaded.","code":503}', "server_error(500)"),
        (b'{"message":"Slow down.","code":429}', "rate_limited(429)"),
        (b'{"message":"Odd.","code":{}}', "server_error(500)"),
    ],
)
async def test_an_error_without_a_type_that_begins_a_stream_goes_on_to_the_next(
    rig: Rig, error: bytes, outcome: str
) -> None:
    gateway, _ = await rig.pool(streams(b'data: {"error":%b}\n\n' % error), either)
    answer = await gateway.post(STREAM)
    assert (answer.status, answer.body) == (200, WHOLE)
    assert attempts(answer) == [f"default/number0={outcome}", "default/number1=ok"]


async def test_attempts_are_counted(rig: Rig) -> None:
    gateway, _ = await rig.pool(answers(b"", 500), either)
    await gateway.post(GOOD)
    counted = {"model": "gpt-test", "deployment": "default/number1", "provider": "openai"}
    assert await gateway.metric("sluicegate_requests_total", status="200", **counted) == 1
    failed = {"deployment": "default/number0", "outcome": "server_error"}
    assert await gateway.metric("sluicegate_attempts_total", **failed) == 1
    assert await gateway.metric("sluicegate_attempts_total", outcome="ok") == 1


async def test_an_answer_that_is_too_large_is_not_asked_for_again(rig: Rig) -> None:
    async def script(call: Call) -> None:
        call.head(200, [("Content-Length", str(1024**3))])
        await call.gone.wait()

    upstream = await rig.upstream(script)
    other = await rig.upstream(either)
    gateway = await rig.gateway(
        key_entry(),
        openai_entry(upstream.base_url, retry=Retry(attempts=3, backoff=0.01)),
        openai_entry(other.base_url, name="other", priority=1),
    )
    answer = await gateway.post(GOOD)
    assert (answer.status, answer.error["code"]) == (502, "upstream_answer_too_large")
    assert (len(upstream.calls), len(other.calls)) == (1, 0)
    await asyncio.wait_for(upstream.last.gone.wait(), 10)


async def _huge(call: Call) -> None:
    call.head(429, [("Content-Length", str(1024**3)), ("Retry-After", "9")])
    await call.gone.wait()


async def _cut(call: Call) -> None:
    call.head(429, [("Content-Length", "1000"), ("Retry-After", "9")])
    call.write(b'{"error":')
    call.close()


@pytest.mark.parametrize("script", [_huge, _cut])
async def test_an_error_counts_even_if_its_words_can_not_be_had(rig: Rig, script: Script) -> None:
    gateway, _ = await rig.pool(script)
    answer = await gateway.post(GOOD)
    assert (answer.status, answer.headers["retry-after"]) == (429, "9")
    assert attempts(answer) == ["default/number0=rate_limited(429)"]
    assert answer.error["message"] == "Deployment default/number0 answered HTTP 429."


async def _stalled(call: Call) -> None:
    call.head(503, [("Content-Length", "1000")])
    call.write(b'{"error":')
    await call.gone.wait()


async def _dripping(call: Call) -> None:
    call.head(503, [("Content-Length", "1000000")])
    while not call.gone.is_set():
        call.write(b" ")
        await asyncio.sleep(0.01)


@pytest.mark.parametrize("script", [_stalled, _dripping])
async def test_the_words_of_an_error_are_not_waited_for_long(
    rig: Rig, script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its status says what matters, and there is another deployment."""
    monkeypatch.setattr("sluicegate.pipeline.attempt._ERROR_SECONDS", 0.1)
    gateway, (upstream, _) = await rig.pool(script, either)
    answer = await asyncio.wait_for(gateway.post(GOOD), 30)
    assert (answer.status, answer.body) == (200, SECOND)
    assert attempts(answer) == ["default/number0=server_error(503)", "default/number1=ok"]
    await asyncio.wait_for(upstream.last.gone.wait(), 10)


async def test_an_upstream_that_goes_on_after_its_end_is_cut_off(rig: Rig) -> None:
    """The client has its whole answer; nobody reads on for long in the hope of another one."""

    async def script(call: Call) -> None:
        call.begin()
        for piece in frames(text_stream()):
            call.chunk(piece)
        noise = b": " + b"x" * 100_000 + b"\n\n"
        while not call.gone.is_set():
            await call.send(b"%x\r\n%b\r\n" % (len(noise), noise))

    gateway, upstream = await rig.serving(script)
    async with await gateway.connect() as client:
        for count in (1, 2):
            client.post(STREAM, AUTHORIZED)
            answer = await asyncio.wait_for(client.answer(), 10)
            assert answer.body == WHOLE
            await asyncio.wait_for(upstream.calls[count - 1].gone.wait(), 10)

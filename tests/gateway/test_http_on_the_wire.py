"""HTTP itself: odd, old, broken and hostile clients. Nothing hangs, every answer is JSON."""

import asyncio
import logging

import pytest

from gateway_rig import Rig
from raw_client import RawClient, request
from responses_wire import answer_body, frames, text_stream
from running_gateway import AUTHORIZED, CLIENT_KEY
from scripted_upstream import Call, answers, hangs, streams, waits
from sluicegate.server.exchange import ExchangeLimits
from sluicegate.server.process import ServerSettings
from undisturbed import undisturbed

GOOD = b'{"model":"gpt-test","input":"hi"}'
STREAM = b'{"model":"gpt-test","input":"hi","stream":true}'
KEY = b"Authorization: Bearer " + CLIENT_KEY.encode() + b"\r\n"
LENGTH = b"Content-Length: %d\r\n" % len(GOOD)

POST = b"POST /v1/responses HTTP/1.1\r\nHost: x\r\n"

BROKEN = {
    "garbage": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x80" * 50 + b"\r\n\r\n",
    "words": b"hello there\r\n\r\n",
    "NUL in the path": b"GET /v1/mod\0els HTTP/1.1\r\nHost: x\r\n\r\n",
    "NUL in a header": b"GET /v1/models HTTP/1.1\r\nHost: x\r\nX: a\0b\r\n\r\n",
    "no colon": b"GET /v1/models HTTP/1.1\r\nHost\r\n\r\n",
    "a blank before the colon": b"GET /v1/models HTTP/1.1\r\nHost : x\r\n\r\n",
    "a folded header": b"GET /v1/models HTTP/1.1\r\nHost: x\r\nX: a\r\n b\r\n\r\n",
    "an unknown version": b"GET /v1/models HTTP/9.9\r\nHost: x\r\n\r\n",
    "a version without a number": b"GET /v1/models\r\n\r\n",
    "HTTP/0.9": b"GET /v1/models HTTP/0.9\r\nHost: x\r\n\r\n",
    "HTTP/2 without its preface": b"GET / HTTP/2.0\r\nHost: x\r\n\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "lines without a return": b"GET /v1/models HTTP/1.1\nHost: x\n\n",
    "a return alone": b"GET /v1/models HTTP/1.1\r\nHost: x\rX: y\r\n\r\n",
    "no token in a header's name": b"GET /v1/models HTTP/1.1\r\nHost: x\r\nX(y): z\r\n\r\n",
    "nothing in a header's name": b"GET /v1/models HTTP/1.1\r\nHost: x\r\n: x\r\n\r\n",
    "a target without end": b"GET /" + b"a" * 200_000,
    "a header without end": b"GET / HTTP/1.1\r\nX: " + b"a" * 200_000,
    "a blank in a header's name": b"GET /v1/models HTTP/1.1\r\nHost: x\r\nX y: z\r\n\r\n",
    "an asterisk": b"GET * HTTP/1.1\r\nHost: x\r\n\r\n",
    "a line too long": b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    "a header too long": b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 20_000 + b"\r\n\r\n",
    "too many headers": b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X: y\r\n" * 1000 + b"\r\n",
    "two lengths": POST + b"" + LENGTH + b"Content-Length: 1\r\n\r\n" + GOOD,
    "the same length twice": POST + b"" + LENGTH * 2 + b"\r\n" + GOOD,
    "length and chunks": POST + b"" + LENGTH + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a negative length": POST + b"Content-Length: -1\r\n\r\n",
    "a length with a sign": POST + b"Content-Length: +1\r\n\r\nx",
    "a length without end": POST + b"Content-Length: " + b"9" * 40 + b"\r\n\r\n",
    "a list of lengths": POST + b"Content-Length: 1, 1\r\n\r\nx",
    "chunks that are not last": POST + b"Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
    "chunks twice": POST + b"Transfer-Encoding: chunked\r\n" * 2 + b"\r\n0\r\n\r\n",
    "a head without end": b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 20_000,
    "nothing but blank lines": b"\r\n" * 50_000,
    "many headers, and no end": b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X:\r\n" * 5000,
    "a coding before chunks": POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "nothing before chunks": POST + b"Transfer-Encoding: ,chunked\r\n\r\n0\r\n\r\n",
    "chunks of HTTP/1.0": POST.replace(b"/1.1", b"/1.0")
    + b"Connection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "no host": b"GET /v1/models HTTP/1.1\r\n\r\n",
    "an unknown coding": POST + b"Transfer-Encoding: cow\r\n\r\n",
    "two content types": POST + b"Content-Type: application/json"
    b"\r\nContent-Type: text/plain\r\n\r\n",
    "two hosts": b"GET /v1/models HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
}


@pytest.mark.parametrize("data", BROKEN.values(), ids=BROKEN.keys())
async def test_what_is_not_http_gets_one_envelope_and_the_end(
    rig: Rig, data: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    gateway, _ = await rig.serving(answers(answer_body()))
    with caplog.at_level(logging.DEBUG):
        async with await gateway.connect() as client:
            client.send(data)
            answer = await client.answer()
            assert 400 <= answer.status < 500
            assert answer.error["type"] == "invalid_request_error"
            assert answer.headers["connection"] == "close"
            assert "server" not in answer.headers
            assert await client.closed() == b""
    assert not caplog.records  # a port scanner can't fill the log


REASONS = {
    "two content types": "it has more than one content-type header",
    "two hosts": "it has more than one host header",
    "no host": "it has no host header",
    "HTTP/2 without its preface": "its version is neither 1.0 nor 1.1",
    "an asterisk": "its target is neither a path nor a URL",
    "an unknown coding": "its transfer-encoding is not chunked",
    "chunks of HTTP/1.0": "its transfer-encoding is not chunked, or its version is 1.0",
    "too many headers": "its head, or what is between",
    "a header too long": "its head, or what is between",
    "no colon": "invalid header token",
    "two lengths": "duplicate Content-Length",
}


@pytest.mark.parametrize("broken", REASONS)
async def test_the_refusal_says_why(rig: Rig, broken: str) -> None:
    gateway, _ = await rig.serving(answers(answer_body()))
    answer = await gateway.ask(BROKEN[broken])
    assert answer.error["code"] == "invalid_http"
    start = "The request is not valid HTTP: "
    assert answer.error["message"].startswith(start + REASONS[broken])
    assert answer.error["message"].endswith(".")


@pytest.mark.parametrize(
    "head",
    [
        POST + b"X: " + b"a" * 9_000 + b"\r\n",
        b"POST /v1/responses HTTP/1.1\r\n",
        POST + b"Transfer-Encoding: gzip, chunked\r\n",
    ],
)
async def test_who_is_still_sending_reads_the_refusal(rig: Rig, head: bytes) -> None:
    """A connection that is closed under a client that writes is an error there, not an answer."""
    gateway, _ = await rig.serving(answers(answer_body()))
    client = await rig.client(gateway)
    client.send(head + KEY + b"Content-Length: 8000000\r\n\r\n")
    for _ in range(80):
        client.send(b"x" * 100_000)
        await client.writer.drain()
    answer = await client.answer()
    assert answer.error["code"] == "invalid_http"
    assert answer.headers["connection"] == "close"
    assert await client.reader.read() == b""


@pytest.mark.parametrize(
    "host",
    [
        *(b"a b", b"a/b", b"a@b", b"a,b c", b"a?b", b"a#b", b"a\\b", b"<a>", b'"a"', b"a|b", b"a^"),
        *(b"a\x01b", b"a\x7fb", b"a\tb", b"\xc3\xa4.example", b"\xff", b"a%zz", b"a%2"),
        *(
            b"a:b",
            b"a:80:80",
            b"a:-1",
            b"::1",
            b"[]",
            b"[::1",
            b"::1]",
            b"[::1]x",
            b"[::1]:x",
            b"[a/]",
        ),
    ],
)
@pytest.mark.parametrize("version", [b"1.0", b"1.1"])
async def test_a_host_that_is_none_is_refused(rig: Rig, host: bytes, version: bytes) -> None:
    """RFC 9112 section 3.2: a host header with an invalid value is answered with 400."""
    gateway, _ = await rig.serving(answers(answer_body()))
    async with await gateway.connect() as client:
        client.send(b"GET /healthz HTTP/%b\r\nHost: %b\r\n\r\n" % (version, host))
        answer = await client.answer()
        assert answer.status == 400
        assert answer.error["code"] == "invalid_http"
        assert await client.closed() == b""


@pytest.mark.parametrize(
    "host",
    [
        *("", "x", "gateway.models.svc.cluster.local", "A.Example.:80", "a_b:4000", "a:", ":80"),
        *("127.0.0.1", "127.0.0.1:4000", "[::1]", "[::1]:4000", "[fe80::1%25eth0]:4000"),
        *("xn--bcher-kva.example", "a%2Db", "[v1.x]"),
    ],
)
async def test_a_host_may_be_any_name_or_address(rig: Rig, host: str) -> None:
    gateway, _ = await rig.serving(answers(answer_body()))
    answer = await gateway.ask(f"GET /healthz HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
    assert answer.status == 200


async def test_broken_chunks_of_a_body(rig: Rig) -> None:
    gateway, upstream = await rig.serving(answers(answer_body()))
    head = POST + b"" + KEY + b"Transfer-Encoding: chunked\r\n\r\n"
    for broken in (
        b"zz\r\nab\r\n",
        b"2\r\nabcd\r\n",
        b"-1\r\n",
        b"f" * 20 + b"\r\n",
        b"2;\0\r\nab\r\n",
    ):
        for early in (head + broken, head + b"2\r\n{}\r\n" + broken):
            async with await gateway.connect() as client:
                client.send(early)
                assert (await client.answer()).error["type"] == "invalid_request_error"
                assert await client.closed() == b""
        async with await gateway.connect() as client:
            client.send(head)
            await asyncio.sleep(0.01)  # the handler waits for the body by now
            client.send(broken)
            error = (await client.answer()).error
            assert error["type"] == "invalid_request_error"
            assert error["message"].startswith("The request is not valid HTTP: ")
            assert await client.closed() == b""
    assert not upstream.calls
    assert await gateway.metric("sluicegate_refused_total", code="server_error") == 0


async def test_garbage_after_a_good_request(rig: Rig) -> None:
    gateway, _ = await rig.serving(answers(answer_body()))
    async with await gateway.connect() as client:
        client.send(request(GOOD, AUTHORIZED) + b"\0\0\0\0 what\r\n\r\n")
        answer = await client.answer()
        if answer.status == 200:  # the good one may be answered first
            answer = await client.answer()
        assert answer.error["type"] == "invalid_request_error"
        assert await client.closed() == b""


async def test_garbage_while_a_stream_runs_does_not_get_into_it(rig: Rig) -> None:
    go_on = asyncio.Event()
    gateway, _ = await rig.serving(waits(go_on, *frames(text_stream())))
    async with await gateway.connect() as client:
        client.post(STREAM, AUTHORIZED)
        await client.head()
        received = await client.chunk()
        client.send(b"\0\0 what\r\n\r\n")
        await asyncio.sleep(0.05)
        go_on.set()
        while chunk := await client.chunk():
            received += chunk
    assert received == b"".join(frames(text_stream())) + b"data: [DONE]\n\n"


@pytest.mark.parametrize(
    "endless",
    [b"1;x=" + b"y" * 100_000, b"0\r\n" + b"X: y\r\n" * 20_000],
    ids=["a chunk's extension", "trailers"],
)
async def test_what_is_no_body_does_not_go_on_for_ever(rig: Rig, endless: bytes) -> None:
    gateway, upstream = await rig.serving(answers(answer_body()))
    async with await gateway.connect() as client:
        client.send(POST + KEY + b"Transfer-Encoding: chunked\r\n\r\n" + endless)
        assert (await client.answer()).error["code"] == "invalid_http"
        assert await client.closed() == b""
    assert not upstream.calls


async def test_where_the_bytes_are_cut_makes_no_difference(rig: Rig) -> None:
    gateway, upstream = await rig.serving(answers(answer_body()))
    chunks = b"Transfer-Encoding: chunked\r\n\r\n3;a=b\r\n" + GOOD[:3] + b"\r\n"
    chunks += b"%x\r\n%b\r\n0\r\nModel: other\r\n\r\n" % (len(GOOD) - 3, GOOD[3:])
    sent = request(GOOD, AUTHORIZED) + POST + KEY + chunks
    sent += b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
    for at in range(1, len(sent), 3):
        async with await gateway.connect() as client:
            client.send(sent[:at])
            await asyncio.sleep(0)
            client.send(sent[at:])
            assert [(await client.answer()).status for _ in range(3)] == [200, 200, 200]
    assert {call.body for call in upstream.calls} == {GOOD.replace(b"gpt-test", b"gpt-real")}


async def test_http_1_0_gets_a_whole_answer_and_the_end(rig: Rig) -> None:
    gateway, _ = await rig.serving(answers(answer_body()))
    async with await gateway.connect() as client:
        client.send(b"POST /v1/responses HTTP/1.0\r\n" + KEY + LENGTH + b"\r\n" + GOOD)
        answer = await client.answer()
        assert answer.body == answer_body()
        assert answer.headers["connection"] == "close"
        assert await client.closed() == b""


async def test_http_1_0_may_keep_its_connection(rig: Rig) -> None:
    gateway, _ = await rig.serving(answers(answer_body()))
    async with await gateway.connect() as client:
        for _ in range(2):
            client.send(
                b"POST /v1/responses HTTP/1.0\r\nConnection: keep-alive\r\n"
                + KEY
                + LENGTH
                + b"\r\n"
                + GOOD
            )
            answer = await client.answer()
            assert answer.body == answer_body()
            assert answer.headers["connection"] == "keep-alive"


async def test_http_1_0_gets_a_stream_without_chunks(rig: Rig) -> None:
    gateway, _ = await rig.serving(streams(*frames(text_stream())))
    async with await gateway.connect() as client:
        length = b"Content-Length: %d\r\n" % len(STREAM)
        client.send(
            b"POST /v1/responses HTTP/1.0\r\nConnection: keep-alive\r\n"
            + KEY
            + length
            + b"\r\n"
            + STREAM
        )
        answer = await client.answer()
        assert "transfer-encoding" not in answer.headers
        assert answer.body == b"".join(frames(text_stream())) + b"data: [DONE]\n\n"


async def test_a_client_that_waits_for_100_is_told_to_go_on(rig: Rig) -> None:
    gateway, upstream = await rig.serving(answers(answer_body()))
    async with await gateway.connect() as client:
        head = POST + b"Expect: 100-Continue\r\n" + KEY + LENGTH
        client.send(head + b"\r\n")
        assert (await client.head())[0] == 100
        client.send(GOOD)
        answer = await client.answer()
        assert (answer.status, answer.body) == (200, answer_body())
        # The connection goes on, and who sends the body at once needs not be told.
        client.send(request(GOOD, AUTHORIZED | {"Expect": "100-continue"}))
        assert (await client.answer()).status == 200
    assert len(upstream.calls) == 2


async def test_http_1_0_is_never_told_to_go_on(rig: Rig) -> None:
    """RFC 9110 section 10.1.1: the expectation of an HTTP/1.0 request must be ignored."""
    gateway, _ = await rig.serving(answers(answer_body()))
    async with await gateway.connect() as client:
        client.send(
            b"POST /v1/responses HTTP/1.0\r\nExpect: 100-continue\r\n" + KEY + LENGTH + b"\r\n"
        )
        await asyncio.sleep(0.02)
        client.send(GOOD)
        answer = await client.answer()
        assert (answer.status, answer.interim) == (200, ())


async def test_who_is_refused_is_not_told_to_go_on(rig: Rig) -> None:
    gateway, _ = await rig.serving(answers(answer_body()))
    async with await gateway.connect() as client:
        client.send(POST + b"Expect: 100-continue\r\n" + LENGTH + b"\r\n")
        answer = await client.answer()
        assert (answer.status, answer.interim) == (401, ())
        assert answer.headers["connection"] == "close"


@pytest.mark.parametrize("path", ["/v1/models", "/healthz", "/readyz", "/v1/responses", "/nowhere"])
async def test_head_has_the_head_of_get_and_no_body(rig: Rig, path: str) -> None:
    gateway, _ = await rig.serving(answers(answer_body()))
    lines = b" " + path.encode() + b" HTTP/1.1\r\nHost: x\r\n" + KEY + b"\r\n"
    async with await gateway.connect() as client:
        client.send(b"GET" + lines)
        got = await client.answer()
        client.send(b"HEAD" + lines + b"GET" + lines)
        head = await client.answer(to_head=True)
        assert await client.answer() is not None  # nothing stands between the two answers
    assert head.status == got.status
    assert head.headers["content-type"] == got.headers["content-type"]


async def test_requests_in_a_row_are_answered_in_their_order(rig: Rig) -> None:
    async def script(call: Call) -> None:
        await asyncio.sleep(0.02 if call.json()["input"] == "slow" else 0)
        call.answer(b'{"object":"response","said":"' + call.json()["input"].encode() + b'"}')

    gateway, _ = await rig.serving(script)
    words = ["slow", "a", "b", "slow", "c"] * 20
    async with await gateway.connect() as client:
        for word in words:
            client.post(b'{"model":"gpt-test","input":"%b"}' % word.encode(), AUTHORIZED)
        for word in words:
            assert (await client.answer()).json()["said"] == word


async def test_thousands_of_requests_in_one_write(rig: Rig) -> None:
    gateway, _ = await rig.serving(answers(answer_body()))
    async with await gateway.connect() as client:
        for path in (b"/healthz", b"/nowhere") * 2500:
            client.send(b"GET %b HTTP/1.1\r\nHost: x\r\n\r\n" % path)
        statuses = [(await client.answer()).status for _ in range(5000)]
    assert statuses == [200, 404] * 2500


async def test_requests_behind_one_that_takes_long_do_not_pile_up(rig: Rig) -> None:
    go_on = asyncio.Event()

    async def script(call: Call) -> None:
        await go_on.wait()
        call.answer(answer_body())

    gateway, _ = await rig.serving(script)
    count = 200_000
    async with await gateway.connect() as client:
        client.post(GOOD, AUTHORIZED)
        client.send(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n" * count)
        still, left = 0, 1
        while still != left:  # until nothing moves any more
            still = left
            await asyncio.sleep(0.1)
            left = client.writer.transport.get_write_buffer_size()
        assert left > 0  # the gateway reads no further
        go_on.set()
        assert (await client.answer()).status == 200
        for _ in range(count // 100):
            assert (await client.answer()).status == 200


async def test_options_is_told_what_is_allowed(rig: Rig) -> None:
    gateway, _ = await rig.serving(answers(answer_body()))
    answer = await gateway.ask(b"OPTIONS /v1/responses HTTP/1.1\r\nHost: x\r\n\r\n")
    assert (answer.status, answer.headers["allow"]) == (405, "POST")


async def test_errors_and_streams_leave_a_connection_usable(rig: Rig) -> None:
    gateway, _ = await rig.serving(streams(*frames(text_stream())))
    async with await gateway.connect() as client:
        for body in (STREAM, b"{", STREAM, b'{"model":"x"}', STREAM):
            client.post(body, AUTHORIZED)
        statuses = [(await client.answer()).status for _ in range(5)]
    assert statuses == [200, 400, 200, 400, 200]


async def test_a_refused_body_does_not_become_the_next_request(rig: Rig) -> None:
    """A body that nobody reads must not be taken for a request (smuggling)."""
    gateway, upstream = await rig.serving(answers(answer_body()))
    inner = request(GOOD, AUTHORIZED)
    refused = request(inner, {})  # 401: the body is not looked at
    async with await gateway.connect() as client:
        client.send(refused + b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await client.answer()).status == 401
        assert (await client.answer()).json() == {"status": "ok"}
    async with await gateway.connect() as client:
        client.send(refused[: -len(inner)])
        assert (await client.answer()).status == 401
        client.send(inner)
        assert await client.closed() == b""
    assert not upstream.calls


@pytest.mark.parametrize("upgrade", ["h2c", "websocket", "tcp", "x"])
async def test_an_upgrade_that_is_not_served_is_ignored(rig: Rig, upgrade: str) -> None:
    """RFC 9110 section 7.8. Java's client asks for h2c with every request over plain HTTP."""
    gateway, upstream = await rig.serving(answers(answer_body()))
    fields = AUTHORIZED | {"Connection": "Upgrade, HTTP2-Settings", "Upgrade": upgrade}
    async with await gateway.connect() as client:
        client.send(request(GOOD, fields | {"HTTP2-Settings": "AAMAAABkAARAAAAAAAIAAAAA"}))
        assert (await client.answer()).body == answer_body()
    assert upstream.last.body == GOOD.replace(b"gpt-test", b"gpt-real")


@pytest.mark.parametrize("at_once", [True, False])
@pytest.mark.parametrize("chunked", [True, False])
async def test_what_follows_an_ignored_upgrade_is_its_body_and_then_a_request(
    rig: Rig, chunked: bool, at_once: bool
) -> None:
    gateway, upstream = await rig.serving(answers(answer_body()))
    head = POST + KEY + b"Connection: upgrade\r\nUpgrade: h2c\r\n"
    body = b"%x\r\n%b\r\n0\r\n\r\n" % (len(GOOD), GOOD) if chunked else GOOD
    head += b"Transfer-Encoding: chunked\r\n\r\n" if chunked else LENGTH + b"\r\n"
    async with await gateway.connect() as client:
        for piece in [(head + body) * 2] if at_once else [head, body, head + body[:5], body[5:]]:
            client.send(piece)
            await asyncio.sleep(0.01)
        head = b" HTTP/1.1\r\nHost: x\r\n"
        client.send(b"GET /healthz" + head + b"Connection: upgrade\r\nUpgrade: x\r\n\r\n")
        client.send(b"GET /nowhere" + head + b"\r\n")
        assert [(await client.answer()).status for _ in range(4)] == [200, 200, 200, 404]
    assert [call.body for call in upstream.calls] == [GOOD.replace(b"gpt-test", b"gpt-real")] * 2


async def test_the_absolute_form_is_a_path_too(rig: Rig) -> None:
    """RFC 9112 section 3.2.2: a server must accept it."""
    gateway, _ = await rig.serving(answers(answer_body()))
    assert (await gateway.post(GOOD, path="http://gateway.test/v1/responses")).status == 200
    assert (await gateway.post(GOOD, path="http://gateway.test")).error["code"] == "unknown_url"


async def test_connect_is_refused(rig: Rig) -> None:
    gateway, _ = await rig.serving(answers(answer_body()))
    async with await gateway.connect() as client:
        client.send(
            b"CONNECT example.org:443 HTTP/1.1\r\nHost: example.org:443\r\n\r\n\x16\x03\x01"
        )
        answer = await client.answer()
        assert 400 <= answer.status < 500
        assert answer.error


async def test_a_path_that_is_not_utf8(rig: Rig) -> None:
    gateway, _ = await rig.serving(answers(answer_body()))
    for path in (b"/v1/models/\xff\xfe", b"/\xff", b"/v1/models/%ff%fe", b"/v1/models/%00"):
        answer = await gateway.ask(b"GET " + path + b" HTTP/1.1\r\nHost: x\r\n" + KEY + b"\r\n")
        assert 400 <= answer.status < 500
        assert answer.error


async def test_a_client_that_closes_its_side_has_left(rig: Rig) -> None:
    """A close and a half close look alike; to wait for the difference would cost upstream calls."""
    gateway, upstream = await rig.serving(hangs())
    async with await gateway.connect() as client:
        client.post(GOOD, AUTHORIZED)
        call = await upstream.called()
        client.writer.write_eof()
        assert await client.closed() == b""
    await asyncio.wait_for(call.gone.wait(), 10)


QUICK = ServerSettings(
    port=0, admin_port=0, idle_seconds=0.4, limits=ExchangeLimits(body_seconds=0.4)
)


@pytest.mark.parametrize(
    "pieces",
    [[], [b"POST"], [b"POST /v1/responses HTTP/1.1\r\nHo"] + [b"s"] * 200],
    ids=["nothing", "a word", "a byte at a time"],
)
@undisturbed(0.3)
async def test_a_head_that_does_not_come_ends_the_connection(rig: Rig, pieces: list[bytes]) -> None:
    gateway, _ = await rig.serving(answers(answer_body()), settings=QUICK)
    async with await gateway.connect() as client:
        closed = asyncio.create_task(client.closed())
        began = asyncio.get_running_loop().time()
        for piece in pieces:
            if closed.done():
                break
            client.send(piece)
            await asyncio.sleep(0.02)
        assert await asyncio.wait_for(closed, 10) == b""
        assert asyncio.get_running_loop().time() - began < 3


@undisturbed(0.3)
async def test_a_connection_that_is_not_used_again_is_closed(rig: Rig) -> None:
    gateway, _ = await rig.serving(answers(answer_body()), settings=QUICK)
    async with await gateway.connect() as client:
        client.post(GOOD, AUTHORIZED)
        assert (await client.answer()).status == 200
        assert await asyncio.wait_for(client.closed(), 10) == b""


@undisturbed(0.3)
async def test_a_body_that_does_not_come_is_408(rig: Rig) -> None:
    gateway, upstream = await rig.serving(answers(answer_body()), settings=QUICK)
    async with await gateway.connect() as client:
        client.send(request(GOOD, AUTHORIZED | {"Content-Length": "1000"}))
        for _ in range(100):
            if client.writer.transport.is_closing():
                break
            client.send(b" ")
            await asyncio.sleep(0.01)
        answer = await asyncio.wait_for(client.answer(), 10)
        assert answer.status == 408
        assert answer.error["code"] == "request_timeout"
        assert answer.headers["connection"] == "close"
    assert not upstream.calls


async def test_many_connections_at_once(rig: Rig) -> None:
    gateway, upstream = await rig.serving(answers(answer_body()))
    clients = [await RawClient.open(gateway.port) for _ in range(200)]
    for client in clients:
        client.post(GOOD, AUTHORIZED)
    assert {(await client.answer()).status for client in clients} == {200}
    for client in clients:
        client.leave()
    assert len(upstream.calls) == 200


async def test_a_client_that_wants_to_close_is_told_so_and_closed(rig: Rig) -> None:
    gateway, _ = await rig.serving(streams(*frames(text_stream())))
    async with await gateway.connect() as client:
        client.post(STREAM, AUTHORIZED | {"Connection": "close"})
        answer = await client.answer()
        assert answer.headers["connection"] == "close"
        assert answer.body.endswith(b"data: [DONE]\n\n")
        assert await asyncio.wait_for(client.closed(), 10) == b""

"""The decoder: what is an answer, where it ends, and what is refused."""

import itertools

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sluicegate.transport.decoder import (
    MAX_HEAD_BYTES,
    MAX_HEADERS,
    MAX_INTERIM_ANSWERS,
    MAX_SILENT_BYTES,
    AnswerDecoder,
    FramingFault,
    Stage,
)

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"


def decode(*pieces: bytes, bodiless: bool = False) -> AnswerDecoder:
    decoder = AnswerDecoder(bodiless=bodiless)
    for piece in pieces:
        decoder.feed(piece)
    return decoder


def test_head_and_counted_body() -> None:
    decoder = decode(b"HTTP/1.1 201 Created\r\nX-Id:  7 \r\nContent-Length: 2\r\nEmpty:\r\n\r\nok")
    assert decoder.status == 201
    assert decoder.headers == [(b"x-id", b"7"), (b"content-length", b"2"), (b"empty", b"")]
    assert (decoder.parts, decoder.stage) == ([b"ok"], Stage.DONE)
    assert decoder.reusable


def test_chunks_extensions_and_trailers() -> None:
    decoder = decode(CHUNKED + b'5;a="b"\r\nhello\r\n1\r\n!\r\n0;x\r\nX-Sum: 1\r\n\r\n')
    assert b"".join(decoder.parts) == b"hello!"
    assert decoder.stage is Stage.DONE
    assert decoder.reusable
    assert decoder.headers == [(b"transfer-encoding", b"chunked")], "trailers are dropped"


@pytest.mark.parametrize(
    ("head", "reusable"),
    [
        (b"", True),
        (b"Connection: keep-alive\r\n", True),
        (b"Connection: Keep-Alive\r\n", True),
        (b"Connection: close\r\n", False),
        (b"Connection: CLOSE\r\n", False),
        (b"Connection: x-a, close\r\n", False),
        (b"Connection: keep-alive\r\nConnection: close\r\n", False),
        (b"Upgrade: h2c\r\nConnection: upgrade\r\n", False),
    ],
)
@pytest.mark.parametrize(
    "rest",
    [b"Content-Length: 2\r\n\r\nok", b"Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"],
)
def test_connection_header_decides_reuse(head: bytes, rest: bytes, reusable: bool) -> None:
    decoder = decode(OK + head + rest)
    assert decoder.stage is Stage.DONE
    assert b"".join(decoder.parts) == b"ok"
    assert decoder.reusable is reusable


def test_http_1_0_is_read_and_never_reused() -> None:
    decoder = decode(b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok")
    assert decoder.parts == [b"ok"]
    assert not decoder.reusable


def test_body_without_length_ends_with_the_connection() -> None:
    decoder = decode(OK + b"\r\nsome", b" text")
    assert decoder.stage is Stage.UNTIL_EOF
    assert decoder.feed_eof()
    assert b"".join(decoder.parts) == b"some text"
    assert not decoder.reusable


@pytest.mark.parametrize(
    "cut",
    [
        b"",
        b"HTTP/1.1 2",
        OK,
        OK + b"Content-Length: 3\r\n\r\n",
        OK + b"Content-Length: 3\r\n\r\nok",
        CHUNKED,
        CHUNKED + b"5\r\nhel",
        CHUNKED + b"5\r\nhello\r\n",
        CHUNKED + b"5\r\nhello\r\n0\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n",
    ],
)
def test_truncation_is_not_an_end(cut: bytes) -> None:
    assert not decode(cut).feed_eof()


@pytest.mark.parametrize(
    ("answer", "bodiless"),
    [
        (b"HTTP/1.1 204 No Content\r\n\r\n", False),
        (b"HTTP/1.1 304 Not Modified\r\n\r\n", False),
        (OK + b"\r\n", True),
        (OK + b"Content-Length: 0\r\n\r\n", True),
    ],
)
def test_answers_without_a_body(answer: bytes, bodiless: bool) -> None:
    decoder = decode(answer, bodiless=bodiless)
    assert decoder.stage is Stage.DONE
    assert decoder.parts == []


@pytest.mark.parametrize(
    ("answer", "bodiless"),
    [
        (b"HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\n", False),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 2\r\n\r\n", False),
        (b"HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n", False),
        (OK + b"Content-Length: 9\r\n\r\n", True),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n", True),
    ],
)
def test_a_body_that_may_not_be_there_costs_the_connection(answer: bytes, bodiless: bool) -> None:
    """If the upstream sends it nevertheless, it must not be taken for the next answer."""
    decoder = decode(answer, bodiless=bodiless)
    assert decoder.stage is Stage.DONE
    assert not decoder.reusable


SMUGGLED = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nbad"


@pytest.mark.parametrize("surplus", [SMUGGLED, b"x", b"\r\n", b"\r", b"\n", b"0\r\n\r\n", b"\0"])
@pytest.mark.parametrize(
    "answer",
    [
        OK + b"Content-Length: 2\r\n\r\nok",
        OK + b"Content-Length: 0\r\n\r\n",
        CHUNKED + b"2\r\nok\r\n0\r\n\r\n",
        CHUNKED + b"2\r\nok\r\n0\r\nA: b\r\n\r\n",
        OK + b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\n\r\n",
    ],
)
@pytest.mark.parametrize("apart", [False, True])
def test_surplus_bytes_end_the_connection_not_the_answer(
    answer: bytes, surplus: bytes, apart: bool
) -> None:
    plain = decode(answer)
    decoder = decode(answer, surplus) if apart else decode(answer + surplus)
    assert decoder.stage is Stage.DONE
    assert not decoder.reusable
    assert (decoder.status, decoder.headers) == (plain.status, plain.headers)
    assert b"".join(decoder.parts) == b"".join(plain.parts)


@pytest.mark.parametrize(
    "fields",
    [
        b"Content-Length: 2\r\nContent-Length: 2\r\n",
        b"Content-Length: 2\r\nContent-Length: 3\r\n",
        b"Content-Length: 2, 2\r\n",
        b"Content-Length: -2\r\n",
        b"Content-Length: +2\r\n",
        b"Content-Length: 0x2\r\n",
        b"Content-Length: 2_0\r\n",
        b"Content-Length: 2 0\r\n",
        b"Content-Length: \xb2\r\n",
        b"Content-Length:\r\n",
        b"Content-Length: 18446744073709551618\r\n",
        b"Content-Length: 9999999999999999999\r\n",
        b"Content-Length : 2\r\n",
        b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: chunked\r\nContent-Length: 2\r\n",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: gzip, chunked\r\n",
        b"Transfer-Encoding: chunked, identity\r\n",
        b"Transfer-Encoding: identity\r\n",
        b"Transfer-Encoding: xchunked\r\n",
        b"Transfer-Encoding: \x0bchunked\r\n",
        b"Transfer-Encoding:\r\n",
        b"A: b\r\n c: d\r\nContent-Length: 2\r\n",
        b"A: b\r\n\tc\r\nContent-Length: 2\r\n",
        b" A: b\r\nContent-Length: 2\r\n",
        b"A: b\0c\r\nContent-Length: 2\r\n",
        b"A\0: b\r\nContent-Length: 2\r\n",
        b"A: b\rc\r\nContent-Length: 2\r\n",
        b"A: b\rContent-Length: 9\r\nContent-Length: 2\r\n",
        b"A: b\nContent-Length: 2\r\n",
        b"A: b\x01\r\nContent-Length: 2\r\n",
        b"A b: c\r\nContent-Length: 2\r\n",
        b"A\r\nContent-Length: 2\r\n",
        b": c\r\nContent-Length: 2\r\n",
        b"\xe4: c\r\nContent-Length: 2\r\n",
    ],
)
@pytest.mark.parametrize("dribbled", [False, True])
def test_ambiguous_heads_are_refused(fields: bytes, dribbled: bool) -> None:
    answer = OK + fields + b"\r\n2\r\nok\r\n0\r\n\r\n"
    pieces = [answer[i : i + 1] for i in range(len(answer))] if dribbled else [answer]
    with pytest.raises(FramingFault):
        decode(*pieces)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/2.0 200 OK\r\n\r\n",
        b"HTTP/0.9 200 OK\r\n\r\n",
        b"http/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1  200 OK\r\n\r\n",
        b"HTTP/1.1 20 OK\r\n\r\n",
        b"HTTP/1.1 2000 OK\r\n\r\n",
        b"HTTP/1.1 2x0 OK\r\n\r\n",
        b"HTTP/1.1 000 OK\r\n\r\n",
        b"HTTP/1.1 099 OK\r\n\r\n",
        b"HTTP/1.1 600 OK\r\n\r\n",
        b"HTTP/1.1 200 O\0K\r\n\r\n",
        b"HTTP/1.1 200 O\rK\r\n\r\n",
        b"HTTP/1.1 200 OK\nContent-Length: 0\n\n",
        b"HTTP/1.1 200 OK\nContent-Length: 0\r\n\r\n",
        b"\r\nHTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
        b"<html>",
        b"\x15\x03\x01\x00\x02\x02\x46",
        b"GET / HTTP/1.1\r\n\r\n",
    ],
)
@pytest.mark.parametrize("dribbled", [False, True])
def test_what_is_no_status_line_is_refused_at_once(answer: bytes, dribbled: bool) -> None:
    pieces = [answer[i : i + 1] for i in range(len(answer))] if dribbled else [answer]
    with pytest.raises(FramingFault):
        decode(*pieces)


@pytest.mark.parametrize(
    "body",
    [
        b"zz\r\nhello\r\n",
        b"-5\r\nhello\r\n",
        b"+5\r\nhello\r\n",
        b"0x5\r\nhello\r\n",
        b"5 \r\nhello\r\n",
        b" 5\r\nhello\r\n",
        b"\r\n5\r\nhello\r\n",
        b"5\nhello\r\n",
        b"5\rhello\r\n",
        b"5\r\nhelloXX0\r\n\r\n",
        b"5\r\nhello0\r\n\r\n",
        b"5\r\nhello\n0\r\n\r\n",
        b"fffffffffffffffff\r\nhello\r\n",
        b"10000000000000005\r\nhello\r\n",
        b"5;a=b\nhello\r\n",
        b"5;a=\rb\r\nhello\r\n",
        b"5;a\x01\r\nhello\r\n",
        b"0\r\nX Y: z\r\n\r\n",
        b"0\r\nX: y\n\r\n",
        b"0\r\n\n",
    ],
)
@pytest.mark.parametrize("dribbled", [False, True])
def test_malformed_chunks_are_refused(body: bytes, dribbled: bool) -> None:
    pieces = [body[i : i + 1] for i in range(len(body))] if dribbled else [body]
    with pytest.raises(FramingFault):
        decode(CHUNKED, *pieces)


def test_interim_answers_are_skipped_up_to_a_number() -> None:
    interim = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nContent-Length: 5\r\n\r\n"
    answer = OK + b"Content-Length: 2\r\n\r\nok"
    decoder = decode(interim * MAX_INTERIM_ANSWERS + answer)
    assert (decoder.status, decoder.parts) == (200, [b"ok"])
    with pytest.raises(FramingFault):
        decode(interim * (MAX_INTERIM_ANSWERS + 1) + answer)


def test_head_size_is_bounded() -> None:
    room = MAX_HEAD_BYTES - len(OK + b"A: \r\nContent-Length: 0\r\n\r\n")
    fits = OK + b"A: " + b"x" * room + b"\r\nContent-Length: 0\r\n\r\n"
    assert decode(fits).status == 200
    with pytest.raises(FramingFault, match="too large"):
        decode(fits.replace(b"A: ", b"A: x"))
    with pytest.raises(FramingFault, match="too large"):
        decode(OK + b"A: ", *[b"x" * 1000] * 70)


def test_number_of_headers_is_bounded() -> None:
    assert decode(OK + b"A: b\r\n" * MAX_HEADERS + b"\r\n").status == 200
    with pytest.raises(FramingFault, match="too many"):
        decode(OK + b"A: b\r\n" * (MAX_HEADERS + 1) + b"\r\n")


@pytest.mark.parametrize("start", [b"5;", b"0\r\nX-Trailer: ", b"0" * 9])
def test_endless_chunk_extensions_and_trailers_are_cut_off(start: bytes) -> None:
    filler = b"0" if start.startswith(b"00") else b"x"
    decoder = decode(CHUNKED + start)

    def feed_on() -> None:
        for _ in range(MAX_SILENT_BYTES // 512 + 2):
            decoder.feed(filler * 512)

    with pytest.raises(FramingFault, match="without end"):
        feed_on()
    assert decoder.parts == []


def test_many_small_chunks_are_not_mistaken_for_endless_ones() -> None:
    decoder = decode(CHUNKED)
    for _ in range(MAX_SILENT_BYTES):
        for piece in (b"1\r", b"\n", b"x", b"\r\n"):
            decoder.feed(piece)
    decoder.feed(b"0\r\n\r\n")
    assert decoder.reusable


# Properties.

TOKEN = st.text("abcxyzABC0189-_!", min_size=1, max_size=12).map(str.encode)
VALUE = st.text('ab ,;="\t\xe4z09/', max_size=20).map(lambda text: text.encode("latin-1"))
FRAMING = frozenset({b"content-length", b"transfer-encoding", b"connection"})
HEADERS = st.lists(
    st.tuples(TOKEN.filter(lambda name: name.lower() not in FRAMING), VALUE), max_size=6
)


@st.composite
def answers(draw: st.DrawFn) -> tuple[bytes, int, list[tuple[bytes, bytes]], bytes]:
    """An answer's bytes with what they mean."""
    status = draw(st.sampled_from([200, 201, 301, 404, 413, 429, 500, 599]))
    headers = draw(HEADERS)
    interim = draw(st.sampled_from([b"", b"HTTP/1.1 100 Continue\r\n\r\n"]))
    lines = [b"HTTP/1.1 %d X" % status, *(b"%b: %b" % header for header in headers)]
    pieces = draw(st.lists(st.binary(min_size=1, max_size=40), max_size=6))
    body = b"".join(pieces)
    if draw(st.booleans()):
        lines.append(b"Transfer-Encoding: chunked")
        wire = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
    else:
        lines.append(b"Content-Length: %d" % len(body))
        wire = body
    meaning = [(name.lower(), value.strip(b" \t")) for name, value in headers]
    return interim + b"\r\n".join(lines) + b"\r\n\r\n" + wire, status, meaning, body


@given(answers(), st.lists(st.integers(0, 600), max_size=12))
def test_any_chunking_means_the_same(
    answer: tuple[bytes, int, list[tuple[bytes, bytes]], bytes], cuts: list[int]
) -> None:
    wire, status, headers, body = answer
    places = sorted({min(cut, len(wire)) for cut in cuts} | {0, len(wire)})
    pieces = [wire[a:b] for a, b in itertools.pairwise(places)]
    decoder = decode(*pieces)
    assert (decoder.stage, decoder.status) == (Stage.DONE, status)
    assert decoder.headers[:-1] == headers
    assert b"".join(decoder.parts) == body
    assert decoder.reusable


@given(answers(), st.data())
def test_no_truncation_is_an_end(
    answer: tuple[bytes, int, list[tuple[bytes, bytes]], bytes], data: st.DataObject
) -> None:
    wire = answer[0]
    decoder = decode(wire[: data.draw(st.integers(0, len(wire) - 1))])
    assert not decoder.feed_eof()


PIECES = st.sampled_from(
    [
        OK,
        b"HTTP/1.1 ",
        b"200",
        b"\r\n",
        b"\r\n\r\n",
        b"\n",
        b"\r",
        b"\0",
        b" ",
        b":",
        b";",
        b"0\r\n\r\n",
        b"5\r\nhello",
        b"Content-Length: 5\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"Connection: close\r\n",
        b"Upgrade: x\r\n",
        b"ffff",
    ]
)


@given(st.lists(PIECES | st.binary(max_size=8), max_size=20))
@example([b"HTTP/1.1 200 OK\r\n\r\n", b"\r\n"])
def test_garbage_ends_in_a_fault_or_an_answer(pieces: list[bytes]) -> None:
    """Nothing but FramingFault comes out, and the pieces' borders change nothing that counts."""

    def outcome(*given: bytes) -> tuple[object, ...]:
        decoder = AnswerDecoder()
        try:
            for piece in given:
                if piece:
                    decoder.feed(piece)
        except FramingFault:
            return ("fault", decoder.status)
        ended = decoder.feed_eof()
        return (ended, decoder.status, decoder.headers, b"".join(decoder.parts), decoder.reusable)

    wire = b"".join(pieces)
    whole = outcome(wire)
    assert outcome(*pieces) == whole
    assert outcome(*[wire[i : i + 1] for i in range(len(wire))]) == whole

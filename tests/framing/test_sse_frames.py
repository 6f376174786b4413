"""Server-Sent Events: any chunking gives equal frames, and their bytes are the upstream's."""

import time
from itertools import combinations, pairwise, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.framing.sse import Frame, FrameSplitter, FramingError, encode, parse_frame

LINE_ENDS = (b"\n", b"\r\n", b"\r")


def split(data: bytes, cuts: list[int] | None = None) -> tuple[list[bytes], bytes]:
    """Frames and leftover of `data`, fed in pieces."""
    splitter = FrameSplitter()
    frames: list[bytes] = []
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts or [])})
    for start, end in pairwise(places):
        frames += splitter.feed(data[start:end])
    return frames, splitter.close()


def parsed(frames: list[bytes]) -> list[Frame]:
    return [frame for frame in map(parse_frame, frames) if frame != Frame("", b"")]


@pytest.mark.parametrize("end", LINE_ENDS)
def test_frames_keep_their_bytes(end: bytes) -> None:
    one = end.join([b"event: a", b'data: {"x":1}', b"", b""])
    two = end.join([b"data:two", b"", b""])
    assert split(one + two) == ([one, two], b"")


@pytest.mark.parametrize("end", LINE_ENDS)
def test_fields_of_a_frame(end: bytes) -> None:
    lines = [b": a comment", b"id: 7", b"event:named", b"retry: 10", b"data:one", b"data: two"]
    frame = end.join([*lines, b"data", b"data:  spaced", b"", b""])
    assert parse_frame(frame) == Frame("named", b"one\ntwo\n\n spaced")


@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        (b"event: a\ndata: b\n\n", Frame("a", b"b")),
        (b"event: a\ndata: b\nz\n\n", Frame("a", b"b")),
        (b"event: a\ndata: b\nz", Frame("a", b"b")),
        (b"event: a\ndata: b\rdata: c\n\n", Frame("a", b"b\nc")),
        (b"event: a\ndata: b", Frame("a", b"b")),
        (b"event: a\ndata: b\n", Frame("a", b"b")),
        (b"event: a\n\n", Frame("a", b"")),
        (b"event: a", Frame("a", b"")),
        (b"data: [DONE]\n\n", Frame("", b"[DONE]")),
        (b": ping\n\n", Frame("", b"")),
        (b"\n\n", Frame("", b"")),
        (b"", Frame("", b"")),
        (b"event: \xff\ndata: \xff\n\n", Frame("�", b"\xff")),
        (b"data: a\x0bb\x1cc\xc2\x85d\n\n", Frame("", b"a\x0bb\x1cc\xc2\x85d")),
    ],
)
def test_parsing(frame: bytes, expected: Frame) -> None:
    assert parse_frame(frame) == expected


def test_a_frame_that_was_encoded_is_parsed_back() -> None:
    frame = encode("response.created", b'{"type":"response.created"}')
    assert frame == b'event: response.created\ndata: {"type":"response.created"}\n\n'
    assert parse_frame(frame) == Frame("response.created", b'{"type":"response.created"}')


def test_what_follows_the_last_frame_is_reported() -> None:
    assert split(b"data: a\n\ndata: cut") == ([b"data: a\n\n"], b"data: cut")
    assert split(b"data: a\n\n") == ([b"data: a\n\n"], b"")
    assert split(b"data: a\n") == ([], b"data: a\n")


@pytest.mark.parametrize("cuts", [[], [1], [2], [1, 2], [3]])
def test_a_byte_order_mark_is_dropped_at_the_start_only(cuts: list[int]) -> None:
    frames, rest = split(b"\xef\xbb\xbfdata: a\n\n\xef\xbb\xbfdata: b\n\n", cuts)
    assert frames == [b"data: a\n\n", b"\xef\xbb\xbfdata: b\n\n"]
    assert rest == b""
    assert split(b"\xef\xbb", [1]) == ([], b"\xef\xbb")
    assert split(b"\xef\xbbdata: a\n\n", cuts)[0] == [b"\xef\xbbdata: a\n\n"]


def test_a_frame_is_out_as_soon_as_its_blank_line_is() -> None:
    """Not one byte later: a client waits for it."""
    for end in LINE_ENDS:
        splitter = FrameSplitter()
        frame = b"data: a" + end + end
        for place in range(len(frame) - 1):
            assert splitter.feed(frame[place : place + 1]) == []
        assert splitter.feed(frame[-1:]) == [frame]


_alphabet = st.sampled_from(
    [b"\n", b"\r", b"\r\n", b"\n\n", b"data: x", b"event: e", b":", b"\xc3"]
)
_streams = st.lists(_alphabet, max_size=40).map(b"".join)
_cuts = st.lists(st.integers(min_value=0, max_value=200), max_size=20)


@given(_streams, _cuts)
def test_any_chunking_gives_equal_frames(data: bytes, cuts: list[int]) -> None:
    assert split(data, cuts) == split(data)
    assert split(data, list(range(len(data)))) == split(data)


def test_every_short_stream_in_every_chunking() -> None:
    """Line ends of several styles next to each other are rare, also among generated streams."""
    for length in range(1, 7):
        for data in map(bytes, product(b"a\n\r", repeat=length)):
            whole = split(data)
            for count in range(length):
                for cuts in combinations(range(1, length), count):
                    assert split(data, list(cuts)) == whole


@given(_streams)
def test_frames_and_leftover_are_the_input(data: bytes) -> None:
    frames, rest = split(data)
    assert b"".join(frames) + rest == data


def reference(data: bytes) -> list[Frame]:
    """The specification's own steps, line by line, for what is complete."""
    frames: list[Frame] = []
    event, lines = "", list[bytes]()
    kept = data.splitlines(keepends=True)
    for line in kept:
        text = line.rstrip(b"\r\n")
        if not line.endswith((b"\r", b"\n")):
            break
        if not text:
            if event or lines:
                frames.append(Frame(event, b"\n".join(lines)))
            event, lines = "", []
            continue
        name, _, value = text.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            lines.append(value)
        elif name == b"event":
            event = value.decode("utf-8", "replace")
    return [frame for frame in frames if frame != Frame("", b"")]


@given(_streams, _cuts)
def test_frames_say_what_the_specification_says(data: bytes, cuts: list[int]) -> None:
    frames, rest = split(data, cuts)
    expected = reference(data)
    found = parsed(frames)
    # After CR LF CR the next byte decides; at the end of the stream that event is a leftover.
    assert found == expected or (rest.endswith(b"\r\n\r") and found == expected[:-1])


def test_utf8_may_be_cut_anywhere() -> None:
    text = "data: ☃🎉é\n\n".encode()
    for cut in range(len(text)):
        frames, rest = split(text, [cut])
        assert (frames, rest) == ([text], b"")
        assert parse_frame(frames[0]).data.decode() == "☃🎉é"


def test_an_event_over_the_bound_is_refused_however_it_arrives() -> None:
    frame = b"data: " + b"x" * 200 + b"\n\n"
    whole = FrameSplitter(max_frame=100)
    with pytest.raises(FramingError):
        whole.feed(frame)
    slow = FrameSplitter(max_frame=100)
    for place in range(100):
        assert slow.feed(frame[place : place + 1]) == []
    with pytest.raises(FramingError):
        slow.feed(frame[100:101])
    assert FrameSplitter(max_frame=len(frame)).feed(frame * 3) == [frame] * 3


def test_a_large_event_in_small_pieces_costs_linear_time() -> None:
    def cost(size: int) -> float:
        splitter = FrameSplitter()
        began = time.perf_counter()
        splitter.feed(b"data: ")
        for _ in range(size):
            splitter.feed(b"x")
        assert len(splitter.feed(b"\n\n")[0]) == size + 8
        return time.perf_counter() - began

    cost(1000)
    # Quadratic work would be 64 times as much, and the guard is generous.
    assert cost(160_000) < 32 * max(cost(20_000), 0.001)

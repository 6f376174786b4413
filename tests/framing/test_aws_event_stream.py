"""AWS event stream: what botocore reads we read, in any pieces; what it refuses we refuse."""

import struct
from itertools import pairwise
from typing import cast
from zlib import crc32

import pytest
from botocore.eventstream import EventStreamBuffer, ParserError
from hypothesis import given
from hypothesis import strategies as st

from aws_wire import Header, error, event, exception, frame, header_block, text
from sluicegate.framing.aws_eventstream import Frame, FrameReader, FramingError

FIXED = {0: "", 1: "", 2: ">b", 3: ">h", 4: ">i", 5: ">q", 8: ">q"}


@st.composite
def header_lists(draw: st.DrawFn) -> list[Header]:
    headers: list[Header] = []
    for name in draw(st.lists(st.text(max_size=20), unique=True, max_size=5)):
        kind = draw(st.integers(0, 9))
        if kind in FIXED:
            size = struct.calcsize(FIXED[kind] or ">")
            value = draw(st.binary(min_size=size, max_size=size))
        elif kind == 9:
            value = draw(st.binary(min_size=16, max_size=16))
        else:
            raw = draw(
                st.binary(max_size=40) if kind == 6 else st.text(max_size=20).map(str.encode)
            )
            value = struct.pack(">H", len(raw)) + raw
        headers.append((name, kind, value))
    return headers


frames = st.builds(frame, header_lists(), st.binary(max_size=200))
streams = st.lists(frames, max_size=5).map(b"".join)
cuts = st.lists(st.integers(0, 2000), max_size=20)


def read(data: bytes, places: list[int]) -> list[Frame]:
    """Every frame; raises FramingError also for what is left at the end."""
    reader = FrameReader()
    edges = sorted({0, len(data), *(place % (len(data) + 1) for place in places)})
    found = [item for start, end in pairwise(edges) for item in reader.feed(data[start:end])]
    reader.close()
    return found


def as_botocore_reads(data: bytes) -> list[tuple[dict[str, object], bytes]]:
    buffer = EventStreamBuffer()
    buffer.add_data(data)
    # The stubs have other types for headers than there are.
    read = [(cast("dict[str, object]", message.headers), message.payload) for message in buffer]
    return [(dict(headers), bytes(payload)) for headers, payload in read]


@given(data=streams, places=cuts)
def test_the_same_frames_as_botocore_in_any_pieces(data: bytes, places: list[int]) -> None:
    found = [(dict(headers), payload) for headers, payload in read(data, places)]
    assert found == as_botocore_reads(data)
    assert read(data, list(range(len(data)))) == read(data, [])


@given(data=streams.filter(bool), draw=st.data())
def test_every_truncation_is_an_error(data: bytes, draw: st.DataObject) -> None:
    whole = {0}
    at = 0
    while at < len(data):
        at += struct.unpack_from(">I", data, at)[0]
        whole.add(at)
    end = draw.draw(st.integers(0, len(data)))
    if end in whole:
        read(data[:end], [])
    else:
        with pytest.raises(FramingError):
            read(data[:end], [])


@given(data=streams.filter(bool), draw=st.data(), places=cuts)
def test_damage_is_never_read_as_a_frame(
    data: bytes, draw: st.DataObject, places: list[int]
) -> None:
    at = draw.draw(st.integers(0, len(data) - 1))
    flip = draw.draw(st.integers(1, 255))
    damaged = data[:at] + bytes([data[at] ^ flip]) + data[at + 1 :]
    with pytest.raises(FramingError):
        read(damaged, places)


@given(data=st.binary(max_size=300), places=cuts)
def test_arbitrary_bytes_are_refused_cleanly(data: bytes, places: list[int]) -> None:
    if data:
        with pytest.raises(FramingError):
            read(data, places)


@given(block=st.binary(max_size=60))
def test_arbitrary_headers_are_refused_where_botocore_refuses_them(block: bytes) -> None:
    prelude = struct.pack(">II", 16 + len(block), len(block))
    body = prelude + struct.pack(">I", crc32(prelude)) + block
    data = body + struct.pack(">I", crc32(body))
    try:
        expected = as_botocore_reads(data)
    except (ParserError, struct.error, UnicodeDecodeError, KeyError, IndexError):
        with pytest.raises(FramingError):
            read(data, [])
        return
    try:
        found = [(dict(headers), payload) for headers, payload in read(data, [])]
    except FramingError:
        # botocore also takes a value that is cut off by the end of the headers.
        return
    assert found == expected


def test_a_json_error_body_is_no_event_stream() -> None:
    with pytest.raises(FramingError):
        FrameReader().feed(b'{"message":"The provided model identifier is invalid."}')


@pytest.mark.parametrize(
    ("total", "headers"),
    [(15, 0), (16, 1), (16 + 24 * 1024 * 1024 + 1, 0), (2**32 - 1, 0), (2**32 - 1, 2**32 - 1)],
)
def test_lengths_out_of_bounds_are_refused_before_anything_is_kept(
    total: int, headers: int
) -> None:
    prelude = struct.pack(">II", total, headers)
    with pytest.raises(FramingError):
        FrameReader().feed(prelude + struct.pack(">I", crc32(prelude)))


@given(bit=st.integers(0, 12 * 8 - 1))
def test_a_damaged_prelude_is_refused_at_once(bit: int) -> None:
    """Its lengths are not waited for."""
    data = bytearray(frame([text("a", "1")], b"payload")[:12])
    data[bit // 8] ^= 1 << bit % 8
    with pytest.raises(FramingError):
        FrameReader().feed(bytes(data))


def test_the_largest_frame_passes_byte_by_byte_in_linear_time() -> None:
    data = frame([text(":event-type", "x")], b"\0" * (2 * 1024 * 1024))
    reader = FrameReader()
    found: list[Frame] = []
    for at in range(0, len(data), 16):
        found += reader.feed(data[at : at + 16])
    reader.close()
    assert len(found) == 1


def test_a_header_twice_is_refused() -> None:
    with pytest.raises(FramingError):
        FrameReader().feed(frame([text("a", "1"), text("a", "2")], b""))


def test_kinds_of_messages() -> None:
    data = event("metadata", {"a": 1}) + exception("throttlingException", b"{}") + error("x", "y")
    first, second, third = FrameReader().feed(data)
    assert first.headers[":event-type"] == "metadata"
    assert first.payload == b'{"a":1}'
    assert second.headers[":message-type"] == "exception"
    assert third.headers == {":message-type": "error", ":error-code": "x", ":error-message": "y"}


def test_large_header_blocks_pass_too() -> None:
    headers = [text(f"h{number}", "v" * 100) for number in range(100)]
    assert len(header_block(headers)) > 10_000
    (found,) = read(frame(headers, b"p"), [])
    assert len(found.headers) == 100

"""AWS event stream (`application/vnd.amazon.eventstream`): bytes of an upstream to frames.

The layout, big-endian: total length, length of the headers, CRC-32 of those eight bytes, headers,
payload, CRC-32 of everything before it (Amazon Transcribe developer guide, "Event stream
encoding"; Smithy, "Amazon Event Stream Specification"). What a frame means is its provider's to
say.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import NamedTuple, TypeAlias
from zlib import crc32

from sluicegate.framing.sse import FramingError

__all__ = ["Frame", "FrameReader", "FramingError", "HeaderValue"]

HeaderValue: TypeAlias = bool | int | bytes | str

# The specification's own bounds.
MAX_HEADERS = 128 * 1024
MAX_PAYLOAD = 24 * 1024 * 1024
_PRELUDE = struct.Struct(">III")
_OVERHEAD = 16  # bytes of a frame without headers and payload
_CACHED = 512  # bytes of headers; a stream's few event types each have their own, small block
_TRAILER = struct.Struct(">I")
_LENGTH = struct.Struct(">H")


class Frame(NamedTuple):
    """One message. `headers` is read-only and may be shared with other frames."""

    headers: Mapping[str, HeaderValue]
    payload: bytes


class FrameReader:
    """Reads one stream, whatever its chunks. One per upstream answer.

    The work is linear in the bytes fed, also where a large frame arrives byte by byte.
    """

    __slots__ = ("_needed", "_pending")

    def __init__(self) -> None:
        self._pending = bytearray()  # of a frame whose end is still to come
        self._needed = 0  # bytes of it that say more than what is known already

    def feed(self, chunk: bytes) -> list[Frame]:
        """Frames that this chunk completes.

        Raises FramingError for a checksum that is wrong, a length out of bounds, or bad headers.
        """
        if self._pending:
            self._pending += chunk
            if len(self._pending) < self._needed:
                return []
            chunk = bytes(self._pending)
            self._pending.clear()
        frames: list[Frame] = []
        view = memoryview(chunk)
        at, end = 0, len(chunk)
        while end - at >= _PRELUDE.size:
            total, headers, checksum = _prelude(view, at)
            if end - at < total:
                break
            trailer = at + total - 4
            # The CRC of a whole is that of its beginning, continued.
            if crc32(view[at + 8 : trailer], checksum) != _TRAILER.unpack_from(chunk, trailer)[0]:
                raise FramingError("a frame's checksum is wrong")
            start = at + _PRELUDE.size
            block = chunk[start : start + headers]
            parsed = _known(block) if headers <= _CACHED else _parse(block)
            frames.append(Frame(parsed, chunk[start + headers : trailer]))
            at += total
        else:
            total = _PRELUDE.size
        if at < end:
            self._pending += view[at:]
            self._needed = total
        return frames

    def close(self) -> None:
        """The stream is over. Raises FramingError where it ended inside a frame."""
        if self._pending:
            self._pending.clear()
            raise FramingError("the stream ended inside a frame")


def _prelude(view: memoryview, at: int) -> tuple[int, int, int]:
    """Total length, length of the headers, checksum of both."""
    total, headers, checksum = _PRELUDE.unpack_from(view, at)
    if crc32(view[at : at + 8]) != checksum:
        raise FramingError("the checksum of a frame's lengths is wrong")
    payload = total - headers - _OVERHEAD
    if headers > MAX_HEADERS or payload < 0 or payload > MAX_PAYLOAD:
        raise FramingError("a frame's lengths are out of bounds")
    return total, headers, checksum


def _parse(block: bytes) -> Mapping[str, HeaderValue]:
    """The headers of a frame. Raises FramingError."""
    headers: dict[str, HeaderValue] = {}
    at = 0
    try:
        while at < len(block):
            start = at + 1
            at = start + block[at]
            name = block[start:at].decode()
            value, at = _READERS[block[at]](block, at + 1)
            if name in headers:
                raise FramingError("a frame has a header twice")
            headers[name] = value
    except (IndexError, struct.error, UnicodeDecodeError) as error:
        raise FramingError("a frame's headers are malformed") from error
    if at != len(block):
        raise FramingError("a frame's headers are malformed")
    return MappingProxyType(headers)


_known = lru_cache(maxsize=256)(_parse)

_Reader: TypeAlias = Callable[[bytes, int], tuple[HeaderValue, int]]


def _number(form: str) -> _Reader:
    layout = struct.Struct(form)
    return lambda block, at: (layout.unpack_from(block, at)[0], at + layout.size)


def _bytes(block: bytes, at: int) -> tuple[bytes, int]:
    start = at + _LENGTH.size
    end = start + _LENGTH.unpack_from(block, at)[0]
    if end > len(block):
        raise IndexError
    return block[start:end], end


def _text(block: bytes, at: int) -> tuple[str, int]:
    value, end = _bytes(block, at)
    return value.decode(), end


def _uuid(block: bytes, at: int) -> tuple[bytes, int]:
    return block[at : at + 16], at + 16


# By the number that stands before a header's value.
_READERS: tuple[_Reader, ...] = (
    lambda _block, at: (True, at),
    lambda _block, at: (False, at),
    _number(">b"),
    _number(">h"),
    _number(">i"),
    _number(">q"),
    _bytes,
    _text,
    _number(">q"),  # milliseconds since 1970
    _uuid,
)

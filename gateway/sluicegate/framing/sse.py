"""Server-Sent Events (WHATWG HTML, section 9.2): bytes of an upstream to frames, and back.

A frame is the exact bytes of one event, its blank line included, so that a passed-through stream
stays byte for byte what the upstream sent: the frames and the leftover, joined, are the input (but
for a byte order mark, which the specification drops). Providers call this; it knows none of them.
"""

from __future__ import annotations

import re
from typing import NamedTuple

MAX_FRAME = 32 * 1024 * 1024
_BOM = b"\xef\xbb\xbf"
# The end of a frame in a stream that has carriage returns. Of a line end and a blank line in two
# styles the shorter reading is taken; what is left is then one more blank line, which says nothing.
_END = re.compile(rb"\n\n|\r\n\r\n|\r\r|\n\r")
_CRLF_END = b"\r\n\r\n"
_UNDECIDED = b"\r\n\r"  # a line feed may follow
_OVERLAP = 3  # an end that began in earlier chunks has at most this many bytes there


class FramingError(ValueError):
    """The stream can't be cut: an event is larger than the bound. The message is safe to show."""


class Frame(NamedTuple):
    """One event. Both are empty where the frame does not say them (a comment, a keep-alive)."""

    event: str
    data: bytes


class FrameSplitter:
    """Cuts one stream into frames, whatever its chunks and line ends. One per upstream answer.

    The work is linear in the bytes fed, also where a large event arrives byte by byte.
    """

    __slots__ = ("_max", "_pending", "_pending_size", "_returns", "_started", "_tail")

    def __init__(self, max_frame: int = MAX_FRAME) -> None:
        self._max = max_frame
        self._pending: list[bytes] = []  # of a frame whose end is still to come
        self._pending_size = 0
        self._tail = b""  # the last bytes of `_pending`
        self._returns = False  # a carriage return is in `_pending`
        self._started = False

    def feed(self, chunk: bytes) -> list[bytes]:
        """Frames that this chunk completes. Raises FramingError."""
        if not self._started:
            chunk = self._start(chunk)
        if not chunk:
            return []
        returns = self._returns or b"\r" in chunk
        if self._pending:
            if not _ends(self._tail + chunk, returns=returns):
                self._hold(chunk, returns=returns)
                return []
            chunk = b"".join((*self._pending, chunk))
            self._pending.clear()
            self._pending_size = 0
        if returns:
            frames, rest = _split(chunk)
        else:
            pieces = chunk.split(b"\n\n")
            rest = pieces.pop()
            frames = [piece + b"\n\n" for piece in pieces]
        if len(chunk) > self._max:
            self._judge(frames)
        self._tail = b""
        self._returns = False
        if rest:
            self._hold(rest, returns=b"\r" in rest)
        return frames

    def close(self) -> bytes:
        """What follows the last frame: empty where the stream ended cleanly, else a cut event."""
        rest = b"".join(self._pending)
        self._pending.clear()
        self._pending_size = 0
        return rest

    def _start(self, chunk: bytes) -> bytes:
        """Drop a byte order mark, which may arrive in pieces."""
        head = b"".join((*self._pending, chunk))
        if len(head) < len(_BOM) and _BOM.startswith(head):
            self._pending = [head]
            return b""
        self._started = True
        self._pending = []
        return head.removeprefix(_BOM)

    def _hold(self, chunk: bytes, *, returns: bool) -> None:
        self._pending.append(chunk)
        self._pending_size += len(chunk)
        if self._pending_size > self._max:
            raise FramingError(f"An event is larger than {self._max} bytes.")
        self._tail = (self._tail + chunk[-_OVERLAP:])[-_OVERLAP:]
        self._returns = returns

    def _judge(self, frames: list[bytes]) -> None:
        for frame in frames:
            if len(frame) > self._max:
                raise FramingError(f"An event is larger than {self._max} bytes.")


def _ends(data: bytes, *, returns: bool) -> bool:
    """Whether a frame may end in `data`; where that is undecided, a yes costs only time."""
    return _END.search(data) is not None if returns else b"\n\n" in data


def _split(data: bytes) -> tuple[list[bytes], bytes]:
    if data.endswith(_CRLF_END) and data.find(b"\r") == data.find(b"\n") - 1 == len(data) - 4:
        return [data], b""  # one frame of one line, which is what most streams come in
    frames: list[bytes] = []
    start = 0
    for end in _END.finditer(data):
        stop = end.end()
        if stop == len(data) and data.endswith(_UNDECIDED, start):
            break
        frames.append(data[start:stop])
        start = stop
    return frames, data[start:]


def parse_frame(frame: bytes) -> Frame:
    """The event's name and its data, lines joined by a line feed."""
    if frame.startswith(b"event: "):
        end = frame.find(b"\n", 7)
        start = end + 7
        if (
            frame.startswith(b"data: ", end + 1)
            and frame.find(b"\n", start) == len(frame) - 2
            and frame.endswith(b"\n")
            and b"\r" not in frame
        ):
            return Frame(frame[7:end].decode("utf-8", "replace"), frame[start:-2])
    return _parse_lines(frame)


def _parse_lines(frame: bytes) -> Frame:
    event = b""
    data: list[bytes] = []
    for line in frame.splitlines():
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            data.append(value)
        elif name == b"event":
            event = value
    return Frame(event.decode("utf-8", "replace"), b"\n".join(data))


def encode(event: str, data: bytes) -> bytes:
    """A frame with this name and this one line of data."""
    return b"event: %b\ndata: %b\n\n" % (event.encode(), data)

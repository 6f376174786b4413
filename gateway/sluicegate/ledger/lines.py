"""Lines of the spool: what a call began with and what it ended with. Pure.

`B <checksum> <json>` is written before a call is sent, `E <checksum> <json>` before the last byte
of its answer goes to the client. The JSON is a CallRecord; that of `B` is the row that the ledger
gets when no `E` follows, because the gateway was killed. `N <checksum> "<id>"` takes a `B` back:
the call was never sent.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import NamedTuple

from sluicegate.ledger.record import record_id

BEGIN = b"B"
END = b"E"
NEVER = b"N"
_KINDS = frozenset({BEGIN, END, NEVER})
_PREFIX = len(b"E 01234567 ")


class Line(NamedTuple):
    """A whole line; `json` is the record as it was encoded."""

    kind: bytes
    json: bytes


def line(kind: bytes, record: bytes) -> bytes:
    """The line of a record, which is JSON without a line feed.

    The checksum is of the kind too: damage must not turn a beginning into an end.
    """
    return b"%b %08x %b\n" % (kind, zlib.crc32(record, kind[0]), record)


def whole_lines(data: bytes) -> int:
    """How many bytes of `data` are whole lines, be they sound or not."""
    return data.rfind(b"\n") + 1


def parse(data: bytes) -> Iterator[Line]:
    """The sound lines of any bytes: what is torn or damaged is passed over, never raised."""
    for text in data.split(b"\n"):
        kind = text[:1]
        if kind in _KINDS and _sound(text):
            yield Line(kind, text[_PREFIX:])


def ended_rows(data: bytes, *, sound: bool = False) -> list[bytes]:
    """The records of what has ended. `sound`: no line is torn or damaged, as the reader knows."""
    ended = [text for text in data.split(b"\n") if text.startswith(END)]
    return [text[_PREFIX:] for text in (ended if sound else filter(_sound, ended))]


def open_rows(data: bytes) -> list[bytes]:
    """The records of what has begun and not ended."""
    begun: dict[str, bytes] = {}
    for kind, json in parse(data):
        id_ = record_id(json)
        if id_ is not None and kind == BEGIN:
            begun[id_] = json
        elif id_ is not None:
            begun.pop(id_, None)
    return list(begun.values())


def _sound(text: bytes) -> bool:
    return text[1:_PREFIX] == b" %08x " % zlib.crc32(text[_PREFIX:], text[0])

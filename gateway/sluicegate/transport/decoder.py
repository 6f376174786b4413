"""The answer's wire format, sans-IO: bytes in, status, headers and body pieces out (RFC 9112).

llhttp (strict, as httptools sets it up) reads heads and chunks. What it leaves open is decided
here: where the head ends, its size, one unambiguous body length, and whether anything follows. A
new parser is made for each answer, so no state passes from one answer to the next.
"""

import re
from enum import IntEnum
from typing import Final

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

MAX_HEAD_BYTES: Final = 64 * 1024
MAX_HEADERS: Final = 256
MAX_INTERIM_ANSWERS: Final = 16
# Bytes of chunk sizes, extensions and trailers that may come in a row without any body byte.
MAX_SILENT_BYTES: Final = 16 * 1024

_HEAD_END: Final = b"\r\n\r\n"
_VERSIONS: Final = (b"HTTP/1.1 ", b"HTTP/1.0 ")
_LENGTH: Final = re.compile(rb"[0-9]{1,18}")
_FRAMING_NAMES: Final = frozenset({b"content-length", b"transfer-encoding", b"connection"})


class FramingFault(Exception):
    """The upstream broke the protocol; the text holds none of its bytes."""


class Stage(IntEnum):
    """What the next byte belongs to."""

    HEAD = 0
    LENGTH = 1
    CHUNKED = 2
    UNTIL_EOF = 3
    DONE = 4


class AnswerDecoder:
    """Decodes one answer. The owner reads `status`, `headers`, `stage` and empties `parts`.

    The attributes named `on_...` are what llhttp calls. `on_body` is the bound `append` of `parts`,
    so that a body piece costs no Python frame.
    """

    __slots__ = (
        "_begun",
        "_buffer",
        "_fields",
        "_framing",
        "_interim",
        "_keep_alive",
        "_parser",
        "_silent",
        "_tail",
        "bodiless",
        "headers",
        "on_body",
        "parts",
        "remaining",
        "stage",
        "status",
        "surplus",
    )

    def __init__(self, *, bodiless: bool = False) -> None:
        """`bodiless`: the request was HEAD (or CONNECT), so no body follows whatever is said."""
        self.bodiless = bodiless
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self.stage = Stage.HEAD
        self.parts: list[bytes] = []
        self.on_body = self.parts.append
        self.remaining = 0
        self.surplus = False
        self._fields: list[tuple[bytes, bytes]] = []
        self._framing: list[tuple[bytes, bytes]] = []  # of them, what settles the body's length
        self._buffer = b""
        self._begun = False
        self._interim = 0
        self._keep_alive = False
        self._parser: HttpResponseParser | None = None
        self._silent = 0
        self._tail = b""

    @property
    def reusable(self) -> bool:
        """Whether the connection may carry another request after this answer."""
        return self._keep_alive and not self.surplus and self.stage is Stage.DONE

    @property
    def started(self) -> bool:
        """Whether any byte of an answer has come."""
        return bool(self.status or self._interim or self._buffer)

    def feed(self, data: bytes) -> int:
        """Take the next bytes; returns how many body bytes they added to `parts`.

        Raises FramingFault; pieces decoded before it stay in `parts`.
        """
        if self.stage is Stage.HEAD:
            data = self._feed_head(data)
            if not data:
                return 0
        stage = self.stage
        if stage is Stage.LENGTH:
            return self._feed_length(data)
        if stage is Stage.CHUNKED:
            return self._feed_chunked(data)
        if stage is Stage.UNTIL_EOF:
            self.parts.append(data)
            return len(data)
        self.surplus = True
        return 0

    def feed_eof(self) -> bool:
        """The upstream ended its side; returns whether that is a proper end of the answer."""
        if self.stage is Stage.UNTIL_EOF:
            self.stage = Stage.DONE
        return self.stage is Stage.DONE

    def close(self) -> None:
        """Let go of the parser, which refers back to this object."""
        self._parser = None

    # What llhttp calls.

    def on_message_begin(self) -> None:
        """Stop the parser where it would read a second answer out of the same bytes."""
        if self._begun:
            raise FramingFault("data after the answer")
        self._begun = True

    def on_header(self, name: bytes, value: bytes) -> None:
        """Collect a header of the head, or a trailer (which is dropped)."""
        # RFC 9112 section 5.1: white space around a value is no part of it; llhttp strips only
        # what is before it.
        field = (name.lower(), value.rstrip(b" \t"))
        self._fields.append(field)
        if field[0] in _FRAMING_NAMES:
            self._framing.append(field)

    def on_message_complete(self) -> None:
        """Note the end of a chunked body; other framings don't ask the parser."""
        if self.stage is Stage.CHUNKED:
            self.stage = Stage.DONE

    # The head.

    def _feed_head(self, data: bytes) -> bytes:
        """Collect up to the end of a final head; returns the bytes after it."""
        while True:
            scanned = len(self._buffer)
            if scanned:
                data = self._buffer + data
                self._buffer = b""
            end = data.find(_HEAD_END, max(0, scanned - 3))
            if end < 0:
                self._hold(data)
                return b""
            end += len(_HEAD_END)
            if end > MAX_HEAD_BYTES:
                raise FramingFault("the header block is too large")
            head, data = data[:end], data[end:]
            if self._parse_head(head):
                return data
            if not data:
                return b""

    def _hold(self, data: bytes) -> None:
        """Keep an unfinished head, unless it can't become one."""
        if len(data) > MAX_HEAD_BYTES:
            raise FramingFault("the header block is too large")
        if data.count(b"\n") != data.count(b"\r\n"):
            # Without this a head with bare line feeds would be waited for until the timeout.
            raise FramingFault("a line of the head does not end in CR LF")
        start = data[:9]
        if not any(version.startswith(start) for version in _VERSIONS):
            raise FramingFault("the answer does not begin with an HTTP/1.1 status line")
        self._buffer = data

    def _parse_head(self, head: bytes) -> bool:
        """Read one complete head; returns False for an interim (1xx) answer, which is skipped."""
        # llhttp would skip leading empty lines and accept other versions.
        if not head.startswith(_VERSIONS):
            raise FramingFault("the answer does not begin with an HTTP/1.1 status line")
        # llhttp lets NUL pass in the reason phrase, and folding is left to be sure about.
        if b"\r\n " in head or b"\r\n\t" in head or b"\0" in head:
            raise FramingFault("a header is folded over two lines, or holds NUL")
        self._begun = False
        self._fields, self._framing = [], []
        parser = HttpResponseParser(self)
        try:
            parser.feed_data(head)
        except (HttpParserError, HttpParserUpgrade):
            raise FramingFault("the header block is malformed") from None
        status = parser.get_status_code()
        if status < 200:
            return self._skip_interim(status)
        if status > 599:
            raise FramingFault("the status code is out of range")
        if len(self._fields) > MAX_HEADERS:
            raise FramingFault("the answer has too many headers")
        self.status = status
        self.headers, self._fields = self._fields, []
        self._decide_framing(head, parser)
        return True

    def _skip_interim(self, status: int) -> bool:
        self._interim += 1
        if status < 100 or status == 101 or self._interim > MAX_INTERIM_ANSWERS:
            raise FramingFault("an interim answer that was not asked for")
        return False

    def _decide_framing(self, head: bytes, parser: HttpResponseParser) -> None:
        """Settle the body's length by RFC 9112 section 6.3, refusing every ambiguity."""
        lengths: list[bytes] = []
        codings: list[bytes] = []
        closes = False
        for name, value in self._framing:
            if name == b"content-length":
                lengths.append(value)
            elif name == b"transfer-encoding":
                codings.append(value)
            elif value.lower() != b"keep-alive":
                # Options are seldom anything else; an unknown one costs the connection only.
                closes = True
        http11 = head.startswith(_VERSIONS[0])
        self._keep_alive = http11 and not closes
        length = _content_length(lengths, codings)
        if codings and (not http11 or len(codings) > 1 or codings[0].lower() != b"chunked"):
            raise FramingFault("a transfer coding that was not asked for")
        if self.bodiless or self.status in {204, 304}:
            # A body announced here might still come, and would be read as the next answer.
            self._keep_alive = self._keep_alive and not codings and not length
            self.stage = Stage.DONE
        elif codings:
            self.stage = Stage.CHUNKED
            self._parser = parser
        elif length is not None:
            self.remaining = length
            self.stage = Stage.LENGTH if length else Stage.DONE
        else:
            self._keep_alive = False
            self.stage = Stage.UNTIL_EOF

    # The body.

    def _feed_length(self, data: bytes) -> int:
        size = len(data)
        if size > self.remaining:
            self.surplus = True
            size = self.remaining
            data = data[:size]
        self.parts.append(data)
        self.remaining -= size
        if not self.remaining:
            self.stage = Stage.DONE
        return size

    def _feed_chunked(self, data: bytes) -> int:
        parser, parts = self._parser, self.parts
        assert parser is not None  # noqa: S101 (narrows the type: the stage implies it)
        before = len(parts)
        self._tail = (self._tail + data)[-5:] if len(data) < 5 else data[-5:]
        try:
            parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade):
            if self.stage is not Stage.DONE:
                raise FramingFault("the chunked body is malformed") from None
            self.surplus = True
        added = sum(map(len, parts[before:]))
        if self.stage is Stage.DONE:
            self._parser = None
            # The parser skips empty lines after the end; a message ends in exactly one.
            if not self._tail.endswith(_HEAD_END) or self._tail[0] in _HEAD_END:
                self.surplus = True
        elif added:
            self._silent = 0
        else:
            self._silent += len(data)
            if self._silent > MAX_SILENT_BYTES:
                raise FramingFault("chunk extensions or trailers without end")
        return added


def _content_length(lengths: list[bytes], codings: list[bytes]) -> int | None:
    """Return the one Content-Length, or None without any; raises FramingFault."""
    if not lengths:
        return None
    if len(lengths) > 1 or codings:
        raise FramingFault("the answer states its length twice")
    if not _LENGTH.fullmatch(lengths[0]):
        raise FramingFault("the Content-Length is not a number")
    return int(lengths[0])

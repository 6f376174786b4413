"""AWS event stream frames as a server writes them; independent of the code that reads them."""

import json
import struct
from typing import Any
from zlib import crc32

Header = tuple[str, int, bytes]  # name, type number, the value's bytes as they stand there


def text(name: str, value: str) -> Header:
    raw = value.encode()
    return name, 7, struct.pack(">H", len(raw)) + raw


def header_block(headers: list[Header]) -> bytes:
    return b"".join(
        bytes([len(name.encode())]) + name.encode() + bytes([kind]) + value
        for name, kind, value in headers
    )


def frame(headers: list[Header], payload: bytes) -> bytes:
    block = header_block(headers)
    prelude = struct.pack(">II", 16 + len(block) + len(payload), len(block))
    body = prelude + struct.pack(">I", crc32(prelude)) + block + payload
    return body + struct.pack(">I", crc32(body))


def event(kind: str, payload: dict[str, Any]) -> bytes:
    """An event of a service, as Bedrock writes it."""
    headers = [
        text(":event-type", kind),
        text(":content-type", "application/json"),
        text(":message-type", "event"),
    ]
    return frame(headers, json.dumps(payload, separators=(",", ":")).encode())


def exception(kind: str, payload: bytes) -> bytes:
    """A modelled exception inside a stream."""
    headers = [
        text(":exception-type", kind),
        text(":content-type", "application/json"),
        text(":message-type", "exception"),
    ]
    return frame(headers, payload)


def error(code: str, message: str) -> bytes:
    """An error that the service's model does not know."""
    return frame(
        [
            text(":message-type", "error"),
            text(":error-code", code),
            text(":error-message", message),
        ],
        b"",
    )

"""JSON taken apart one level at a time, however deep it is.

msgspec, like most parsers, gives up at about a thousand levels (RecursionError), also for what it
only passes over. The API server takes ten thousand. One object of a tenant must not hide the list
that it is in, so there is this slow way for it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec

# A string, or a character of structure outside of strings.
_TOKEN = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|[][{},:]')


def members(text: bytes) -> dict[str, bytes]:
    """The values of an object, by name; empty for what is no object."""
    return dict(_children(text)) if text.lstrip().startswith(b"{") else {}


def elements(text: bytes) -> list[bytes]:
    """The values of an array; empty for what is no array."""
    if not text.lstrip().startswith(b"["):
        return []
    return [value for _, value in _children(text)]


def metadata_of(text: bytes) -> bytes:
    """The metadata of an object without managedFields, which are as deep as the object."""
    meta = members(members(text)["metadata"])
    meta.pop("managedFields", None)
    return msgspec.json.encode({name: msgspec.Raw(value) for name, value in meta.items()})


def text_of(value: bytes | None) -> str:
    """A string value; `""` for what is none."""
    if value is None or not value.startswith(b'"'):
        return ""
    return msgspec.json.decode(value, type=str)


def _children(text: bytes) -> Iterator[tuple[str, bytes]]:
    """Name (of an object's member) and value. The text is JSON that a server has written."""
    depth = start = 0
    name = ""
    for token in _TOKEN.finditer(text):
        match token[0]:
            case b"{" | b"[":
                depth += 1
                if depth == 1:
                    start = token.end()
            case b"}" | b"]":
                depth -= 1
                if depth == 0:
                    value = text[start : token.start()].strip()
                    if value:  # else it is empty
                        yield name, value
                    return
            case b"," if depth == 1:
                yield name, text[start : token.start()].strip()
                start = token.end()
            case b":" if depth == 1:
                name = text_of(text[start : token.start()].strip())
                start = token.end()
            case _:
                pass

"""The top level of a request body, member by member and byte by byte.

What the gateway reads and what the upstream reads must be the same, and what the gateway does not
mean to change must not change. Bodies here have passed `decode_request`: they are JSON objects.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import msgspec
from msgspec import Raw

from sluicegate.api import invalid

# Possessive, so that a key of any length costs no memory for going back.
_KEY = re.compile(rb'[ \t\n\r]*("(?:[^"\\]++|\\.)*+")[ \t\n\r]*:[ \t\n\r]*', re.DOTALL)
_AFTER = re.compile(rb"[ \t\n\r]*([,}])")
_OPEN = re.compile(rb"[ \t\n\r]*\{")
_PLAIN_MODEL = re.compile(rb'"model"[ \t\n\r]*:[ \t\n\r]*("[^"\\]*")')
_MODEL = b'"model"'
# From here on a search through the body costs more than a walk over its members.
LARGE = 64 * 1024
_SEARCHED = 4096  # the same for one search per member

_members = msgspec.json.Decoder(dict[str, Raw])
_string = msgspec.json.Decoder(str)


class DuplicateKey(Exception):
    """A top-level key stands twice; readers differ about which one counts."""

    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.key = key


class TooManyMembers(Exception):
    """An object has more members than anything needs; `most` is how many it may have."""

    def __init__(self, most: int) -> None:
        super().__init__(most)
        self.most = most


class Member(NamedTuple):
    """A top-level member: its key, and where its value's bytes are."""

    key: str
    start: int
    end: int


def decode_members(body: bytes | Raw) -> dict[str, Raw]:
    """The members of a JSON object; of a repeated key the last. Raises ApiError where it is deep.

    How deep the decoder can go depends on its caller's place in the stack, so that a body which was
    read once may still be too deep the next time.
    """
    try:
        return _members.decode(body)
    except RecursionError as error:
        raise invalid.too_deep() from error


class _Key(str):
    """A key that the decoder hands over as soon as it has read it."""

    __slots__ = ()


def decode_once(body: bytes, most: int) -> dict[str, Raw]:
    """The members of a JSON object, or what is wrong with them as soon as that is known.

    Raises DuplicateKey, and TooManyMembers where there are more than `most`, at the cost of as many
    members as are allowed, however many there are. For large bodies: it asks Python about each key.
    """
    seen: set[str] = set()

    def enter(_type: type, key: str) -> _Key:
        if key in seen:
            raise DuplicateKey(key)
        if len(seen) == most:
            raise TooManyMembers(most)
        seen.add(key)
        return _Key(key)

    found = msgspec.json.decode(body, type=dict[_Key, Raw], dec_hook=enter)
    return dict[str, Raw](found.items())


def bound_members(value: Raw, most: int) -> None:
    """Raise TooManyMembers where an object has more than `most`, without reading on.

    What is not an object passes; a repeated key counts each time.
    """
    count = 0

    def enter(_type: type, key: str) -> _Key:
        nonlocal count
        count += 1
        if count > most:
            raise TooManyMembers(most)
        return _Key(key)

    if bytes(memoryview(value)[:1]) == b"{":
        msgspec.json.decode(value, type=dict[_Key, Raw], dec_hook=enter)


def members(body: bytes) -> Iterator[Member]:
    """The top-level members in their order. Raises DuplicateKey.

    Each value is skipped by its length, which the decoder has found, so that the cost is that of
    decoding whatever the values' sizes.
    """
    return _walk(body, decode_members(body))


def _walk(body: bytes, values: dict[str, Raw]) -> Iterator[Member]:
    seen: set[str] = set()
    opened = _OPEN.match(body)
    position = opened.end() if opened else len(body)
    for _ in range(len(values)):
        match = _KEY.match(body, position)
        if match is None:
            break
        key = _string.decode(match[1])
        value = memoryview(values[key])
        start = match.end()
        end = start + len(value)
        after = _AFTER.match(body, end)
        # Of a repeated key the decoder keeps the last value: the first differs, or is seen again.
        if key in seen or not body.startswith(value, start) or after is None:
            raise DuplicateKey(key)
        seen.add(key)
        yield Member(key, start, end)
        position = after.end()
        if after[1] == b"}":
            return
    # As many members as there are keys, and yet the object goes on: one of them stands twice.
    repeated = _KEY.match(body, position)
    if repeated is not None:
        raise DuplicateKey(_string.decode(repeated[1]))


def refuse_duplicates(body: bytes, values: dict[str, Raw]) -> None:
    """Raise DuplicateKey where a top-level key of `body` stands twice; `values`: its members."""
    # Written once and without a blank they are as long as the body only if none is repeated.
    if len(msgspec.json.encode(values)) == len(body):
        return
    small = len(body) < _SEARCHED and b"\\u00" not in body
    if small and all(_stands_once(body, key) for key in values):
        return
    for _ in _walk(body, values):
        pass


def _stands_once(body: bytes, key: str) -> bool:
    # A plain key has no other spelling than one with \u00.., so a single occurrence is the key.
    return key.isascii() and key.isidentifier() and body.count(b'"%b"' % key.encode()) == 1


def replace_model(body: bytes, model: str) -> bytes:
    """The body with the bytes of its top-level `model` replaced, and no other byte changed."""
    start, end = _model_span(body)
    value = msgspec.json.encode(model)
    if body[start:end] == value:
        return body
    return b"".join((body[:start], value, body[end:]))


def _model_span(body: bytes) -> tuple[int, int]:
    # The key is there, so a single occurrence is the key, unless that is spelled with escapes.
    if len(body) < LARGE and (b"\\" not in body or b"\\u00" not in body):
        at = body.find(_MODEL)
        if body.find(_MODEL, at + 1) < 0:
            match = _PLAIN_MODEL.match(body, at)
            if match is not None:
                return match.span(1)
    for member in members(body):
        if member.key == "model":
            return member.start, member.end
    raise ValueError("the body has no top-level `model`")


def merge_parameters(
    body: bytes, defaults: Mapping[str, Raw], overrides: Mapping[str, Raw]
) -> bytes:
    """The body with a deployment's parameters: defaults below the client's, overrides above them.

    Merged as RFC 7396 does: objects member by member, null takes a member out. Members that neither
    names keep their bytes and their order.
    """
    merged = decode_members(body)
    for key, default in defaults.items():
        if key in merged:
            _patch(merged, key, default, merged[key])
        else:
            merged[key] = default
    for key, override in overrides.items():
        _patch(merged, key, merged.get(key), override)
    return msgspec.json.encode(merged)


def _patch(target: dict[str, Raw], key: str, below: Raw | None, above: Raw) -> None:
    """Set `target[key]` to `above` merged onto `below`, or take it out."""
    if bytes(above).strip() == b"null":
        target.pop(key, None)
    else:
        target[key] = _merged(below, above)


def _merged(below: Raw | None, above: Raw) -> Raw:
    """RFC 7396's MergePatch; members of `below` that `above` doesn't name keep their bytes."""
    patch = _object(above)
    if patch is None:
        return above
    merged = (_object(below) if below is not None else None) or {}
    for key, value in patch.items():
        _patch(merged, key, merged.get(key), value)
    return Raw(msgspec.json.encode(merged))


def _object(value: Raw) -> dict[str, Raw] | None:
    try:
        return decode_members(value)
    except msgspec.ValidationError:
        return None

"""Tokens that nobody has counted, from the size of what was said. Rough, and always marked so."""

from __future__ import annotations

from typing import cast

import msgspec

from sluicegate.model import Usage

USUAL_OUTPUT = 1000  # tokens, where the client sets no bound
_BYTES_PER_TOKEN = 4  # of English in UTF-8, and of the JSON around it
_ATTACHMENT = 1000  # tokens of an image or a page, whatever its size in bytes
_DATA_URL = b";base64,"
_SPOKEN = frozenset({"text", "arguments", "input", "refusal"})  # keys of what a model has written
_DEEPEST = 12


def input_tokens(body: bytes) -> int:
    """Of a request's JSON. Data URLs count as one attachment each."""
    size = len(body)
    attachments = 0
    at = body.find(_DATA_URL)
    while at >= 0:
        end = body.find(b'"', at)
        if end < 0:
            break
        size -= end - at
        attachments += 1
        at = body.find(_DATA_URL, end)
    return -(-size // _BYTES_PER_TOKEN) + attachments * _ATTACHMENT


def output_tokens(response: bytes) -> int:
    """Of the JSON of a Responses object, or of an event that holds one: what the model wrote."""
    try:
        found: object = msgspec.json.decode(response)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return 0
    answer = _object(found)
    answer = _object(answer.get("response", answer))
    return -(-_spoken(answer.get("output"), _DEEPEST) // _BYTES_PER_TOKEN)


def _object(value: object) -> dict[str, object]:
    return cast("dict[str, object]", value) if isinstance(value, dict) else {}


def _spoken(value: object, depth: int) -> int:
    """Bytes of text in it."""
    if depth == 0:
        return 0
    if isinstance(value, list):
        return sum(_spoken(each, depth - 1) for each in cast("list[object]", value))
    if not isinstance(value, dict):
        return 0
    size = 0
    for key, each in cast("dict[str, object]", value).items():
        if isinstance(each, str):
            size += len(each.encode(errors="replace")) if key in _SPOKEN else 0
        else:
            size += _spoken(each, depth - 1)
    return size


def at_least(known: Usage | None, input_: int, output: int) -> Usage:
    """What is known of an answer that broke off, and estimates where that says less."""
    known = known or Usage()
    input_ = known.input_tokens or input_
    output = max(known.output_tokens, output)
    return msgspec.structs.replace(
        known, input_tokens=input_, output_tokens=output, total_tokens=input_ + output
    )

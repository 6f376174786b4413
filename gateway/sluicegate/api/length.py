"""How long a request is at least, without a tokenizer.

A bound that holds for any text that somebody would send: no tokenizer in use has words that stand
for eight letters on average. It serves to tell what certainly has no room in a model, not to count.
"""

from __future__ import annotations

import msgspec
from msgspec import Struct

from sluicegate.api.request import ResponsesRequest

BYTES_PER_TOKEN = 8
# Runs of these are what tokenizers press most into one token, so they don't count.
_LIGHT = bytes(byte for byte in range(128) if not (chr(byte).isascii() and chr(byte).isalnum()))


class _Part(Struct):
    text: str = ""


class _Item(Struct):
    content: str | list[_Part] | None = None
    output: str | list[_Part] | None = None
    arguments: str | None = None
    input: str | None = None


_input: msgspec.json.Decoder[str | list[_Item]] = msgspec.json.Decoder(str | list[_Item])
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def least_tokens(request: ResponsesRequest) -> int:
    """Tokens that the request's texts have at least; media count for nothing."""
    total = _weight(request.fields.instructions)
    raw = request.fields.input
    if isinstance(raw, msgspec.UnsetType):
        return total // BYTES_PER_TOKEN
    try:
        said = _input.decode(raw)
    except _UNREADABLE:
        return total // BYTES_PER_TOKEN  # the upstream is to judge what it is
    if isinstance(said, str):
        return (total + _weight(said)) // BYTES_PER_TOKEN
    for item in said:
        total += _weight(item.arguments) + _weight(item.input)
        for held in (item.content, item.output):
            if held is None or isinstance(held, str):
                total += _weight(held)
            else:
                total += sum(_weight(part.text) for part in held)
    return total // BYTES_PER_TOKEN


def _weight(text: str | None) -> int:
    return len(text.encode().translate(None, _LIGHT)) if text else 0

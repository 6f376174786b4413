"""What a call of the history was made with, for upstreams that know functions only."""

from __future__ import annotations

import msgspec
from msgspec import Raw

from sluicegate.api.custom_input import INPUT
from sluicegate.api.invalid import invalid
from sluicegate.api.items import CustomToolCall, FunctionCall

_arguments = msgspec.json.Decoder(dict[str, Raw])


def call_input(call: FunctionCall | CustomToolCall, where: str) -> Raw:
    """A JSON object, as the model wrote it. `where` is the item's path. Raises ApiError (400)."""
    if isinstance(call, CustomToolCall):
        return Raw(msgspec.json.encode({INPUT: call.input}))
    arguments = call.arguments.strip() or "{}"
    try:
        _arguments.decode(arguments)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise invalid(
            f"Invalid '{where}.arguments': expected a JSON object.",
            "invalid_value",
            f"{where}.arguments",
        ) from error
    return Raw(arguments.encode())

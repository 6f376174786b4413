"""What a call of the history was made with, for upstreams that know functions only."""

from __future__ import annotations

import msgspec
from msgspec import Raw

from sluicegate.api.custom_input import INPUT
from sluicegate.api.items import CustomToolCall, FunctionCall

_arguments = msgspec.json.Decoder(dict[str, Raw])
# As Anthropic's "Fine-grained tool streaming" advises for input that is no JSON.
_INVALID = "INVALID_JSON"


def call_input(call: FunctionCall | CustomToolCall) -> Raw:
    """A JSON object, as the model wrote it.

    Models write arguments that are none, too; all upstreams want one, and the model shall see what
    it wrote. So that is the text of an object's one member.
    """
    if isinstance(call, CustomToolCall):
        return Raw(msgspec.json.encode({INPUT: call.input}))
    arguments = call.arguments.strip() or "{}"
    try:
        _arguments.decode(arguments)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return Raw(msgspec.json.encode({_INVALID: call.arguments}))
    return Raw(arguments.encode())

"""POST /v1/responses: from the body's bytes to a request that the gateway can route.

The pipeline calls `decode_request` once per request. It reads the top level only: what is inside
`input` and `tools` is the upstream's business where the bytes pass through, and `parameters.py`'s
where a provider translates. So the cost is small, and a field that OpenAI adds tomorrow passes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

import msgspec
from msgspec import UNSET, Raw, UnsetType

from sluicegate.api import invalid
from sluicegate.api.members import (
    LARGE,
    DuplicateKey,
    TooManyMembers,
    bound_members,
    decode_members,
    decode_once,
    merge_parameters,
    refuse_duplicates,
    replace_model,
)
from sluicegate.model import ApiError

__all__ = [
    "Fields",
    "ResponsesRequest",
    "decode_request",
    "merge_parameters",
    "replace_model",
]

_Text: TypeAlias = str | None
_Flag: TypeAlias = bool | None
_Integer: TypeAlias = int | None
_Decimal: TypeAlias = float | None
_Object: TypeAlias = dict[str, Raw] | None
_List: TypeAlias = Raw | UnsetType  # an array or null; of any number of values, so not decoded


class Fields(msgspec.Struct, frozen=True, gc=False):
    """The top level of a body (OpenAPI CreateResponse); None where the client said nothing or null.

    Only the shapes are checked that policy, routing and accounting read. Sets of names and ranges
    are the upstream's to judge, or `parameters.py`'s.
    """

    model: _Text = None
    input: Raw | UnsetType = UNSET
    stream: _Flag = None
    instructions: _Text = None
    store: _Flag = None
    background: _Flag = None
    previous_response_id: _Text = None
    conversation: str | dict[str, Raw] | None = None
    max_output_tokens: _Integer = None
    max_tool_calls: _Integer = None
    temperature: _Decimal = None
    top_p: _Decimal = None
    top_logprobs: _Integer = None
    presence_penalty: _Decimal = None
    frequency_penalty: _Decimal = None
    tools: _List = UNSET
    tool_choice: str | dict[str, Raw] | None = None
    parallel_tool_calls: _Flag = None
    text: _Object = None
    reasoning: _Object = None
    include: list[str] | None = None
    metadata: dict[str, str] | None = None
    truncation: _Text = None
    service_tier: _Text = None
    user: _Text = None
    safety_identifier: _Text = None
    prompt_cache_key: _Text = None
    prompt_cache_retention: _Text = None
    prompt_cache_options: _Object = None
    prompt: _Object = None
    stream_options: _Object = None
    context_management: _List = UNSET


class ResponsesRequest(msgspec.Struct, frozen=True, gc=False):
    """A request as the client sent it. `body` is passed on where the upstream speaks Responses.

    `members` are the values of the top level, in the order of the body.
    """

    body: bytes
    model: str
    stream: bool
    fields: Fields
    members: Mapping[str, Raw]

    def __repr__(self) -> str:  # the body is the user's words
        return (
            f"ResponsesRequest(model={self.model!r}, stream={self.stream}, {len(self.body)} bytes)"
        )


_fields = msgspec.json.Decoder(Fields)


def decode_request(body: bytes) -> ResponsesRequest:
    """Read a request body. Raises ApiError (400) in OpenAI's words for whatever is wrong with it.

    Strict JSON (RFC 8259) in UTF-8, an object without a repeated key at its top level, since of a
    repeated one the gateway might judge one value and the upstream obey the other.
    """
    try:
        if not body.isascii():
            body.decode()  # values that are skipped are not decoded, so their UTF-8 is judged here
        values, fields = _decode(body)
    except msgspec.ValidationError as error:
        raise _shape(error, body) from error
    except msgspec.DecodeError as error:
        raise invalid.malformed(error, body) from error
    except UnicodeDecodeError as error:
        raise invalid.not_utf8(error) from error
    except RecursionError as error:
        raise invalid.too_deep() from error
    except DuplicateKey as error:
        raise invalid.invalid(
            f"Duplicate parameter: '{error.key}' is given more than once.",
            "duplicate_parameter",
            error.key,
        ) from error
    except TooManyMembers as error:
        raise _too_many(None, error.most) from error
    for name, starts, decoder in _UNDECODED:
        if name in values and memoryview(values[name])[0] not in starts:
            raise _wrong_type(name, values[name], decoder)
    model = fields.model
    if not isinstance(model, str):
        raise invalid.missing("model")
    return ResponsesRequest(body, model, fields.stream is True, fields, values)


_MOST_MEMBERS = 256  # several times as many as there are parameters
# Fields that are not decoded here: how a value of their types begins, and what judges any other.
_UNDECODED: tuple[tuple[str, frozenset[int], msgspec.json.Decoder[object]], ...] = (
    ("input", frozenset(b'"[n'), msgspec.json.Decoder(str | list[Raw] | None)),
    ("tools", frozenset(b"[n"), msgspec.json.Decoder(list[Raw] | None)),
    ("context_management", frozenset(b"[n"), msgspec.json.Decoder(list[Raw] | None)),
)
_OBJECTS = (
    "conversation",
    "metadata",
    "prompt",
    "prompt_cache_options",
    "reasoning",
    "stream_options",
    "text",
    "tool_choice",
)
# Bytes. OpenAI takes 16 pairs of 64 and 512 characters, and fewer than ten names to include.
_LARGEST = {"metadata": 256 * 1024, "include": 64 * 1024}
_metadata = msgspec.json.Decoder(dict[str, object])


def _decode(body: bytes) -> tuple[dict[str, Raw], Fields]:
    if len(body) >= LARGE:
        values = decode_once(body, _MOST_MEMBERS)
        _refuse_large(values)
        return values, _fields.decode(body)
    values = decode_members(body)
    if len(values) > _MOST_MEMBERS:
        raise TooManyMembers(_MOST_MEMBERS)
    fields = _fields.decode(body)
    refuse_duplicates(body, values)
    return values, fields


def _shape(error: msgspec.ValidationError, body: bytes) -> ApiError:
    """The finding in OpenAI's words; of metadata the decoder does not say which entry it was."""
    if str(error).endswith("`$.metadata[...]`"):
        for key, value in _metadata.decode(decode_members(body)["metadata"]).items():
            if not isinstance(value, str):
                return invalid.wrong_type(f"metadata.{key}", "a string", value)
    return invalid.finding(error)


def _refuse_large(values: Mapping[str, Raw]) -> None:
    """What is decoded of a large body must not take many times its size. Raises ApiError."""
    for name, most in _LARGEST.items():
        if name in values and len(memoryview(values[name])) > most:
            raise invalid.invalid(
                f"Invalid '{name}': too large. Expected at most {most} bytes, "
                f"but got {len(memoryview(values[name]))} instead.",
                "invalid_value",
                name,
            )
    for name in _OBJECTS:
        if name in values:
            try:
                bound_members(values[name], _MOST_MEMBERS)
            except TooManyMembers as error:
                raise _too_many(name, error.most) from error


def _too_many(param: str | None, most: int) -> ApiError:
    where = (
        "Too many parameters: expected"
        if param is None
        else (f"Invalid '{param}': too many properties. Expected an object with")
    )
    return invalid.invalid(
        f"{where} at most {most}, but got more.", "object_above_max_properties", param
    )


def _wrong_type(name: str, value: Raw, decoder: msgspec.json.Decoder[object]) -> ApiError:
    try:
        decoder.decode(value)
    except msgspec.ValidationError as error:
        return invalid.finding(error, name)
    return invalid.invalid(f"Invalid '{name}'.", "invalid_value", name)

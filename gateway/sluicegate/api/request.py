"""POST /v1/responses: from the body's bytes to a request that the gateway can route.

The pipeline calls `decode_request` once per request. It reads the top level only: what is inside
`input` and `tools` is the upstream's business where the bytes pass through, and `parameters.py`'s
where a provider translates. So the cost is small, and a field that OpenAI adds tomorrow passes.
"""

from __future__ import annotations

from typing import TypeAlias, TypeVar

import msgspec
from msgspec import UNSET, Raw, UnsetType

from sluicegate.api import invalid
from sluicegate.api.members import (
    DuplicateKey,
    decode_members,
    merge_parameters,
    refuse_duplicates,
    replace_model,
)
from sluicegate.model import ApiError

__all__ = [
    "Fields",
    "ResponsesRequest",
    "decode_request",
    "given",
    "merge_parameters",
    "replace_model",
]

_T = TypeVar("_T")

_Text: TypeAlias = str | UnsetType | None
_Flag: TypeAlias = bool | UnsetType | None
_Integer: TypeAlias = int | UnsetType | None
_Decimal: TypeAlias = float | UnsetType | None
_Object: TypeAlias = dict[str, Raw] | UnsetType | None
_List: TypeAlias = list[Raw] | UnsetType | None


class Fields(msgspec.Struct, frozen=True, gc=False):
    """The top level of a body (OpenAPI CreateResponse); UNSET where the client said nothing.

    Only the shapes are checked that policy, routing and accounting read. Sets of names and ranges
    are the upstream's to judge, or `parameters.py`'s.
    """

    model: _Text = UNSET
    input: Raw | UnsetType = UNSET
    stream: _Flag = UNSET
    instructions: _Text = UNSET
    store: _Flag = UNSET
    background: _Flag = UNSET
    previous_response_id: _Text = UNSET
    conversation: str | dict[str, Raw] | UnsetType | None = UNSET
    max_output_tokens: _Integer = UNSET
    max_tool_calls: _Integer = UNSET
    temperature: _Decimal = UNSET
    top_p: _Decimal = UNSET
    top_logprobs: _Integer = UNSET
    presence_penalty: _Decimal = UNSET
    frequency_penalty: _Decimal = UNSET
    tools: _List = UNSET
    tool_choice: str | dict[str, Raw] | UnsetType | None = UNSET
    parallel_tool_calls: _Flag = UNSET
    text: _Object = UNSET
    reasoning: _Object = UNSET
    include: list[str] | UnsetType | None = UNSET
    metadata: dict[str, str] | UnsetType | None = UNSET
    truncation: _Text = UNSET
    service_tier: _Text = UNSET
    user: _Text = UNSET
    safety_identifier: _Text = UNSET
    prompt_cache_key: _Text = UNSET
    prompt_cache_retention: _Text = UNSET
    prompt_cache_options: _Object = UNSET
    prompt: _Object = UNSET
    stream_options: _Object = UNSET
    context_management: _List = UNSET


class ResponsesRequest(msgspec.Struct, frozen=True, gc=False):
    """A request as the client sent it. `body` is passed on where the upstream speaks Responses."""

    body: bytes
    model: str
    stream: bool
    fields: Fields

    def __repr__(self) -> str:  # the body is the user's words
        return (
            f"ResponsesRequest(model={self.model!r}, stream={self.stream}, {len(self.body)} bytes)"
        )


_fields = msgspec.json.Decoder(Fields)


def given(value: _T | UnsetType | None) -> _T | None:
    """A field's value; None where the client left it out or said null."""
    return None if isinstance(value, UnsetType) else value


def decode_request(body: bytes) -> ResponsesRequest:
    """Read a request body. Raises ApiError (400) in OpenAI's words for whatever is wrong with it.

    Strict JSON (RFC 8259) in UTF-8, an object without a repeated key at its top level, since of a
    repeated one the gateway might judge one value and the upstream obey the other.
    """
    try:
        if not body.isascii():
            body.decode()  # values that are skipped are not decoded, so their UTF-8 is judged here
        values = decode_members(body)
        if len(values) > _MOST_MEMBERS:
            raise _too_many(len(values))
        fields = _fields.decode(body)
        refuse_duplicates(body, values)
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
    if "input" in values and memoryview(values["input"])[0] not in _INPUT_STARTS:
        raise _input_type(values["input"])
    model = fields.model
    if not isinstance(model, str):
        raise invalid.missing("model")
    return ResponsesRequest(body, model, fields.stream is True, fields)


_MOST_MEMBERS = 256  # several times as many as there are parameters
_INPUT_STARTS = frozenset(b'"[n')  # a string, an array, null
_input = msgspec.json.Decoder(str | list[Raw] | None)
_metadata = msgspec.json.Decoder(dict[str, object])


def _shape(error: msgspec.ValidationError, body: bytes) -> ApiError:
    """The finding in OpenAI's words; of metadata the decoder does not say which entry it was."""
    if str(error).endswith("`$.metadata[...]`"):
        for key, value in _metadata.decode(decode_members(body)["metadata"]).items():
            if not isinstance(value, str):
                return invalid.wrong_type(f"metadata.{key}", "a string", value)
    return invalid.finding(error)


def _too_many(count: int) -> ApiError:
    return invalid.invalid(
        f"Too many parameters: expected at most {_MOST_MEMBERS}, but got {count} instead.",
        "object_above_max_properties",
        None,
    )


def _input_type(value: Raw) -> ApiError:
    try:
        _input.decode(value)
    except msgspec.ValidationError as error:
        return invalid.finding(error, "input")
    return invalid.invalid("Invalid 'input'.", "invalid_value", "input")

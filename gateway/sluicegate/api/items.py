"""Input items, typed, for providers that translate (reference: OpenAPI InputItem and its parts).

Tolerant where clients differ: an assistant message may come back without id, status and
annotations, a message without `type`. Kinds that are not named here are kept as they are, so that
each provider decides about them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from itertools import chain
from types import MappingProxyType
from typing import Annotated, Literal, NamedTuple, TypeAlias, TypeVar

import msgspec
from msgspec import Meta, Raw, Struct, UnsetType

from sluicegate.api import invalid

_LONG = 10_485_760  # characters of a text (OpenAPI)
_IMAGE = 20_971_520  # characters of an image's URL or of a compaction
_Text: TypeAlias = Annotated[str, Meta(max_length=_LONG)]
_Image: TypeAlias = Annotated[str, Meta(max_length=_IMAGE)]
CallId: TypeAlias = Annotated[str, Meta(min_length=1, max_length=64)]
Role: TypeAlias = Literal["user", "assistant", "system", "developer"]

# ------------------------------------------------------------------------------------------ parts


class CacheBreakpoint(Struct, frozen=True):
    """A hint that the prompt may be cached up to the part that carries it."""

    mode: str = "explicit"


class InputText(Struct, frozen=True, tag="input_text"):
    """Text of the client's side."""

    text: _Text
    prompt_cache_breakpoint: CacheBreakpoint | None = None


class InputImage(Struct, frozen=True, tag="input_image"):
    """Exactly one of `image_url` (a URL or a data URI) and `file_id` is meant to be given."""

    image_url: _Image | None = None
    file_id: str | None = None
    detail: Literal["auto", "low", "high", "original"] | None = None
    prompt_cache_breakpoint: CacheBreakpoint | None = None


class InputFile(Struct, frozen=True, tag="input_file"):
    """One of `file_data` (base64 or a data URI), `file_url` and `file_id`."""

    file_data: str | None = None
    file_url: str | None = None
    file_id: str | None = None
    filename: str | None = None
    detail: str | None = None
    prompt_cache_breakpoint: CacheBreakpoint | None = None


class OutputText(Struct, frozen=True, tag="output_text"):
    """Text that a model wrote; its annotations and logprobs are of no use as input."""

    text: _Text


class Refusal(Struct, frozen=True, tag="refusal"):
    """A model's refusal, in its words."""

    refusal: _Text


class SummaryText(Struct, frozen=True, tag="summary_text"):
    """One part of a reasoning item's summary."""

    text: _Text


class ReasoningText(Struct, frozen=True, tag="reasoning_text"):
    """Reasoning as the model wrote it."""

    text: _Text


InputPart: TypeAlias = InputText | InputImage | InputFile
MessagePart: TypeAlias = InputPart | OutputText | Refusal

# ------------------------------------------------------------------------------------------ items


class Message(Struct, frozen=True):
    """A message of any form: easy, input, or a replayed output message."""

    role: Role
    content: _Text | tuple[MessagePart, ...]
    id: str | None = None
    status: str | None = None
    phase: str | None = None


class FunctionCall(Struct, frozen=True):
    """A call that the model made; `arguments` is JSON text as the model wrote it."""

    call_id: CallId
    name: str
    arguments: str
    id: str | None = None
    status: str | None = None
    namespace: str | None = None


class FunctionCallOutput(Struct, frozen=True):
    """What the client's function answered."""

    call_id: CallId
    output: _Text | tuple[InputPart, ...]
    id: str | None = None
    status: str | None = None


class CustomToolCall(Struct, frozen=True):
    """A call of a custom tool; `input` is plain text."""

    call_id: CallId
    name: str
    input: str
    id: str | None = None
    namespace: str | None = None


class CustomToolCallOutput(Struct, frozen=True):
    """What the client's custom tool answered."""

    call_id: CallId
    output: _Text | tuple[InputPart, ...]
    id: str | None = None


class Reasoning(Struct, frozen=True):
    """`encrypted_content` is sealed by whoever made it and of use to nobody else."""

    summary: tuple[SummaryText, ...] = ()
    content: tuple[ReasoningText, ...] | None = None
    encrypted_content: str | None = None
    id: str | None = None
    status: str | None = None


class ItemReference(Struct, frozen=True):
    """An item that is stored somewhere, by its id."""

    id: str


class Compaction(Struct, frozen=True):
    """A sealed summary of what came before it."""

    encrypted_content: _Image
    id: str | None = None


class CompactionTrigger(Struct, frozen=True):
    """Asks for a compaction of what came before it."""


class OpaqueItem(Struct, frozen=True):
    """An item of a kind that only some providers know, as it came."""

    type: str
    raw: Raw


Item: TypeAlias = (
    Message
    | FunctionCall
    | FunctionCallOutput
    | CustomToolCall
    | CustomToolCallOutput
    | Reasoning
    | ItemReference
    | Compaction
    | CompactionTrigger
    | OpaqueItem
)


class _Head(Struct, frozen=True):
    type: str | UnsetType | None = msgspec.UNSET
    role: Raw | UnsetType = msgspec.UNSET
    id: Raw | UnsetType = msgspec.UNSET


_ItemT = TypeVar("_ItemT", bound=Item)


def _decoder(kind: type[_ItemT]) -> msgspec.json.Decoder[_ItemT]:
    return msgspec.json.Decoder(kind)


_head = msgspec.json.Decoder(_Head)
_input = msgspec.json.Decoder(_Text | list[Raw] | None)
_KINDS: Mapping[str, msgspec.json.Decoder[Item]] = MappingProxyType(
    {
        "message": _decoder(Message),
        "function_call": _decoder(FunctionCall),
        "function_call_output": _decoder(FunctionCallOutput),
        "custom_tool_call": _decoder(CustomToolCall),
        "custom_tool_call_output": _decoder(CustomToolCallOutput),
        "reasoning": _decoder(Reasoning),
        "item_reference": _decoder(ItemReference),
        "compaction": _decoder(Compaction),
        "compaction_trigger": _decoder(CompactionTrigger),
    }
)
_PARTS = ("input_text", "input_image", "input_file", "output_text", "refusal")
_OUTPUT_PARTS = ("input_text", "input_image", "input_file")
_SUPPORTED: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        ".role": ("assistant", "system", "developer", "user"),
        ".content[].type": _PARTS,
        ".content[].detail": ("auto", "low", "high", "original"),
        ".output[].type": _OUTPUT_PARTS,
        ".output[].detail": ("auto", "low", "high", "original"),
        ".summary[].type": ("summary_text",),
    }
)
_REASONING_SUPPORTED = {**_SUPPORTED, ".content[].type": ("reasoning_text",)}


def decode_input(value: Raw | UnsetType) -> tuple[Item, ...]:
    """The items of `input`; a string is one user message. Raises ApiError (400)."""
    if isinstance(value, UnsetType):
        return ()
    try:
        entries = _input.decode(value)
    except msgspec.ValidationError as error:
        invalid.refuse(error, "input")
    except RecursionError as error:
        raise invalid.too_deep() from error
    if entries is None:
        return ()
    if isinstance(entries, str):
        return (Message(role="user", content=entries),)
    return tuple([_item(entry, index) for index, entry in enumerate(entries)])


def _item(raw: Raw, index: int) -> Item:
    kind: str | None = None
    try:
        kind = _kind(_head.decode(raw), index)
        decoder = _KINDS.get(kind)
        return OpaqueItem(kind, raw) if decoder is None else decoder.decode(raw)
    except msgspec.ValidationError as error:
        supported = _REASONING_SUPPORTED if kind == "reasoning" else _SUPPORTED
        invalid.refuse(error, f"input[{index}]", supported)
    except RecursionError as error:
        raise invalid.too_deep() from error


def _kind(head: _Head, index: int) -> str:
    if isinstance(head.type, str):
        return head.type
    if not isinstance(head.role, UnsetType):
        return "message"
    if not isinstance(head.id, UnsetType):
        return "item_reference"
    raise invalid.missing(f"input[{index}].type")


_CALLS = (FunctionCall, CustomToolCall)
_CALL_OUTPUTS = (FunctionCallOutput, CustomToolCallOutput)


class CallOutput(NamedTuple):
    """What a call gave back. `place`: of its item in the input."""

    place: int
    output: str | tuple[InputPart, ...]


def check_pairs(items: Sequence[Item], known_calls: AbstractSet[str] = frozenset()) -> None:
    """Raise ApiError (400) for an output without its call or a call without its output.

    They pair by call_id in any position. `known_calls`: ids of calls in a stored conversation
    before these items, which may be answered here.
    """
    calls = {item.call_id for item in items if isinstance(item, _CALLS)}
    outputs = {item.call_id for item in items if isinstance(item, _CALL_OUTPUTS)}
    if calls == outputs:
        return
    for item in items:
        match item:
            case FunctionCallOutput(call_id=call_id) if call_id not in calls | known_calls:
                raise _unpaired(
                    f"No tool call found for function call output with call_id {call_id}."
                )
            case CustomToolCallOutput(call_id=call_id) if call_id not in calls | known_calls:
                raise _unpaired(
                    f"No tool call found for custom tool call output with call_id {call_id}."
                )
            case FunctionCall(call_id=call_id) if call_id not in outputs:
                raise _unpaired(f"No tool output found for function call {call_id}.")
            case CustomToolCall(call_id=call_id) if call_id not in outputs:
                raise _unpaired(f"No tool output found for custom tool call {call_id}.")
            case _:
                pass


def outputs_by_call(items: Sequence[Item]) -> dict[str, deque[CallOutput]]:
    """The outputs of each call_id, in their order: a history may use one for several calls."""
    found: dict[str, deque[CallOutput]] = {}
    for index, item in enumerate(items):
        if isinstance(item, _CALL_OUTPUTS):
            found.setdefault(item.call_id, deque()).append(CallOutput(index, item.output))
    return found


def refuse_leftover(outputs: Mapping[str, deque[CallOutput]]) -> None:
    """Raise ApiError (400) for an output that no call has taken."""
    for index, _ in chain.from_iterable(outputs.values()):
        raise invalid.invalid(
            f"Invalid 'input[{index}]': its call already has an output.",
            "invalid_value",
            f"input[{index}].call_id",
        )


def no_output(call_id: str) -> invalid.ApiError:
    """For a call whose id has fewer outputs than calls."""
    return _unpaired(f"No tool output found for function call {call_id}.")


def _unpaired(message: str) -> invalid.ApiError:
    return invalid.invalid(message, None, "input")

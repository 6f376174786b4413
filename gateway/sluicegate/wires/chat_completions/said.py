"""The JSON that chat completions are answered with, whole or in chunks.

(OpenAI API reference, "The chat completion object", "The chat completion chunk object"; the members
for reasoning are those of DeepSeek, vLLM and OpenRouter.)

Tolerant: what is not named here is skipped, and members that servers fill in their own ways are
read as they come.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeGuard, cast

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from sluicegate.api.output import LogProb, TopLogProb
from sluicegate.model import InputTokensDetails, OutputTokensDetails, Usage

_TIERS = frozenset({"default", "flex", "scale", "priority", "fast", "ultrafast"})


class Function(Struct, gc=False):
    """The called function. Some servers give the arguments as an object."""

    name: str | None = None
    arguments: str | dict[str, Raw] | None = None


class ToolCall(Struct, gc=False):
    """A call, or a piece of one."""

    index: int | None = None
    id: str | None = None
    function: Function | None = None


class ImageUrl(Struct, gc=False):
    """Where an image is: a data URI as a rule."""

    url: str = ""


class Image(Struct, gc=False):
    """An image that the model made, as OpenRouter and LiteLLM send it."""

    image_url: ImageUrl | str | None = None


class Part(Struct, gc=False):
    """Content in parts, as Mistral sends it: text, or thinking with texts of its own."""

    type: str = ""
    text: str = ""
    thinking: object = None
    image_url: ImageUrl | str | None = None


class UrlCitation(Struct, gc=False):
    """A page of the web behind a range of the text."""

    url: str = ""
    title: str | None = None
    start_index: int | None = None
    end_index: int | None = None


class Annotation(Struct, gc=False):
    """A note on the text."""

    type: str = ""
    url_citation: UrlCitation | None = None


class Delta(Struct, gc=False):
    """A message, or more of one. Reasoning has one of two names, some servers send both."""

    content: str | list[Part] | None = None
    reasoning_content: object = None
    reasoning: object = None
    refusal: str | None = None
    tool_calls: list[ToolCall] | None = None
    function_call: Function | None = None  # the older form of a single call
    annotations: list[Annotation] | None = None
    images: list[Image | str] | None = None


class Tokens(Struct, gc=False):
    """Usage."""

    prompt_tokens: object = None
    completion_tokens: object = None
    total_tokens: object = None
    prompt_tokens_details: object = None
    completion_tokens_details: object = None
    prompt_cache_hit_tokens: object = None  # DeepSeek's


class Choice(Struct, gc=False):
    """One answer (only one is asked for); some servers put usage and errors here."""

    index: int | None = None
    delta: Delta | None = None
    message: Delta | None = None
    finish_reason: str | None = None
    logprobs: Raw | UnsetType = UNSET
    usage: Tokens | None = None
    error: Raw | UnsetType = UNSET


class Chunk(Struct, gc=False):
    """A chunk or a whole answer. `object`, `message` and `detail` are of errors in other forms."""

    choices: list[Choice] | None = None
    usage: Tokens | None = None
    model: str | None = None
    service_tier: str | None = None
    error: Raw | UnsetType = UNSET
    object: str | None = None
    message: Raw | UnsetType = UNSET
    detail: Raw | UnsetType = UNSET


class _Top(Struct, gc=False):
    token: str
    logprob: float
    bytes: tuple[int, ...] | None = None


class _Token(Struct, gc=False):
    token: str
    logprob: float
    bytes: tuple[int, ...] | None = None
    top_logprobs: list[_Top] | None = None


class _LogProbs(Struct, gc=False):
    content: list[_Token] | None = None


chunks = msgspec.json.Decoder(Chunk)
_logprobs = msgspec.json.Decoder(_LogProbs | None)
# Of JSON that came over the wire; a nested one is too deep, a bad string is not UTF-8.
UNREADABLE = (msgspec.DecodeError, UnicodeError, RecursionError)


def is_given(value: Raw | UnsetType) -> bool:
    """Whether a member is there and not null."""
    return not isinstance(value, UnsetType) and bytes(value) != b"null"


def arguments_of(function: Function) -> str:
    """The arguments, or a piece of them, as text."""
    arguments = function.arguments
    if isinstance(arguments, dict):
        return msgspec.json.encode(arguments).decode()
    return arguments or ""


def thinking_of(part: Part) -> str:
    """The text of a part that is thinking."""
    if isinstance(part.thinking, str):
        return part.thinking
    if not isinstance(part.thinking, list):
        return ""
    inner = cast("list[object]", part.thinking)  # pyright: ignore[reportUnknownMemberType] - of anything
    texts = [
        cast("Mapping[str, object]", one).get("text") for one in inner if isinstance(one, dict)
    ]
    return "".join(text for text in texts if isinstance(text, str))


def address_of(image: Image | Part | str) -> str:
    """The data URI or the URL of an image; empty where it has none."""
    where = image if isinstance(image, str) else image.image_url
    if isinstance(where, ImageUrl):
        return where.url
    return where or ""


def logprobs_of(value: Raw | UnsetType) -> tuple[LogProb, ...]:
    """The probabilities of the tokens of a text; none where they can't be read."""
    if isinstance(value, UnsetType):
        return ()
    try:
        found = _logprobs.decode(value)
    except UNREADABLE:
        return ()
    return tuple(
        [
            LogProb(
                token.token,
                token.logprob,
                _bytes(token.token, token.bytes),
                tuple(
                    [
                        TopLogProb(top.token, top.logprob, _bytes(top.token, top.bytes))
                        for top in token.top_logprobs or ()
                    ]
                ),
            )
            for token in (found.content if found is not None else None) or ()
        ]
    )


def _bytes(token: str, known: tuple[int, ...] | None) -> tuple[int, ...]:
    return tuple(token.encode(errors="replace")) if known is None else known


def service_tier(tier: str | None) -> str:
    """The tier that was used, in the words of the Responses API; other servers have others."""
    return tier if tier in _TIERS else "default"


# ------------------------------------------------------------------------------------------- usage


def usage_of(tokens: Tokens | None) -> Usage | None:
    """As the Responses API counts; None where the upstream has not said.

    Some servers leave reasoning out of the completion's tokens (xAI, Gemini), but not out of the
    total, so that the larger of both readings counts.
    """
    if tokens is None:
        return None
    said = (tokens.prompt_tokens, tokens.completion_tokens, tokens.total_tokens)
    if not any(map(_is_count, said)):
        return None
    read = _count(tokens.prompt_tokens)
    written = max(_count(tokens.completion_tokens), _count(tokens.total_tokens) - read)
    input_details = _object(tokens.prompt_tokens_details)
    output_details = _object(tokens.completion_tokens_details)
    cached = _count(input_details.get("cached_tokens")) or _count(tokens.prompt_cache_hit_tokens)
    cached = min(cached, read)
    return Usage(
        input_tokens=read,
        output_tokens=written,
        total_tokens=read + written,
        input_tokens_details=InputTokensDetails(
            cached, min(_count(input_details.get("cache_write_tokens")), read - cached)
        ),
        output_tokens_details=OutputTokensDetails(
            min(_count(output_details.get("reasoning_tokens")), written)
        ),
    )


_MOST_TOKENS = 2**53  # what JSON numbers hold everywhere


def _count(value: object) -> int:
    return int(value) if _is_count(value) else 0


def _is_count(value: object) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and 0 <= value < _MOST_TOKENS


def _object(value: object) -> Mapping[str, object]:
    return cast("Mapping[str, object]", value) if isinstance(value, dict) else {}

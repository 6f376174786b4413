"""The JSON of a `generateContent` answer (Gemini API reference, "GenerateContentResponse").

A stream is a row of such objects, each with more of the answer. Tolerant: members and parts of
kinds that are not named here are skipped.
"""

from __future__ import annotations

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from sluicegate.model import InputTokensDetails, OutputTokensDetails, Usage


class _Wire(Struct, rename="camel"):
    """An object of the wire, whose names are camelCase."""


class PartialArg(_Wire):
    """More of one argument; `null_value` is the word NULL_VALUE."""

    json_path: str = ""
    string_value: str | None = None
    number_value: float | None = None
    bool_value: bool | None = None
    null_value: str | None = None
    will_continue: bool = False


class FunctionCall(_Wire):
    """A call: whole, or with `will_continue` in pieces of which the last is empty."""

    name: str = ""
    id: str | None = None
    args: Raw = Raw()
    partial_args: list[PartialArg] | None = None
    will_continue: bool = False


class Blob(_Wire):
    """Bytes in base64."""

    mime_type: str = ""
    data: str = ""


class Part(_Wire):
    """One piece of the answer. The last two are of the API's own tools."""

    text: str | None = None
    thought: bool = False
    thought_signature: str | None = None
    function_call: FunctionCall | None = None
    inline_data: Blob | None = None
    tool_call: Raw | UnsetType = UNSET
    tool_response: Raw | UnsetType = UNSET

    @property
    def is_own_tool(self) -> bool:
        """Whether it is of a tool that the API runs by itself."""
        return self.tool_call is not UNSET or self.tool_response is not UNSET

    @property
    def image(self) -> Blob | None:
        """The image that it is. One within thoughts is a draft of another."""
        held = self.inline_data
        if held is None or self.thought or not held.mime_type.startswith("image/"):
            return None
        return held


class Content(_Wire):
    """The pieces of one object of a stream, or of the whole answer."""

    parts: list[Part] | None = None


class RawContent(_Wire):
    """The same, each piece as it came."""

    parts: list[Raw] | None = None


class RawCandidate(_Wire):
    """An answer with its pieces as they came."""

    content: RawContent | None = None


class RawChunk(_Wire):
    """A chunk with its pieces as they came, for those that go back unchanged."""

    candidates: list[RawCandidate] | None = None


class TokenLikelihood(_Wire):
    """A token; the wire has no infinite numbers, so an unlikely one's logarithm may be a word."""

    token: str = ""
    log_probability: float | str | None = None


class LikelyTokens(_Wire):
    """What might have stood at one place."""

    candidates: list[TokenLikelihood] | None = None


class Likelihoods(_Wire):
    """Of the tokens of one piece."""

    chosen_candidates: list[TokenLikelihood] | None = None
    top_candidates: list[LikelyTokens] | None = None


class Web(_Wire):
    """A page."""

    uri: str | None = None
    title: str | None = None


class Source(_Wire):
    """Where something comes from; only pages of the web have a form in the Responses API."""

    web: Web | None = None


class Segment(_Wire):
    """A range of the text, counted in bytes of UTF-8."""

    start_index: int = 0
    end_index: int = 0
    text: str | None = None


class Support(_Wire):
    """Which sources stand behind a range."""

    segment: Segment | None = None
    grounding_chunk_indices: list[int] | None = None


class Grounding(_Wire):
    """What a search found."""

    web_search_queries: list[str] | None = None
    grounding_chunks: list[Source] | None = None
    grounding_supports: list[Support] | None = None


class Candidate(_Wire):
    """An answer; only the first of several is read (only one is asked for)."""

    content: Content | None = None
    finish_reason: str | None = None
    finish_message: str | None = None
    logprobs_result: Likelihoods | None = None
    grounding_metadata: Grounding | None = None


class Feedback(_Wire):
    """Why a prompt got no answer."""

    block_reason: str | None = None
    block_reason_message: str | None = None


class Tokens(_Wire):
    """Usage so far. `prompt` holds the cached ones, `candidates` does not hold the thoughts."""

    prompt_token_count: int | None = None
    cached_content_token_count: int | None = None
    candidates_token_count: int | None = None
    thoughts_token_count: int | None = None
    tool_use_prompt_token_count: int | None = None
    total_token_count: int | None = None
    service_tier: str | None = None
    traffic_type: str | None = None


class Failure(_Wire):
    """What went wrong (google.rpc.Status)."""

    code: int | None = None
    message: str = ""
    status: str = ""
    details: Raw = Raw()


class Chunk(_Wire):
    """One object of a stream, or a whole answer."""

    candidates: list[Candidate] | None = None
    usage_metadata: Tokens | None = None
    model_version: str | None = None
    prompt_feedback: Feedback | None = None
    error: Failure | None = None


class Counted:
    """The usage of one answer. Each count replaces the one before it, and may be smaller."""

    __slots__ = ("_tier", "_tokens")

    def __init__(self) -> None:
        self._tokens: Tokens | None = None
        self._tier: str | None = None

    def take(self, tokens: Tokens) -> None:
        """A newer count; one that says only how traffic is billed counts nothing."""
        self._tier = tokens.service_tier or tokens.traffic_type or self._tier
        if tokens.total_token_count is not None or tokens.prompt_token_count is not None:
            self._tokens = tokens

    def usage(self) -> Usage | None:
        """As the Responses API counts; None where the upstream has not said."""
        tokens = self._tokens
        if tokens is None:
            return None
        read = _count(tokens.prompt_token_count) + _count(tokens.tool_use_prompt_token_count)
        thought = _count(tokens.thoughts_token_count)
        written = _count(tokens.candidates_token_count) + thought
        return Usage(
            input_tokens=read,
            output_tokens=written,
            total_tokens=read + written,
            input_tokens_details=InputTokensDetails(
                min(_count(tokens.cached_content_token_count), read)
            ),
            output_tokens_details=OutputTokensDetails(thought),
        )

    def service_tier(self) -> str:
        """The tier that was used, in the words of the Responses API."""
        tier = (self._tier or "").lower()
        return next((name for name in ("flex", "priority") if tier.endswith(name)), "default")


def _count(value: int | None) -> int:
    return max(value or 0, 0)


chunks = msgspec.json.Decoder(Chunk)
chunk_lists = msgspec.json.Decoder(list[Raw])
raw_chunks = msgspec.json.Decoder(RawChunk)
# Of JSON that came over the wire; a nested one is too deep, a bad string is not UTF-8.
UNREADABLE = (msgspec.DecodeError, UnicodeError, RecursionError)

"""Messages and answers in records: what is kept of them, with secrets masked and length bounded."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeVar, cast

import msgspec
from msgspec import UNSET, UnsetType

from sluicegate.framing import sse

_T = TypeVar("_T")

MASK = "[masked]"
_LONGEST = 64 * 1024  # characters of one string
MOST = 256 * 1024  # characters of one record's content
_MOST_VALUES = 20_000  # of one record's content
# A secret that a cut goes through is still found: patterns see this much beyond it.
_BEYOND = 4096
_SECRETS = (
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)",
    r"(?i:\b(?:bearer|basic)\s+)[A-Za-z0-9._~+/=-]{16,}",
    r"\b(?:sk|pk|rk)-[A-Za-z0-9_-]{16,}",  # OpenAI, Anthropic, Langfuse, our own keys
    r"\bAIza[0-9A-Za-z_-]{35}",  # Google
    r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b",  # AWS
    r"\beyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}(?:\.[A-Za-z0-9_-]*)?",  # JSON Web Tokens
    r"\bgh[pousr]_[A-Za-z0-9]{20,}",  # GitHub
    r"\bxox[abprs]-[A-Za-z0-9-]{10,}",  # Slack
    r"(?<=://)[^/\s:@]{1,256}:[^/\s@]{1,256}(?=@)",  # user:password of a URL
)


class Content(msgspec.Struct, frozen=True, omit_defaults=True):
    """What was asked and answered, as in the Responses API. `cut`: some of it was too long."""

    input: Any = None
    instructions: str | None = None
    output: Any = None
    cut: bool = False


class Masking:
    """Replaces what patterns find in text; those of known kinds of secrets are always there."""

    def __init__(self, patterns: Sequence[str] = ()) -> None:
        """Raises ValueError for a pattern that is no regular expression."""
        try:
            for pattern in patterns:
                re.compile(pattern)
        except re.error as error:
            raise ValueError(f"a pattern of what is to be masked is not sound: {error}") from error
        self._patterns = [re.compile(each, re.DOTALL) for each in (*_SECRETS, *patterns)]

    def masked(self, text: str) -> str:
        """The text, with MASK in the place of each match."""
        for pattern in self._patterns:
            text = pattern.sub(MASK, text)
        return text


class _Request(msgspec.Struct):
    input: Any = None
    instructions: str | None = None


class _Response(msgspec.Struct):
    output: Any = None


class _Event(msgspec.Struct):
    response: _Response


_request = msgspec.json.Decoder(_Request)
_response = msgspec.json.Decoder(_Response)
_event = msgspec.json.Decoder(_Event)
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def content_of(
    body: bytes, answer: bytes, masking: Masking, *, streamed: bool
) -> Content | UnsetType:
    """What is logged of a request's body and of its answer; UNSET without a body."""
    if not body:
        return UNSET
    keeper = _Keeper(masking)
    output: Any = None
    try:
        asked = _request.decode(body)
        instructions = keeper.kept(asked.instructions)
        given = keeper.kept(asked.input)
        if answer:
            output = keeper.kept(_output(answer, streamed=streamed))
    except _UNREADABLE:
        return Content(cut=True)
    return Content(given, instructions, output, keeper.cut)


def _output(answer: bytes, *, streamed: bool) -> object:
    if streamed:
        return _event.decode(sse.parse_frame(answer).data).response.output
    return _response.decode(answer).output


class _Keeper:
    """Masks and cuts every string of a JSON value, within one bound for all."""

    def __init__(self, masking: Masking) -> None:
        self._masking = masking
        self._left = MOST
        self._values = _MOST_VALUES
        self.cut = False

    def kept(self, value: Any) -> Any:  # noqa: ANN401 -- any JSON value
        """The value with its strings, and the names of its members, made fit to be logged."""
        self._values -= 1
        if isinstance(value, str):
            return self._text(value)
        if isinstance(value, list):
            items = cast("list[Any]", value)
            return [self.kept(each) for each in self._some(items)]
        if isinstance(value, dict):
            members = cast("dict[str, Any]", value)
            return {self._text(name): self.kept(members[name]) for name in self._some(members)}
        return value

    def _some(self, values: Iterable[_T]) -> Iterator[_T]:
        """As many as there is room for."""
        for value in values:
            if self._values <= 0:
                self.cut = True
                return
            yield value

    def _text(self, text: str) -> str:
        most = min(_LONGEST, self._left)
        if len(text) <= most:
            text = self._masking.masked(text)
        else:
            self.cut = True
            # A match that goes over the cut is one mask, which is kept or cut as a whole is.
            head = self._masking.masked(text[: most + _BEYOND])
            text = head[: min(most, max(len(head) - _BEYOND, 0))]
        self._left = max(self._left - len(text), 0)
        return text

"""Values that cross layers: what a request asks of a provider, what a provider answers, and errors.

Imports nothing of ours, does no I/O.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import msgspec


class ErrorBody(msgspec.Struct, frozen=True):
    """The OpenAI error object; all four keys are always present on the wire."""

    message: str
    type: str
    param: str | None
    code: str | None


class ApiError(Exception):
    """An answer in the OpenAI error envelope.

    `status` is the HTTP status; `retry_after` is in seconds; `should_retry` becomes `x-should-
    retry` where it is not None (the OpenAI SDKs obey it). The message is shown to the client: it
    never holds a credential.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        type: str = "invalid_request_error",  # noqa: A002 -- the wire's own name
        retry_after: float | None = None,
        should_retry: bool | None = None,
        headers: tuple[tuple[bytes, bytes], ...] = (),
    ) -> None:
        super().__init__(message)
        self.status = status
        self.error = ErrorBody(message=message, type=type, param=param, code=code)
        self.retry_after = retry_after
        self.should_retry = should_retry
        self.headers = headers

    def body(self) -> bytes:
        """The JSON body `{"error": {message, type, param, code}}`."""
        return msgspec.json.encode({"error": self.error})


class UpstreamStreamError(Exception):
    """The upstream's answer ended early or is not what its protocol allows.

    The message is safe to show.
    """


class Event(msgspec.Struct, frozen=True, gc=False):
    """One event of a Responses stream.

    `frame` is the whole Server-Sent Event as it goes to the client, blank line included, so that an
    upstream that speaks Responses itself passes unchanged. `type` is empty for a comment, which
    keeps connections alive and says nothing.
    """

    type: str
    frame: bytes


# Sent before there is output: an attempt may still fail over after these.
PRELUDE_EVENTS = frozenset({"response.created", "response.in_progress", "response.queued"})
# Each ends a stream; exactly one of them is sent.
TERMINAL_EVENTS = frozenset({"response.completed", "response.incomplete", "response.failed"})


class InputTokensDetails(msgspec.Struct, frozen=True):
    """Of the input tokens: read from a cache, written to one."""

    cached_tokens: int = 0
    cache_write_tokens: int = 0


class OutputTokensDetails(msgspec.Struct, frozen=True):
    """Of the output tokens: spent on reasoning."""

    reasoning_tokens: int = 0


class Usage(msgspec.Struct, frozen=True):
    """Tokens of one answer.

    `input_tokens` includes cached and cache-write ones, `output_tokens` reasoning ones.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    total_tokens: int = 0
    input_tokens_details: InputTokensDetails = InputTokensDetails()
    output_tokens_details: OutputTokensDetails = OutputTokensDetails()


class LocalAnswer(NamedTuple):
    """An answer that needs no upstream: pairs of (seconds to wait first, events to send then)."""

    steps: Iterator[tuple[float, list[Event]]]

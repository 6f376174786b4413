"""The answer of an echo deployment as it is told: pieces of text at the configured pace."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from sluicegate.api.request import ResponsesRequest, decode_request, merge_parameters
from sluicegate.api.stream import ResponseStream
from sluicegate.config import EchoUpstream, Parameters
from sluicegate.model import ApiError, Event, LocalAnswer, OutputTokensDetails, Usage
from sluicegate.providers.echo.errors import no_upstream
from sluicegate.providers.echo.request import Script, characters, script, tokens

_MOST_WORDS = 1000  # deltas at one word each; a longer text gets as many of equal length
_LONG = 64 * 1024  # characters; not looked through for words
_WORD = re.compile(r"\s*\S+(?:\s+\Z)?|\s+")
_Steps = Iterator[tuple[float, list[Event]]]


class EchoTranslator:
    """One answer. There is no upstream, so only `request` and `fail` are of use."""

    __slots__ = ("_model", "_parameters", "_request", "_stream", "_upstream")

    dropped: tuple[str, ...] = ()  # it tells nobody who could miss it

    def __init__(
        self,
        request: ResponsesRequest,
        model: str,
        upstream: EchoUpstream,
        parameters: Parameters | None,
    ) -> None:
        self._request = request
        self._model = model
        self._upstream = upstream
        self._parameters = parameters
        self._stream: ResponseStream | None = None

    def request(self) -> LocalAnswer:
        """The answer. Raises ApiError for a request that OpenAI would refuse too."""
        request = self._request
        if self._parameters is not None:
            request = decode_request(
                merge_parameters(
                    request.body, self._parameters.defaults, self._parameters.overrides
                )
            )
        plan = script(request, self._upstream.text)
        self._stream = ResponseStream(plan.echo, self._model)
        return LocalAnswer(_told(plan, self._stream, self._upstream))

    def feed(self, chunk: bytes) -> list[Event]:  # noqa: ARG002 - there is nobody to send any
        """Never of use."""
        raise no_upstream()

    def close(self) -> list[Event]:
        """Nothing is open."""
        return []

    def answer(self, body: bytes) -> bytes:  # noqa: ARG002 - as with feed
        """Never of use."""
        raise no_upstream()

    def fail(self, error: ApiError) -> list[Event]:
        """`error`, then `response.failed` with what had been told."""
        return [] if self._stream is None else self._stream.fail(error)

    def error(
        self,
        status: int,
        headers: Mapping[str, str],  # noqa: ARG002 - as with feed
        body: bytes,  # noqa: ARG002 - as with feed
    ) -> ApiError:
        """Never of use."""
        return ApiError(502, f"{no_upstream()} (HTTP {status})", type="server_error")


def _told(plan: Script, stream: ResponseStream, upstream: EchoUpstream) -> _Steps:
    """The steps of the answer: the prelude, one for each piece, the end."""
    spent, room = _reasoning_tokens(plan), _room(plan)
    payload = plan.text if plan.call is None else plan.call.payload
    shown = payload if room is None else payload[:room]
    due = stream.in_progress()
    if plan.reasons:
        due += _reasoned(plan, stream)
    if plan.call is not None:
        due += _opened(plan, stream)
    pause = upstream.delay
    for piece in _pieces(shown, upstream.chunks):
        if upstream.chunk_delay:
            yield pause, due
            pause, due = upstream.chunk_delay, []
        due += stream.text(piece) if plan.call is None else stream.call_delta(piece)
    output = spent + tokens(len(shown))
    usage = Usage(
        input_tokens=plan.input_tokens,
        output_tokens=output,
        total_tokens=plan.input_tokens + output,
        output_tokens_details=OutputTokensDetails(reasoning_tokens=spent),
    )
    cut = "max_output_tokens" if len(shown) < len(payload) else None
    due += stream.finish(usage, incomplete=cut)
    yield pause, due


def _reasoning_tokens(plan: Script) -> int:
    return tokens(len(plan.summary) + 1) if plan.reasons else 0


def _room(plan: Script) -> int | None:
    """Characters that `max_output_tokens` leaves for the answer after its reasoning."""
    if plan.most_tokens is None:
        return None
    return characters(max(plan.most_tokens - _reasoning_tokens(plan), 0))


def _reasoned(plan: Script, stream: ResponseStream) -> list[Event]:
    events = stream.reasoning()
    events += stream.reasoning_summary(plan.summary)
    if plan.sealed:
        events += stream.encrypted_reasoning(plan.sealed)
    events += stream.end_item()
    return events


def _opened(plan: Script, stream: ResponseStream) -> list[Event]:
    call = plan.call
    if call is None:
        return []
    begin = stream.custom_tool_call if call.custom else stream.function_call
    return begin(stream.new_call_id(), call.name, call.namespace)


def _pieces(text: str, count: int | None) -> list[str]:
    """The text in `count` pieces (fewer where it has fewer characters), or word by word."""
    if count is None and len(text) < _LONG:
        words = _WORD.findall(text)
        if len(words) <= _MOST_WORDS:
            return words
    pieces = min(count or _MOST_WORDS, len(text))
    return [
        text[len(text) * index // pieces : len(text) * (index + 1) // pieces]
        for index in range(pieces)
    ]

"""One attempt at Bedrock: Converse for a whole answer, ConverseStream for a streamed one."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from sluicegate.api.answer import echo
from sluicegate.api.parameters import decode_parameters
from sluicegate.api.request import ResponsesRequest, decode_request, merge_parameters
from sluicegate.api.stream import ResponseStream, fold
from sluicegate.config import Deployment
from sluicegate.framing.aws_eventstream import Frame, FrameReader, FramingError
from sluicegate.model import ApiError, Event, Usage
from sluicegate.providers.bedrock import reading
from sluicegate.providers.bedrock.blocks import BlockWriter
from sluicegate.providers.bedrock.errors import Source, answer_error, failed_answer, frame_error
from sluicegate.providers.bedrock.request import prepare
from sluicegate.providers.contract import UpstreamCall, UpstreamStreamError

_UNREADABLE = (msgspec.DecodeError, UnicodeError, RecursionError)


class BedrockTranslator:
    """One attempt. `call` makes the upstream call of a body."""

    __slots__ = (
        "_blocks",
        "_broken",
        "_call",
        "_deployment",
        "_frames",
        "_model",
        "_request",
        "_source",
        "_stop_reason",
        "_stream",
        "_usage",
        "dropped",
        "ended",
    )

    def __init__(
        self,
        request: ResponsesRequest,
        model: str,
        deployment: Deployment,
        source: Source,
        call: Callable[[bytes], UpstreamCall],
    ) -> None:
        self._request = request
        self._model = model
        self._deployment = deployment
        self._source = source
        self._call = call
        self._frames = FrameReader()
        self._broken: UpstreamStreamError | None = None  # found behind events that were good
        self._stream: ResponseStream | None = None
        self._blocks: BlockWriter | None = None
        self._stop_reason: str | None = None
        self._usage: Usage | None = None
        self.dropped: tuple[str, ...] = ()
        self.ended = False

    def request(self) -> UpstreamCall:
        """The call. Raises ApiError (400) for what Bedrock can't be asked."""
        request, own = self._request, self._deployment.parameters
        if own.defaults or own.overrides:
            body = merge_parameters(request.body, own.defaults, own.overrides)
            request = decode_request(body)
        parameters = decode_parameters(request)
        prepared = prepare(request, parameters, self._model, self._deployment)
        self.dropped = prepared.dropped
        shown = self._model.rpartition("/")[2]  # an ARN names the account, too
        self._stream = ResponseStream(
            echo(parameters, store=False), shown, whole=not request.stream
        )
        self._blocks = BlockWriter(self._stream, prepared)
        return self._call(prepared.body)

    def feed(self, chunk: bytes) -> list[Event]:
        """Events of the frames that this chunk completes. Raises UpstreamStreamError."""
        if self._broken is not None:
            raise self._broken
        try:
            frames = self._frames.feed(chunk)
        except FramingError as error:
            raise UpstreamStreamError(self._said(str(error))) from error
        events: list[Event] = []
        for frame in frames:
            if self.ended:
                break
            try:
                events += self._frame(frame)
            except UpstreamStreamError as error:
                if not events:
                    raise
                # What came before it is good, and has its sequence numbers: it is told next time.
                self._broken = error
                break
        return events

    def close(self) -> list[Event]:
        """The stream is over. Raises UpstreamStreamError where it was not whole."""
        if self._broken is not None:
            raise self._broken
        try:
            self._frames.close()
        except FramingError as error:
            raise UpstreamStreamError(self._said(str(error))) from error
        if not self.ended:
            raise UpstreamStreamError(self._said("the stream ended before the answer did"))
        return []

    def answer(self, body: bytes) -> bytes:
        """The Response object of a whole answer: the fold of the events that it makes.

        Raises UpstreamStreamError, or ApiError where the model failed.
        """
        try:
            whole = reading.whole.decode(body)
        except _UNREADABLE as error:
            raise UpstreamStreamError(self._said("the body is not an answer")) from error
        if whole.stop_reason in reading.MALFORMED:
            raise failed_answer(self._source, whole.stop_reason)
        _, blocks = self._parts()
        for index, block in enumerate(whole.output.message.content):
            blocks.whole(index, block)
        self._stop_reason = whole.stop_reason
        metadata = reading.Metadata(whole.usage, whole.service_tier, whole.trace)
        return fold(self._finish(metadata)[-1])

    def fail(self, error: ApiError) -> list[Event]:
        """`error`, then `response.failed` with what had come."""
        self.ended = True
        return self._stream.fail(error, self._usage) if self._stream is not None else []

    def error(self, status: int, headers: Mapping[str, str], body: bytes) -> ApiError:
        """The client's error; see errors.py."""
        return answer_error(self._source, status, headers, body)

    # ---------------------------------------------------------------------------------- inside

    def _frame(self, frame: Frame) -> list[Event]:
        kind = frame.headers.get(":message-type", "event")
        if kind != "event":
            return self.fail(frame_error(self._source, frame.headers, frame.payload))
        try:
            return self._event(frame.headers.get(":event-type"), frame.payload)
        except _UNREADABLE as error:
            raise UpstreamStreamError(self._said("an event is not what Converse sends")) from error

    def _event(self, kind: object, payload: bytes) -> list[Event]:
        stream, blocks = self._parts()
        match kind:
            case "contentBlockDelta":
                return self._delta(reading.block_delta.decode(payload))
            case "contentBlockStart":
                begun = reading.block_start.decode(payload)
                return blocks.start(begun.content_block_index, begun.start.tool_use)
            case "contentBlockStop":
                return blocks.stop(reading.block_stop.decode(payload).content_block_index)
            case "messageStart":
                return stream.in_progress()
            case "messageStop":
                self._stop_reason = reading.message_stop.decode(payload).stop_reason
            case "metadata":
                return self._finish(reading.metadata.decode(payload))
            case _:
                pass  # an event of a later version
        return []

    def _delta(self, event: reading.ContentBlockDelta) -> list[Event]:
        _, blocks = self._parts()
        delta, index = event.delta, event.content_block_index
        if delta.text is not None:
            return blocks.text(index, delta.text)
        if delta.tool_use is not None:
            return blocks.call_input(index, delta.tool_use.input)
        if delta.reasoning_content is not None:
            return blocks.reasoning(index, delta.reasoning_content)
        if delta.citation is not None:
            return blocks.citation(delta.citation)
        return []

    def _finish(self, metadata: reading.Metadata) -> list[Event]:
        """The last event: what comes after it is of no interest."""
        stream, blocks = self._parts()
        self._usage = reading.usage_of(metadata.usage)
        reason = self._stop_reason
        if reason is None:
            raise UpstreamStreamError(self._said("the answer ended without saying why"))
        cut = reason in reading.INCOMPLETE or reason in reading.MALFORMED
        events = blocks.finish(cut=cut)
        self.ended = True
        if reason in reading.MALFORMED:
            return events + stream.fail(failed_answer(self._source, reason), self._usage)
        return events + stream.finish(
            self._usage,
            incomplete=reading.INCOMPLETE.get(reason),
            service_tier=reading.tier_of(metadata.service_tier),
            model=reading.routed_model(metadata.trace),
        )

    def _parts(self) -> tuple[ResponseStream, BlockWriter]:
        if self._stream is None or self._blocks is None:
            raise RuntimeError("`request` comes first")
        return self._stream, self._blocks

    def _said(self, what: str) -> str:
        return f"deployment {self._source.label}: {what}"

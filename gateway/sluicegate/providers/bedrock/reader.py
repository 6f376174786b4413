"""An answer of Converse, event by event, as events of the Responses API."""

from __future__ import annotations

import msgspec

from sluicegate.api.stream import ResponseStream
from sluicegate.model import ApiError, Event, UpstreamStreamError, Usage
from sluicegate.providers.bedrock import reading
from sluicegate.providers.bedrock.blocks import BlockWriter
from sluicegate.providers.bedrock.errors import Source, failed_answer
from sluicegate.providers.bedrock.request import Prepared

UNREADABLE = (msgspec.DecodeError, UnicodeError, RecursionError)


class ConverseReader:
    """One answer. Each method returns the events that follow; `ended` after the last of them."""

    def __init__(self, stream: ResponseStream, prepared: Prepared, source: Source) -> None:
        self.ended = False
        self._stream = stream
        self._blocks = BlockWriter(stream, prepared)
        self._source = source
        self._stop_reason: str | None = None
        self._usage: Usage | None = None

    def event(self, kind: object, payload: bytes) -> list[Event]:
        """One event of a stream. Raises UNREADABLE, UpstreamStreamError."""
        match kind:
            case "contentBlockDelta":
                return self._delta(reading.block_delta.decode(payload))
            case "contentBlockStart":
                begun = reading.block_start.decode(payload)
                return self._start(begun)
            case "contentBlockStop":
                return self._blocks.stop(reading.block_stop.decode(payload).content_block_index)
            case "messageStart":
                return self._stream.in_progress()
            case "messageStop":
                self._stop_reason = reading.message_stop.decode(payload).stop_reason
            case "metadata":
                return self._finish(reading.metadata.decode(payload))
            case _:
                pass  # an event of a later version
        return []

    def whole(self, body: bytes) -> list[Event]:
        """All events of a whole answer.

        Raises UNREADABLE, UpstreamStreamError, or ApiError where the model failed.
        """
        answer = reading.whole.decode(body)
        if answer.stop_reason in reading.MALFORMED:
            raise failed_answer(self._source, answer.stop_reason)
        for index, block in enumerate(answer.output.message.content):
            self._blocks.whole(index, block)
        self._stop_reason = answer.stop_reason
        return self._finish(reading.Metadata(answer.usage, answer.service_tier, answer.trace))

    def fail(self, error: ApiError) -> list[Event]:
        """`error`, then `response.failed` with what had come."""
        self.ended = True
        return self._stream.fail(error, self._usage)

    def _start(self, event: reading.ContentBlockStart) -> list[Event]:
        if event.start.image is not None:
            return self._blocks.image(event.content_block_index, event.start.image)
        return self._blocks.start(event.content_block_index, event.start.tool_use)

    def _delta(self, event: reading.ContentBlockDelta) -> list[Event]:
        delta, index = event.delta, event.content_block_index
        if delta.text is not None:
            return self._blocks.text(index, delta.text)
        if delta.tool_use is not None:
            return self._blocks.call_input(index, delta.tool_use.input)
        if delta.reasoning_content is not None:
            return self._blocks.reasoning(index, delta.reasoning_content)
        if delta.citation is not None:
            return self._blocks.citation(delta.citation)
        if delta.image is not None:
            return self._blocks.image(index, delta.image)
        return []

    def _finish(self, metadata: reading.Metadata) -> list[Event]:
        """The last event: what comes after it is of no interest."""
        self._usage = reading.usage_of(metadata.usage)
        reason = self._stop_reason
        if reason is None:
            raise UpstreamStreamError(
                f"deployment {self._source.label} ended the answer without saying why"
            )
        cut = reason in reading.INCOMPLETE or reason in reading.MALFORMED
        events = self._blocks.finish(cut=cut)
        self.ended = True
        if reason in reading.MALFORMED:
            return events + self._stream.fail(failed_answer(self._source, reason), self._usage)
        return events + self._stream.finish(
            self._usage,
            incomplete=reading.INCOMPLETE.get(reason),
            service_tier=reading.tier_of(metadata.service_tier),
            model=reading.routed_model(metadata.trace),
        )

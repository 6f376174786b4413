"""One attempt at Bedrock: Converse for a whole answer, ConverseStream for a streamed one."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from sluicegate.api.answer import echo
from sluicegate.api.parameters import decode_parameters
from sluicegate.api.request import ResponsesRequest, decode_request, merge_parameters
from sluicegate.api.stream import ResponseStream, fold
from sluicegate.config import Deployment
from sluicegate.framing.aws_eventstream import Frame, FrameReader
from sluicegate.model import ApiError, Event
from sluicegate.providers.bedrock.errors import Source, answer_error, frame_error
from sluicegate.providers.bedrock.reader import UNREADABLE, ConverseReader
from sluicegate.providers.bedrock.request import prepare
from sluicegate.providers.contract import UpstreamCall
from sluicegate.wires.translator import FrameTranslator


class BedrockTranslator(FrameTranslator[Frame, None, ConverseReader]):
    """One attempt. `call` makes the upstream call of a body."""

    def __init__(
        self,
        request: ResponsesRequest,
        model: str,
        deployment: Deployment,
        source: Source,
        call: Callable[[bytes], UpstreamCall],
    ) -> None:
        super().__init__(source.label, FrameReader())
        self._request = request
        self._model = model
        self._deployment = deployment
        self._source = source
        self._call = call
        self._reader: ConverseReader | None = None

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
        stream = ResponseStream(echo(parameters, store=False), shown, whole=not request.stream)
        self._reader = ConverseReader(stream, prepared, self._source)
        return self._call(prepared.body)

    def answer(self, body: bytes) -> bytes:
        """The Response object of a whole answer: the fold of the events that it makes.

        Raises UpstreamStreamError, or ApiError where the model failed.
        """
        try:
            return fold(self._reading().whole(body)[-1])
        except UNREADABLE as error:
            raise self._bad("answered with something that is not an answer") from error

    def error(self, status: int, headers: Mapping[str, str], body: bytes) -> ApiError:
        """The client's error; see errors.py."""
        return answer_error(self._source, status, headers, body)

    # ---------------------------------------------------------------------------------- inside

    def _reading(self) -> ConverseReader:
        if self._reader is None:
            raise RuntimeError("`request` comes first")
        return self._reader

    def _frame(self, frame: Frame, reader: ConverseReader) -> list[Event]:
        kind = frame.headers.get(":message-type", "event")
        if kind != "event":
            return reader.fail(frame_error(self._source, frame.headers, frame.payload))
        try:
            return reader.event(frame.headers.get(":event-type"), frame.payload)
        except UNREADABLE as error:
            raise self._bad("sent an event that is not what Converse sends") from error

    def _end(self, rest: None, reader: ConverseReader) -> list[Event]:
        del rest, reader  # no answer is whole without its last event
        raise self._bad("ended the stream before the answer did")

"""One attempt at one target, sans-IO: what to send, and what the bytes of its answer mean."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping

import httpx2
import openai
from openai.types.responses import Response, ResponseStreamEvent

from sluicegate.api.partial import stream_error
from sluicegate.api.stream import fold
from sluicegate.auth.upstream import CredentialFailed
from sluicegate.framing import sse
from sluicegate.model import (
    PRELUDE_EVENTS,
    TERMINAL_EVENTS,
    ApiError,
    Event,
    LocalAnswer,
    UpstreamStreamError,
)
from sluicegate.providers.contract import Translator, UpstreamCall
from sluicegate.routing.attempts import Outcome, outcome_of_error
from sluicegate.sdk.answers import Unreadable, typed_event, typed_response
from sluicegate.sdk.failures import (
    AttemptFailed,
    exchange_failure,
    shown_request,
    status_error,
)
from sluicegate.sdk.plan import Plan, Target

_log = logging.getLogger("sluicegate")
_EARLY_FAILURES = frozenset({"response.failed", "error"})
_BAD_GATEWAY = 502
_UNAUTHORIZED = 401

Steps = Iterator[tuple[float, list[Event]]]


class Attempt:
    """Holds the translator. `asked` is the request as exceptions may show it."""

    def __init__(self, plan: Plan, target: Target) -> None:
        self.target = target
        self.translator: Translator = target.connector.translator(plan.request, target.model)
        self.asked = shown_request(None)
        # A response that goes on at the provider has to be known by its id at once.
        self._detached = plan.request.fields.background is True

    def begin(self) -> UpstreamCall | LocalAnswer:
        """What to send. Raises AttemptFailed where the target can't do what is asked."""
        failure: AttemptFailed
        try:
            call = self.translator.request()
        except ApiError as refused:
            failure = self._refused(refused, Outcome.CLIENT_ERROR)
        else:
            if self.translator.dropped:
                dropped = ", ".join(self.translator.dropped)
                _log.warning("%s: left out of the request: %s", self.target.label, dropped)
            if isinstance(call, UpstreamCall):
                self.asked = shown_request(call)
            return call
        raise failure

    # --- failures ---------------------------------------------------------------------------------

    def no_credential(self, failed: CredentialFailed) -> AttemptFailed:
        """There is nothing to present."""
        why = str(failed)
        if failed.missing is not None:  # the advice that follows it is about deployments
            why = f"{failed.missing}: {self.target.credentials_from}"
        error = ApiError(
            _UNAUTHORIZED,
            f"{self.target.label}: {why}.",
            type="authentication_error",
            code="upstream_credential",
        )
        return self._refused(error, Outcome.CREDENTIAL)

    def lost(self, error: httpx2.RequestError) -> AttemptFailed:
        """The exchange did not come to its end."""
        return exchange_failure(self.target.label, error, self.asked)

    def refused(self, status: int, headers: Mapping[str, str], body: bytes) -> AttemptFailed:
        """The upstream's answer is not 2xx.

        Credential and address are the caller's own here, so their refusal keeps its status.
        """
        error = self.translator.error(status, headers, body)
        outcome = outcome_of_error(status, error.error)
        own = outcome is Outcome.CREDENTIAL or (
            outcome is Outcome.NOT_FOUND and error.status >= 500
        )
        shown = status if own else error.status
        made = status_error(error, shown, self.asked, headers)
        return AttemptFailed(outcome, made, error.retry_after)

    def broken(self, message: str, outcome: Outcome = Outcome.LOST) -> AttemptFailed:
        """What came is not a whole answer."""
        return AttemptFailed(
            outcome,
            openai.APIError(
                message, self.asked, body={"message": message, "code": "upstream_invalid_answer"}
            ),
        )

    def _refused(self, error: ApiError, outcome: Outcome | None = None) -> AttemptFailed:
        made = status_error(error, error.status, self.asked, {})
        outcome = outcome or outcome_of_error(error.status, error.error)
        return AttemptFailed(outcome, made, error.retry_after)

    # --- answers ----------------------------------------------------------------------------------

    def whole(self, body: bytes) -> Response:
        """The answer of a whole body. Raises AttemptFailed."""
        failure: AttemptFailed
        try:
            return self._typed(self.translator.answer(body))
        except ApiError as error:
            failure = self._refused(error)
        except UpstreamStreamError as error:
            failure = self.broken(str(error), Outcome.INVALID_ANSWER)
        raise failure

    def folded(self, terminal: Event | None) -> Response:
        """The answer of a stream that only its last event is wanted of. Raises AttemptFailed."""
        failure: AttemptFailed
        try:
            if terminal is not None:
                return self._typed(fold(terminal))
            failure = self.broken(f"{self.target.label} ended before its terminal event")
        except ApiError as error:
            failure = self._refused(error)
        raise failure

    def _typed(self, body: bytes) -> Response:
        try:
            return typed_response(body, self.target.provider, self.target.model)
        except Unreadable:
            pass
        raise self.broken(
            f"{self.target.label} answered with something that is not an answer",
            Outcome.INVALID_ANSWER,
        )

    def event(self, event: Event) -> ResponseStreamEvent | None:
        """An event as the package types it; None for one that says nothing.

        Raises AttemptFailed.
        """
        data = sse.parse_frame(event.frame).data
        if not data:
            return None
        try:
            return typed_event(event.type, data, self.target.provider, self.target.model)
        except Unreadable:
            pass
        raise self.broken(f"{self.target.label} sent an event that is not one")

    def feed(self, chunk: bytes) -> list[Event]:
        """The events that a chunk of the answer completes. Raises AttemptFailed."""
        failure: AttemptFailed
        try:
            return self.translator.feed(chunk)
        except UpstreamStreamError as error:
            failure = self.broken(str(error))
        raise failure

    def close(self) -> list[Event]:
        """Nothing more comes: the last events. Raises AttemptFailed."""
        failure: AttemptFailed
        try:
            return self.translator.close()
        except UpstreamStreamError as error:
            failure = self.broken(str(error))
        raise failure

    def begun(self, events: list[Event]) -> bool:
        """Whether one of these events may be shown, so that no other attempt takes over.

        Raises AttemptFailed where the stream reports that it failed before that.
        """
        for event in events:
            if event.type in _EARLY_FAILURES:
                raise self._failed_early(event)
            if event.type and (self._detached or event.type not in PRELUDE_EVENTS):
                return True
        return False

    def _failed_early(self, event: Event) -> AttemptFailed:
        error = stream_error(event) or ApiError(
            _BAD_GATEWAY, f"{self.target.label} failed before it had output", type="server_error"
        )
        return self._refused(error)


def terminal_of(events: list[Event]) -> Event | None:
    """The event that ends the stream, if it is among these."""
    return next((event for event in events if event.type in TERMINAL_EVENTS), None)

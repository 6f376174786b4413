"""One attempt: a request to one deployment, until there is something for the client.

That is a whole body, or the first event that carries output.
"""

from __future__ import annotations

import asyncio
from functools import lru_cache
from time import monotonic

import msgspec

from sluicegate.api.outcome import filtered_answer, filtered_event
from sluicegate.api.partial import stream_error
from sluicegate.api.stream import fold
from sluicegate.auth.upstream import CredentialFailed
from sluicegate.config import Deployment, Timeouts
from sluicegate.model import PRELUDE_EVENTS, TERMINAL_EVENTS, ApiError, Event
from sluicegate.pipeline.plan import AttemptFailed, Plan
from sluicegate.pipeline.relay import Relay
from sluicegate.pipeline.sources import EventSource, LocalEvents, UpstreamEvents
from sluicegate.providers.contract import (
    Connector,
    Translator,
    UpstreamCall,
    UpstreamStreamError,
)
from sluicegate.routing.attempts import Outcome, outcome_of_error, serves
from sluicegate.routing.select import upstream_model
from sluicegate.routing.snapshot import Target
from sluicegate.transport import (
    AnswerTooLarge,
    AttemptTimeouts,
    Headers,
    TimedOut,
    UpstreamAnswer,
    UpstreamError,
    UpstreamRequest,
    parse_base_url,
)
from sluicegate.transport import errors as transport_errors

_origin = lru_cache(maxsize=4096)(parse_base_url)
_LONGEST_LOOK_UP = 3600.0  # seconds; the authorizer's own bound is far below
_LONGEST_ERROR = 1024 * 1024  # bytes of an upstream error that are looked at
_ERROR_SECONDS = 5.0  # for them to come, after its head
_EARLY_FAILURES = frozenset({"response.failed", "error"})


class WholeAnswer(msgspec.Struct, frozen=True):
    """A body for the client."""

    body: bytes


class OpenStream(msgspec.Struct, frozen=True):
    """A stream that has begun to carry output. `events` have not been written yet."""

    source: EventSource
    events: list[Event]


async def attempt(
    plan: Plan, target: Target[Connector], relay: Relay | None
) -> WholeAnswer | OpenStream:
    """One attempt, until it has something for the client. Raises AttemptFailed."""
    model = upstream_model(plan.route, target, plan.name)
    translator = target.connector.translator(plan.request, model)
    try:
        call = translator.request()
    except ApiError as refused:
        raise AttemptFailed(Outcome.CLIENT_ERROR, refused) from refused
    plan.dropped = translator.dropped
    if isinstance(call, UpstreamCall):
        answer = await _send(plan, target, translator, call, model)
        if relay is None:
            return await _read_whole(plan, target, translator, answer)
        source: EventSource = UpstreamEvents(answer, translator)
    else:
        plan.account.sending(target, plan.route.pool.model, model)
        own = monotonic() + target.deployment.timeouts.total
        source = LocalEvents(call.steps, min(plan.deadline, own), plan.gateway.closing)
        if relay is None:
            return await _fold(target, source)
    relay.attach(translator)
    events = await _until_output(plan, target, source, relay)
    return OpenStream(source, events)


async def _send(
    plan: Plan, target: Target[Connector], translator: Translator, call: UpstreamCall, model: str
) -> UpstreamAnswer:
    """The upstream's 2xx answer, its body unread. Raises AttemptFailed for any other."""
    origin, _ = _origin(call.base_url)
    own: Headers = ()
    if call.authorization is not None:
        own = await _authorization(plan, target, call)
    plan.account.sending(target, plan.route.pool.model, model)
    own += plan.account.trace_headers()
    request = UpstreamRequest(origin, call.method, call.target, call.headers, call.body, own)
    try:
        answer = await plan.gateway.transport.send(request, _timeouts(plan, target.deployment))
        status = answer.status
    except UpstreamError as error:
        if not error.sent:
            plan.account.unsent()
        raise _transport_failure(target, error) from error
    if 200 <= status < 300:
        return answer
    try:
        async with asyncio.timeout(_ERROR_SECONDS):
            body = await answer.read_all(_LONGEST_ERROR)
    except (UpstreamError, TimeoutError):
        body = b""  # the status says what matters
    said = {name.decode("latin-1"): value.decode("latin-1") for name, value in answer.headers}
    error = translator.error(status, said, body)
    raise AttemptFailed(_outcome(target, status, error), error, status)


async def _authorization(plan: Plan, target: Target[Connector], call: UpstreamCall) -> Headers:
    """The headers that the call still needs. Raises AttemptFailed."""
    left = plan.deadline - monotonic()
    try:
        async with asyncio.timeout(left if left < _LONGEST_LOOK_UP else None):
            return await plan.gateway.authorizer.headers(call)
    except CredentialFailed as failed:
        outcome, status, code, reason = Outcome.CREDENTIAL, 502, "upstream_credential", str(failed)
    except TimeoutError:
        outcome, status, code = Outcome.TIMEOUT, 504, "upstream_timeout"
        reason = "its credential did not come in time"
    raise AttemptFailed(
        outcome,
        ApiError(status, f"Deployment {target.label}: {reason}.", type="server_error", code=code),
    )


def _timeouts(plan: Plan, deployment: Deployment) -> AttemptTimeouts:
    """The deployment's own, shortened to the client's deadline."""
    timeouts = deployment.timeouts
    left = max(plan.deadline - monotonic(), 0.001)
    if left >= timeouts.total:
        return _own_timeouts(timeouts)
    return AttemptTimeouts(
        min(timeouts.connect, left), min(timeouts.first_byte, left), timeouts.idle, left
    )


@lru_cache(maxsize=4096)
def _own_timeouts(own: Timeouts) -> AttemptTimeouts:
    return AttemptTimeouts(own.connect, own.first_byte, own.idle, own.total)


async def _read_whole(
    plan: Plan, target: Target[Connector], translator: Translator, answer: UpstreamAnswer
) -> WholeAnswer:
    try:
        whole = translator.answer(await answer.read_all(plan.gateway.max_answer_bytes))
    except UpstreamError as error:
        raise _transport_failure(target, error) from error
    except ApiError as error:
        raise _refused(target, error) from error
    except UpstreamStreamError as error:
        raise broken(str(error), Outcome.INVALID_ANSWER) from error
    if _minds_policy(plan) and filtered_answer(whole):
        raise _filtered(target)
    return WholeAnswer(whole)


async def _fold(target: Target[Connector], source: EventSource) -> WholeAnswer:
    """A whole answer out of a deployment that only makes events."""
    terminal: Event | None = None
    while (events := await next_events(target, source)) is not None:
        terminal = next((event for event in events if event.type in TERMINAL_EVENTS), terminal)
    if terminal is None:
        raise broken(f"deployment {target.label} ended before its terminal event")
    try:
        return WholeAnswer(fold(terminal))
    except ApiError as error:
        raise _refused(target, error) from error


async def _until_output(
    plan: Plan, target: Target[Connector], source: EventSource, relay: Relay
) -> list[Event]:
    """Read until there is output; `relay` holds back what comes before it.

    Returns the events with the output. A stream that fails before it has output is a failed
    attempt, not an answer.
    """
    try:
        while (events := await next_events(target, source)) is not None:
            if _has_output(plan, target, events, relay):
                return events
            if events:
                relay.hold(events)
                if relay.begun:
                    await relay.drain()
    except BaseException:
        relay.drop()
        source.abort()
        raise
    relay.drop()
    raise broken(f"deployment {target.label} ended its stream before any output")


def _has_output(plan: Plan, target: Target[Connector], events: list[Event], relay: Relay) -> bool:
    """Whether one of the events may be shown to the client. Raises AttemptFailed."""
    for event in events:
        if event.type in _EARLY_FAILURES and not relay.begun:
            raise told_failure(target, event)
        if event.type and event.type not in PRELUDE_EVENTS:
            if not relay.begun and _minds_policy(plan) and filtered_event(event):
                raise _filtered(target)
            return True
    return False


async def next_events(target: Target[Connector], source: EventSource) -> list[Event] | None:
    """The next events of an attempt, None after the last. Raises AttemptFailed."""
    try:
        return await source.next()
    except UpstreamError as error:
        raise _transport_failure(target, error) from error
    except UpstreamStreamError as error:
        raise broken(str(error)) from error


def _transport_failure(target: Target[Connector], error: UpstreamError) -> AttemptFailed:
    """What an attempt without an answer means to the client: 504 for a time-out, else 502."""
    if isinstance(error, TimedOut):
        outcome, status, code = Outcome.TIMEOUT, 504, "upstream_timeout"
    elif isinstance(error, AnswerTooLarge):
        outcome, status, code = Outcome.TOO_LARGE, 502, "upstream_answer_too_large"
    elif isinstance(error, transport_errors.ConnectFailed | transport_errors.AddressRefused):
        outcome, status, code = Outcome.CONNECT, 502, "upstream_unreachable"
    else:
        outcome, status, code = Outcome.LOST, 502, "upstream_connection_lost"
    return AttemptFailed(
        outcome,
        ApiError(status, f"Deployment {target.label}: {error}.", type="server_error", code=code),
        lost=error,
    )


def _outcome(target: Target[Connector], status: int, error: ApiError) -> Outcome:
    outcome = outcome_of_error(status, error.error)
    named = target.deployment.upstream.model == "*" and error.status < 500
    if outcome is Outcome.NOT_FOUND and named:
        return Outcome.CLIENT_ERROR  # it was the client who named the model
    return outcome


def _minds_policy(plan: Plan) -> bool:
    """Whether the pool has somewhere to go with what a provider's policy refuses."""
    return any(serves(each, ("ContentPolicy",)) for each in plan.route.pool.fallbacks)


def _filtered(target: Target[Connector]) -> AttemptFailed:
    """An answer without output, because of what it was to be about."""
    error = ApiError(
        400,
        f"The content policy of deployment {target.label} refuses the request.",
        code="content_policy_violation",
        param="input",
    )
    return AttemptFailed(Outcome.CONTENT_POLICY, error, 200)


def _refused(target: Target[Connector], error: ApiError) -> AttemptFailed:
    """An error that the upstream told in an answer of status 200."""
    return AttemptFailed(_outcome(target, error.status, error), error, error.status)


def broken(message: str, outcome: Outcome = Outcome.LOST) -> AttemptFailed:
    """What came is not a whole answer."""
    return AttemptFailed(
        outcome,
        ApiError(502, message, type="server_error", code="upstream_invalid_answer"),
    )


def told_failure(target: Target[Connector], event: Event) -> AttemptFailed:
    """An error that a stream reports; before there is output, quota and overload come this way."""
    error = stream_error(event)
    if error is None:
        error = ApiError(
            500,
            f"Deployment {target.label} failed.",
            type="server_error",
            code="server_error",
        )
    return _refused(target, error)

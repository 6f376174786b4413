"""One attempt after another, until one answers or none is left.

An attempt counts as answered once it has something that the client may be given: a whole body, or
the first event that carries output. Until then nothing has been written, so another deployment may
take over.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from functools import lru_cache
from time import monotonic

import msgspec

from sluicegate.api.partial import stream_error
from sluicegate.api.request import ResponsesRequest
from sluicegate.api.stream import fold
from sluicegate.auth.upstream import CredentialFailed
from sluicegate.config import Deployment, Timeouts
from sluicegate.model import PRELUDE_EVENTS, TERMINAL_EVENTS, ApiError, Event
from sluicegate.pipeline.gateway import Gateway
from sluicegate.pipeline.relay import Relay
from sluicegate.pipeline.sources import EventSource, LocalEvents, UpstreamEvents
from sluicegate.providers.contract import (
    Connector,
    Translator,
    UpstreamCall,
    UpstreamStreamError,
)
from sluicegate.routing.attempts import (
    Attempt,
    Outcome,
    outcome_of_status,
    pause_before_repeat,
)
from sluicegate.routing.select import candidates, upstream_model
from sluicegate.routing.snapshot import Route, Target
from sluicegate.telemetry.logs import log
from sluicegate.transport import (
    AnswerTooLarge,
    AttemptTimeouts,
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


_NO_FAULT = frozenset({Outcome.OK, Outcome.CANCELLED})
_EARLY_FAILURES = frozenset({"response.failed", "error"})


class AttemptFailed(Exception):
    """An attempt ended without anything for the client.

    `error` is what the client gets if no other succeeds.
    """

    def __init__(self, outcome: Outcome, error: ApiError, status: int | None = None) -> None:
        super().__init__(error.error.message)
        self.outcome = outcome
        self.error = error
        self.status = status


class Plan(msgspec.Struct):
    """What is tried for one request. `deadline` is in monotonic seconds."""

    gateway: Gateway
    request: ResponsesRequest
    route: Route[Connector]
    name: str  # the public name without @namespace
    namespace: str  # the caller's
    deadline: float
    request_id: str
    attempts: list[Attempt] = msgspec.field(default_factory=list[Attempt])
    target: Target[Connector] | None = None  # of the latest attempt
    dropped: tuple[str, ...] = ()  # by the latest attempt, of what the client asked for


class WholeAnswer(msgspec.Struct, frozen=True):
    """A body for the client."""

    body: bytes


class OpenStream(msgspec.Struct, frozen=True):
    """A stream that has begun to carry output. `events` have not been written yet."""

    target: Target[Connector]
    source: EventSource
    events: list[Event]


async def first_answer(plan: Plan, relay: Relay | None) -> WholeAnswer | OpenStream:
    """Try the deployments of the plan in order.

    `relay` is where a stream goes, None for a whole answer. Raises ApiError with the last attempt's
    error when all have failed.
    """
    order = _order(plan)
    target = next(order, None)
    if target is None:
        raise _nothing_to_try(plan)
    while True:
        following = next(order, None)
        tried = 0
        while True:
            tried += 1
            began = monotonic()
            plan.target = target
            try:
                answer = await _attempt(plan, target, relay)
            except AttemptFailed as failed:
                failure = failed
            except asyncio.CancelledError:
                _record(plan, target, Outcome.CANCELLED, None, began)
                raise
            else:
                _record(plan, target, Outcome.OK, 200, began)
                return answer
            _record(plan, target, failure.outcome, failure.status, began)
            begun = relay is not None and relay.begun
            if not failure.outcome.fails_over or begun or plan.gateway.closing.begun:
                raise failure.error from failure
            pause = pause_before_repeat(
                target.deployment.retry,
                tried,
                failure.outcome,
                failure.error.retry_after,
                plan.deadline - monotonic(),
                plan.gateway.die(),
                last=following is None,
            )
            if pause is None:
                break
            await plan.gateway.closing.pause(pause)
            if plan.gateway.closing.begun:
                raise failure.error from failure
        if following is None or plan.deadline <= monotonic():
            raise failure.error from failure
        target = following


def _order(plan: Plan) -> Iterator[Target[Connector]]:
    single = plan.route.single
    if single is not None:
        return iter((single,) if single.admits(plan.namespace) else ())
    return candidates(plan.route, plan.namespace, plan.gateway.die)


def _record(
    plan: Plan, target: Target[Connector], outcome: Outcome, status: int | None, began: float
) -> None:
    plan.attempts.append(Attempt(target.label, outcome, status, monotonic() - began))
    plan.gateway.tally.attempted(target.label, outcome)
    if outcome not in _NO_FAULT:
        tell_failure(plan, target, outcome, status)


def tell_failure(
    plan: Plan, target: Target[Connector], outcome: Outcome, status: int | None
) -> None:
    """Log it, in our own words and names only: nothing that the client or the upstream said."""
    log(
        logging.WARNING,
        "an attempt failed",
        {
            "request": plan.request_id,
            "model": plan.route.pool.model,
            "deployment": target.label,
            "outcome": outcome,
            "status": status,
        },
    )


def _nothing_to_try(plan: Plan) -> ApiError:
    reasons = "; ".join(plan.route.unavailable) or "it has no deployment for this caller"
    return ApiError(
        503,
        f"Model '{plan.name}' can't be served now: {reasons}.",
        type="server_error",
        code="model_unavailable",
        param="model",
    )


async def _attempt(
    plan: Plan, target: Target[Connector], relay: Relay | None
) -> WholeAnswer | OpenStream:
    """One attempt. Raises AttemptFailed."""
    translator = target.connector.translator(
        plan.request, upstream_model(plan.route, target, plan.name)
    )
    try:
        call = translator.request()
    except ApiError as refused:
        raise AttemptFailed(Outcome.CLIENT_ERROR, refused) from refused
    plan.dropped = translator.dropped
    if isinstance(call, UpstreamCall):
        answer = await _send(plan, target, translator, call)
        if relay is None:
            return await _read_whole(plan, target, translator, answer)
        source: EventSource = UpstreamEvents(answer, translator)
    else:
        own = monotonic() + target.deployment.timeouts.total
        source = LocalEvents(call.steps, min(plan.deadline, own), plan.gateway.closing)
        if relay is None:
            return await _fold(target, source)
    relay.attach(translator)
    events = await _until_output(target, source, relay)
    return OpenStream(target, source, events)


async def _send(
    plan: Plan, target: Target[Connector], translator: Translator, call: UpstreamCall
) -> UpstreamAnswer:
    """The upstream's 2xx answer, its body unread. Raises AttemptFailed for any other."""
    origin, _ = _origin(call.base_url)
    headers = call.headers
    if call.authorization is not None:
        headers = (*headers, *await _authorization(plan, target, call))
    request = UpstreamRequest(origin, call.method, call.target, headers, call.body)
    try:
        answer = await plan.gateway.transport.send(request, _timeouts(plan, target.deployment))
        status = answer.status
    except UpstreamError as error:
        raise _transport_failure(target, error) from error
    if 200 <= status < 300:
        return answer
    try:
        body = await answer.read_all(_LONGEST_ERROR)
    except UpstreamError:
        body = b""  # the status says what matters
    said = {name.decode("latin-1"): value.decode("latin-1") for name, value in answer.headers}
    raise AttemptFailed(outcome_of_status(status), translator.error(status, said, body), status)


async def _authorization(
    plan: Plan, target: Target[Connector], call: UpstreamCall
) -> tuple[tuple[bytes, bytes], ...]:
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
        body = await answer.read_all(plan.gateway.max_answer_bytes)
        return WholeAnswer(translator.answer(body))
    except UpstreamError as error:
        raise _transport_failure(target, error) from error
    except ApiError as error:
        raise AttemptFailed(outcome_of_status(error.status), error, error.status) from error
    except UpstreamStreamError as error:
        raise broken(str(error)) from error


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
        raise AttemptFailed(outcome_of_status(error.status), error, error.status) from error


async def _until_output(
    target: Target[Connector], source: EventSource, relay: Relay
) -> list[Event]:
    """Read until there is output; `relay` holds back what comes before it.

    Returns the events with the output. A stream that fails before it has output is a failed
    attempt, not an answer.
    """
    try:
        while (events := await next_events(target, source)) is not None:
            if _has_output(target, events, relay):
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


def _has_output(target: Target[Connector], events: list[Event], relay: Relay) -> bool:
    """Whether one of the events may be shown to the client. Raises AttemptFailed."""
    for event in events:
        if event.type in _EARLY_FAILURES and not relay.begun:
            raise _failed_early(target, event)
        if event.type and event.type not in PRELUDE_EVENTS:
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
        ApiError(status, f"Deployment {target.label}: {error}", type="server_error", code=code),
    )


def broken(message: str) -> AttemptFailed:
    """What came is not a whole answer."""
    return AttemptFailed(
        Outcome.LOST,
        ApiError(502, message, type="server_error", code="upstream_invalid_answer"),
    )


def _failed_early(target: Target[Connector], event: Event) -> AttemptFailed:
    """A stream that reported an error before it had output: quota and overload come this way."""
    error = stream_error(event)
    if error is None:
        error = ApiError(
            500,
            f"Deployment {target.label} failed before it had output.",
            type="server_error",
            code="server_error",
        )
    return AttemptFailed(outcome_of_status(error.status), error, error.status)

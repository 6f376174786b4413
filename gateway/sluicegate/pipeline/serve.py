"""One POST /v1/responses, top to bottom."""

from __future__ import annotations

import asyncio
import random
import re
import time
from collections.abc import Mapping
from time import monotonic

from sluicegate.api.cost import plain, with_cost
from sluicegate.api.outcome import answer_outcome, terminal_outcome
from sluicegate.api.request import ResponsesRequest, decode_request
from sluicegate.auth.authenticate import (
    Caller,
    authenticate,
    may_call,
    model_refused,
    presented_key,
)
from sluicegate.model import ApiError, Event
from sluicegate.pipeline.account import Account
from sluicegate.pipeline.admission import (
    Admission,
    admit,
    limited,
    settle,
    standing_headers,
)
from sluicegate.pipeline.asking import end_user
from sluicegate.pipeline.attempt import (
    OpenStream,
    WholeAnswer,
    broken,
    next_events,
    told_failure,
)
from sluicegate.pipeline.course import first_answer
from sluicegate.pipeline.exchange import ClientGone, Exchange, Header
from sluicegate.pipeline.gateway import Gateway
from sluicegate.pipeline.live import Live
from sluicegate.pipeline.plan import AttemptFailed, Plan, Running
from sluicegate.pipeline.relay import Relay
from sluicegate.pipeline.tags import tags
from sluicegate.providers.contract import Connector
from sluicegate.routing.attempts import describe
from sluicegate.routing.snapshot import Route
from sluicegate.sinks import RequestEntry
from sluicegate.telemetry.metrics import RequestLabels
from sluicegate.telemetry.trace import Trace

_FOREVER = float("inf")
_NOT_VISIBLE = re.compile(r"[^!-~]")
_LONGEST_DROPPED = 2000  # characters of a header
_LAST_WORDS = 1.0  # seconds that an upstream has for `response.failed` once it has told an error
_SHOWN = 200  # characters of a client's own word that an error repeats
_FAILED = "500"
_NO_TAGS: Mapping[str, str] = {}
_CLIENT_CLOSED = "499"  # as nginx counts a client that left before its answer


def request_id() -> str:
    """A fresh `x-request-id`.

    It names a request and grants nothing, so it need not be secret (nor a system call). It begins
    with the time, in milliseconds, so that the ledger's index grows at its end: a row at a random
    place costs the database three times as much (measured).
    """
    return f"req_{int(time.time() * 1000):012x}{random.getrandbits(80):020x}"


async def serve(gateway: Gateway, exchange: Exchange) -> None:
    """Answer one request.

    Always answers: every error becomes the OpenAI envelope, or ends the stream properly.
    """
    began = monotonic()
    live = gateway.store.current  # read once: a swap in the meantime is for the next request
    own_id = request_id()
    headers: list[Header] = [
        (b"x-request-id", own_id.encode()),
        (b"x-sluicegate-config", live.snapshot.revision.encode()),
    ]
    caller: Caller | None = None
    plan: Plan | None = None
    admission: Admission | None = None
    status = _FAILED  # unless something better is found to have happened
    gateway.tally.in_flight += 1
    try:
        caller = identify(gateway, live, exchange.headers)
        request = decode_request(await exchange.read_body())
        deadline = _deadline(exchange.headers, began)
        route, name = find_route(live, caller, request.model)
        account = _account(gateway, caller, request, exchange.headers, own_id)
        plan = Plan(
            *(gateway, live, caller, request, exchange.headers),
            *(route, name, deadline, own_id, account),
        )
        admission = await admit(plan) if limited(caller) else None
        if admission is not None:
            headers += admission.headers
        if request.stream:
            status = await _stream(plan, exchange, headers, admission)
        else:
            status = await _whole(plan, exchange, headers, admission)
    except ApiError as error:
        status = str(error.status)
        if caller is not None and admission is None and not error.headers and limited(caller):
            headers += await standing_headers(gateway, caller)
        exchange.send(
            error.status,
            (*headers, *_attempt_headers(plan), *error_headers(error)),
            error.body(),
        )
        if plan is None:
            gateway.tally.refuse(error.error.code or status)
    except ClientGone:
        status = _CLIENT_CLOSED  # nobody is there to be answered
    except asyncio.CancelledError:
        status = _CLIENT_CLOSED
        raise
    finally:
        gateway.tally.in_flight -= 1
        if plan is not None:
            seconds = monotonic() - began
            gateway.tally.finished(_labels(plan, status), seconds)
            trace = plan.account.trace
            if gateway.books.records is not None and trace is not None:
                gateway.books.records.request(_request_entry(plan, trace, status, seconds))
            if admission is not None or plan.held is not None:
                settle(plan, admission)


def identify(gateway: Gateway, live: Live, headers: Mapping[str, str]) -> Caller:
    """Who asks. Raises ApiError (401)."""
    return authenticate(
        live.keys,
        presented_key(headers),
        now=gateway.clock(),
        allow_anonymous=gateway.allow_anonymous,
    )


def find_route(live: Live, caller: Caller, model: str) -> tuple[Route[Connector], str]:
    """The pool that the caller means by `model`, and its plain name. Raises ApiError (400, 403)."""
    found = live.snapshot.resolve(caller.namespace, model)
    if found is None or not _names_a_model(*found):
        raise ApiError(
            400,
            f"The requested model '{model[:_SHOWN]}' does not exist.",
            code="model_not_found",
            param="model",
        )
    if not may_call(caller, found[0].pool.model):
        raise model_refused(caller, model[:_SHOWN])
    return found


def _names_a_model(route: Route[Connector], name: str) -> bool:
    """Whether there is a model's name where upstreams are passed on what a `*` stands for."""
    if route.prefix is None or name[len(route.prefix) :] not in {"", "*"}:
        return True
    return all(target.deployment.upstream.model != "*" for tier in route.tiers for target in tier)


def _account(
    gateway: Gateway,
    caller: Caller,
    request: ResponsesRequest,
    headers: Mapping[str, str],
    own_id: str,
) -> Account:
    """Raises ApiError (400) for tags that can't be meant."""
    own_tags = tags(headers, caller.key.tags if caller.key is not None else _NO_TAGS)
    records = gateway.books.records
    return Account(
        gateway.books,
        gateway.tally,
        caller,
        own_id,
        request,
        end_user=end_user(gateway, headers, request),
        tags=own_tags,
        trace=records.trace(headers) if records is not None else None,
        logs_content=records is not None and records.wants_content(headers, own_tags),
    )


def _deadline(headers: Mapping[str, str], began: float) -> float:
    """The client's own deadline, `x-sluicegate-timeout` in seconds, as a monotonic time.

    Raises ApiError.
    """
    value = headers.get("x-sluicegate-timeout")
    if value is None:
        return _FOREVER
    try:
        seconds = float(value)
    except ValueError:
        seconds = -1.0
    if not 0 < seconds < _FOREVER:
        raise ApiError(
            400,
            "Invalid 'x-sluicegate-timeout': expected a positive number of seconds.",
            code="invalid_value",
            param="x-sluicegate-timeout",
        )
    return began + seconds


async def _whole(
    plan: Plan, exchange: Exchange, headers: list[Header], admission: Admission | None
) -> str:
    answer, _ = await first_answer(plan, None, admission)
    if not isinstance(answer, WholeAnswer):
        raise TypeError("a request that is not streamed has a whole answer")
    cost = plan.account.answered(answer_outcome(answer.body), answer.body)
    if cost is not None:
        headers.append((b"x-sluicegate-cost-usd", plain(cost).encode()))
    exchange.send(200, (*headers, *_attempt_headers(plan)), answer.body)
    return "200"


async def _stream(
    plan: Plan, exchange: Exchange, headers: list[Header], admission: Admission | None
) -> str:
    status = _FAILED

    def settle_call(terminal: bytes) -> bytes:
        nonlocal status
        outcome = terminal_outcome(terminal)
        status = _FAILED if outcome.status == "failed" else "200"
        cost = plan.account.answered(outcome, terminal)
        return with_cost(terminal, cost) if _tells_cost(plan) else terminal

    relay = Relay(exchange, lambda: (*headers, *_attempt_headers(plan)), settle_call)
    try:
        opened, running = await first_answer(plan, relay, admission)
        if not isinstance(opened, OpenStream):
            raise TypeError("a streamed request has an open stream")
        await _relay(opened, running, relay)
    except ApiError as error:
        if not relay.begun:
            raise
        relay.fail(error)
    finally:
        relay.close()
    if relay.terminal is None:
        raise RuntimeError("a translator left its stream without an end")
    return status


def _book_end(running: Running, events: list[Event]) -> None:
    """The upstream has ended its stream: well, or by its own fault, or because of the request."""
    last = events[-1]
    failure = told_failure(running.target, last) if last.type == "response.failed" else None
    if failure is not None and failure.outcome.blames:
        running.ended_badly(failure)
    else:
        running.succeeded()


def _told_error(running: Running, events: list[Event]) -> AttemptFailed | None:
    """What an `error` event among these says."""
    for event in events:
        if event.type == "error":
            return told_failure(running.target, event)
    return None


def _tells_cost(plan: Plan) -> bool:
    """Whether the last event of a stream has the cost: the client's word, else the gateway's."""
    asked = plan.headers.get("x-sluicegate-cost")
    return plan.gateway.books.cost_in_streams if asked is None else asked.lower() == "true"


async def _relay(opened: OpenStream, running: Running, relay: Relay) -> None:
    """Pass events on until the terminal one.

    Raises ApiError when the upstream fails before that.
    """
    source = opened.source
    events: list[Event] | None = opened.events
    told: AttemptFailed | None = None  # by an `error` event, which nothing but the end may follow
    given_up: asyncio.TimerHandle | None = None  # once it has told an error
    try:
        while events is not None:
            relay.write(events)
            if relay.terminal is not None:
                source.finish()
                _book_end(running, events)
                return
            if told is None and (told := _told_error(running, events)) is not None:
                loop = asyncio.get_running_loop()
                given_up = loop.call_later(_LAST_WORDS, source.abort)
            await relay.drain()
            events = await next_events(running.target, source)
        raise broken(f"deployment {running.target.label} ended before its terminal event")
    except AttemptFailed as ended:
        source.abort()
        failure = told or ended
        if failure.outcome.blames:
            running.broke(failure)
        else:
            running.succeeded()
        raise failure.error from ended
    except (ClientGone, asyncio.CancelledError):
        source.abort()
        running.abandoned(relay.so_far())
        raise
    finally:
        if given_up is not None:
            given_up.cancel()
        running.end()


def _attempt_headers(plan: Plan | None) -> list[Header]:
    if plan is None:
        return []
    headers: list[Header] = []
    if plan.target is not None:
        headers.append((b"x-sluicegate-deployment", plan.target.label.encode()))
    if plan.course:  # none yet: the stream has begun so that the client hears of it
        headers.append((b"x-sluicegate-attempts", describe(plan.course).encode()))
    if plan.dropped:
        # Types of tools are the client's words: no byte of theirs may end the header.
        dropped = _NOT_VISIBLE.sub("?", ",".join(plan.dropped))[:_LONGEST_DROPPED]
        headers.append((b"x-sluicegate-dropped", dropped.encode()))
    return headers


def error_headers(error: ApiError) -> list[Header]:
    """The headers that go with an error: waiting time, whether a retry can help, its own."""
    headers = list(error.headers)
    if error.retry_after is not None:
        headers.append((b"retry-after", b"%d" % max(0, -int(-error.retry_after // 1))))
    if error.should_retry is not None:
        headers.append((b"x-should-retry", b"true" if error.should_retry else b"false"))
    return headers


def _request_entry(plan: Plan, trace: Trace, status: str, seconds: float) -> RequestEntry:
    account, key = plan.account, plan.caller.key
    return RequestEntry(
        trace,
        time.time() - seconds,
        seconds,
        plan.request_id,
        plan.caller.namespace,
        key.name if key is not None else None,
        account.end_user,
        plan.route.pool.model,
        status,
        describe(plan.course),
        tuple(account.attempts),
    )


def _labels(plan: Plan, status: str) -> RequestLabels:
    target = plan.target
    return RequestLabels(
        model=plan.route.pool.model,
        deployment=target.label if target is not None else "",
        provider=target.connector.provider if target is not None else "",
        status=status,
    )

"""A request that is not sent: the gateway's own pipeline over deployments that only pretend.

Keys, limits, the choice, repetitions and fallbacks are decided by the code that serves; what is
replaced is the last step, an attempt's upstream call, and the waits between attempts.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

import msgspec

from sluicegate.api.request import ResponsesRequest
from sluicegate.auth.authenticate import Caller, KeyIndex
from sluicegate.framing import sse
from sluicegate.model import ApiError, Event, LocalAnswer
from sluicegate.pipeline.account import Account
from sluicegate.pipeline.admission import Admission, admit, limited
from sluicegate.pipeline.closing import Closing
from sluicegate.pipeline.course import first_answer
from sluicegate.pipeline.exchange import Header
from sluicegate.pipeline.gateway import Gateway
from sluicegate.pipeline.live import Live, LiveStore
from sluicegate.pipeline.plan import Plan
from sluicegate.pipeline.relay import Relay
from sluicegate.pipeline.serve import find_route
from sluicegate.providers.contract import Connector, Translator
from sluicegate.routing.attempts import Attempt, Cause, Skipped
from sluicegate.routing.snapshot import Snapshot
from sluicegate.telemetry.metrics import Tally
from sluicegate.transport import Transport

# The error codes that upstreams tell these causes by; a time-out is told by silence.
_CODES: Mapping[Cause, str] = {
    "Error": "server_error",
    "RateLimited": "rate_limit_exceeded",
    "ContextWindow": "context_length_exceeded",
    "ContentPolicy": "invalid_prompt",
}
_ID = "explained"
_OUTPUT = Event("response.output_text.delta", b"")


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked, by whom. `clock` gives Unix seconds; nothing is sent by `transport`."""

    caller: Caller
    request: ResponsesRequest
    headers: Mapping[str, str]
    clock: Callable[[], float]
    transport: Transport

    def plan(self, snapshot: Snapshot[Connector]) -> Plan:
        """As the gateway would make it. Raises ApiError where the pool may not be asked for."""
        live = Live(snapshot, KeyIndex(), 0.0)
        route, name = find_route(live, self.caller, self.request.model)
        tally = Tally()
        gateway = Gateway(
            store=LiveStore({}),
            transport=self.transport,
            tally=tally,
            allow_anonymous=True,
            clock=self.clock,
            die=_middle,
            closing=_NoWaiting(),
        )
        return Plan(
            gateway=gateway,
            live=live,
            caller=self.caller,
            request=self.request,
            headers=self.headers,
            route=route,
            name=name,
            deadline=math.inf,
            request_id=_ID,
            account=Account(
                gateway.books, tally, self.caller, _ID, self.request, end_user=None, tags={}
            ),
        )


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """How the request went: who was asked or passed over, and the error, if that was its end.

    `too_dear` are the ids of pools that the budget does not allow.
    """

    course: tuple[Attempt | Skipped, ...]
    error: ApiError | None
    too_dear: tuple[str, ...] = ()


async def rehearse(question: Question, snapshot: Snapshot[Connector]) -> Rehearsal:
    """Serve the question by a snapshot of pretenders. Its states are changed by it."""
    try:
        plan = question.plan(snapshot)
    except ApiError as error:
        return Rehearsal((), error)
    admission: Admission | None = None
    failure: ApiError | None = None
    try:
        admission = await admit(plan) if limited(question.caller) else None
        _, running = await first_answer(plan, Relay(_Nobody(), tuple, bytes), admission)
        running.end()
    except ApiError as error:
        failure = error
    too_dear = () if admission is None else admission.too_dear
    return Rehearsal(tuple(plan.course), failure, too_dear)


class Pretender:
    """Stands in for a deployment's connector: all its attempts fail for `cause`; None: succeed.

    What the real one could not translate fails here too.
    """

    __slots__ = ("_cause", "_real", "provider")

    def __init__(self, real: Connector, cause: Cause | None) -> None:
        self._real = real
        self._cause: Cause | None = cause
        self.provider = real.provider

    def translator(self, request: ResponsesRequest, model: str) -> Translator:
        """See Connector."""
        return _PretendedAttempt(self._real.translator(request, model), self._cause)


class _PretendedAttempt:
    def __init__(self, real: Translator, cause: Cause | None) -> None:
        self._real = real
        self._cause: Cause | None = cause

    @property
    def dropped(self) -> tuple[str, ...]:
        return self._real.dropped

    def request(self) -> LocalAnswer:
        self._real.request()
        return LocalAnswer(_ending(self._cause))

    def feed(self, chunk: bytes) -> list[Event]:
        return self._real.feed(chunk)

    def close(self) -> list[Event]:
        return self._real.close()

    def answer(self, body: bytes) -> bytes:
        return self._real.answer(body)

    def fail(self, error: ApiError) -> list[Event]:
        return self._real.fail(error)

    def error(self, status: int, headers: Mapping[str, str], body: bytes) -> ApiError:
        return self._real.error(status, headers, body)


def _ending(cause: Cause | None) -> Iterator[tuple[float, list[Event]]]:
    if cause is None:
        yield 0.0, [_OUTPUT]
    elif cause == "Timeout":
        yield math.inf, []
    else:
        error = {"code": _CODES[cause], "message": cause}
        yield 0.0, [Event("error", sse.encode("error", msgspec.json.encode({"error": error})))]


class _NoWaiting(Closing):
    """A gateway that never closes and for which no time passes."""

    __slots__ = ()

    async def pause(self, seconds: float) -> None:
        """Go on at once."""


class _Nobody:
    """The client of a request that nobody has sent: no attempt gets so far as to answer it."""

    headers: Mapping[str, str] = {}

    async def read_body(self) -> bytes:
        return b""

    def send(self, status: int, headers: Iterable[Header], body: bytes) -> None:
        pass

    def begin(self, headers: Iterable[Header]) -> None:
        pass

    def write(self, data: bytes) -> None:
        pass

    async def drain(self) -> None:
        pass

    def end(self, data: bytes) -> None:
        pass


def _middle() -> float:
    """A die without chance."""
    return 0.5

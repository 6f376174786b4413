"""One request on its way: what is asked for, by whom, until when, and what has been tried."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from time import monotonic

import msgspec

from sluicegate.api.outcome import terminal_outcome
from sluicegate.api.request import ResponsesRequest
from sluicegate.auth.authenticate import Caller
from sluicegate.limits import Reservation
from sluicegate.model import ApiError
from sluicegate.pipeline.account import Account
from sluicegate.pipeline.gateway import Gateway
from sluicegate.pipeline.live import Live
from sluicegate.providers.contract import Connector
from sluicegate.routing.attempts import Attempt, Outcome, Skipped
from sluicegate.routing.snapshot import Route, Target
from sluicegate.telemetry.logs import log
from sluicegate.transport import UpstreamError

_EARLY = 0.01  # seconds by which a timer may be ahead of the clock


class AttemptFailed(Exception):
    """An attempt ended without anything for the client.

    `error` is what the client gets if no other succeeds. `lost` is why there is no answer, where
    there is none.
    """

    def __init__(
        self,
        outcome: Outcome,
        error: ApiError,
        status: int | None = None,
        lost: UpstreamError | None = None,
    ) -> None:
        super().__init__(error.error.message)
        self.outcome = outcome
        self.error = error
        self.status = status
        self.lost = lost


class Plan(msgspec.Struct):
    """What is tried for one request. `deadline` is in monotonic seconds."""

    gateway: Gateway
    live: Live  # what was configured when it came
    caller: Caller
    request: ResponsesRequest
    headers: Mapping[str, str]  # the client's
    route: Route[Connector]  # of the latest attempt; at first that of the model asked for
    name: str  # the public name without @namespace
    deadline: float
    request_id: str
    account: Account
    course: list[Attempt | Skipped] = msgspec.field(default_factory=list[Attempt | Skipped])
    target: Target[Connector] | None = None  # of the latest attempt
    dropped: tuple[str, ...] = ()  # by the latest attempt, of what the client asked for
    held: Reservation | None = None  # of the deployment that has answered


def with_other_credential(plan: Plan, target: Target[Connector]) -> Target[Connector] | None:
    """The deployment as it serves by now, if it presents another credential than `target`."""
    current = plan.gateway.store.current.snapshot.targets.get(target.deployment.id)
    if current is None or current.credential == target.credential:
        return None
    return current


class Running:
    """An attempt under way: what becomes of it is booked here. `end` must follow."""

    __slots__ = ("_answered", "_ended", "_held", "_plan", "began", "target")

    def __init__(
        self, plan: Plan, target: Target[Connector], held: Reservation | None = None
    ) -> None:
        """`held` is what is reserved of the target."""
        self._plan = plan
        self._held = held
        self._answered = self._ended = False
        self.target = target
        self.began = monotonic()
        target.state.begin(self.began, streamed=plan.request.stream)

    def answered(self) -> None:
        """There is something that the client may be given."""
        plan, target, now = self._plan, self.target, monotonic()
        self._answered = True
        plan.account.output_began()
        plan.held = self._held
        target.state.answered(now, self.began, streamed=plan.request.stream)
        plan.course.append(Attempt(target.label, Outcome.OK, 200, now - self.began))
        plan.gateway.tally.attempted(target.label, Outcome.OK)

    def succeeded(self) -> None:
        """The whole answer has come."""
        self.target.state.succeeded(monotonic(), self.began)

    def failed(self, failure: AttemptFailed) -> None:
        """It has failed before there was anything for the client."""
        outcome, status = failure.outcome, failure.status
        seconds = monotonic() - self.began
        self._plan.course.append(Attempt(self.target.label, outcome, status, seconds))
        self._plan.account.failed(outcome, status)
        self._book(failure)

    def broke(self, failure: AttemptFailed) -> None:
        """It has failed in the middle of its answer."""
        self._plan.account.breaks(Outcome.BROKEN_STREAM)
        self._book(
            AttemptFailed(Outcome.BROKEN_STREAM, failure.error, failure.status, failure.lost)
        )

    def ended_badly(self, failure: AttemptFailed) -> None:
        """Its answer is whole, and says that it has failed."""
        self._book(AttemptFailed(Outcome.BROKEN_STREAM, failure.error, failure.status))

    def cancelled(self) -> None:
        """The client has left before there was anything for it."""
        seconds = monotonic() - self.began
        self._plan.course.append(Attempt(self.target.label, Outcome.CANCELLED, None, seconds))
        self._plan.gateway.tally.attempted(self.target.label, Outcome.CANCELLED)
        self._plan.account.left(Outcome.CANCELLED)

    def abandoned(self, so_far: bytes) -> None:
        """The client has left in the middle of its answer; `so_far` would have ended that."""
        known = terminal_outcome(so_far) if so_far else None
        self._plan.account.left(Outcome.CANCELLED, known, so_far)

    def end(self) -> None:
        """It is over, however it went. A second time changes nothing."""
        if not self._ended:
            self._ended = True
            self.target.state.end(
                self.began, streamed=self._plan.request.stream, answered=self._answered
            )
            if self._held is not None and not self._answered:
                self._plan.gateway.limits.settle(self._held, 0, 0)

    def _book(self, failure: AttemptFailed) -> None:
        plan, target, outcome = self._plan, self.target, failure.outcome
        plan.gateway.tally.attempted(target.label, outcome)
        now = monotonic()
        # That a client has no time, or the gateway none, says nothing about the deployment; nor
        # does what became of a credential that it no longer has.
        cut_short = now >= plan.deadline - _EARLY or plan.gateway.closing.begun
        if outcome.blames and not cut_short and with_other_credential(plan, target) is None:
            wait = failure.error.retry_after if outcome is Outcome.RATE_LIMITED else None
            target.state.failed(
                now, self.began, target.deployment.cooldown, outcome, wait=wait or None
            )
        _tell_failure(plan, target, failure)


def _tell_failure(plan: Plan, target: Target[Connector], failure: AttemptFailed) -> None:
    """Log it, in our own words and names only: nothing that the client or the upstream said."""
    lost = failure.lost
    log(
        logging.WARNING,
        "an attempt failed",
        {
            "request": plan.request_id,
            "model": plan.route.pool.model,
            "deployment": target.label,
            "outcome": failure.outcome,
            "status": failure.status,
            **({} if lost is None else {"upstream": lost.where, "reason": lost.message}),
        },
    )

"""What the event loop notes of a call and of a request: facts at hand, nothing computed."""

from __future__ import annotations

from typing import NamedTuple

from sluicegate.ledger import CallRecord
from sluicegate.telemetry.trace import Trace


class CallEntry(NamedTuple):
    """One upstream call that has ended.

    `body` and `answer` (the JSON, or the last event's frame) are empty unless content is logged.
    """

    record: CallRecord
    trace: Trace
    span_id: str
    response_id: str | None
    response_model: str | None
    incomplete_reason: str | None
    max_output_tokens: int | None
    temperature: float | None
    top_p: float | None
    body: bytes = b""
    answer: bytes = b""


class AttemptEvent(NamedTuple):
    """How an attempt ended, and when (Unix seconds)."""

    time: float
    deployment: str
    outcome: str
    status: int | None


class RequestEntry(NamedTuple):
    """One request that has ended; `course` is as `x-sluicegate-attempts` tells it."""

    trace: Trace
    time: float  # Unix seconds of its begin
    seconds: float
    request_id: str
    namespace: str
    key: str | None
    end_user: str | None
    model: str
    status: str
    course: str
    attempts: tuple[AttemptEvent, ...]

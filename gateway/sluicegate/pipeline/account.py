"""What one request costs: each call of an upstream priced, counted and entered in the ledger.

The attempt loop says when a call is sent and what became of it; each call is settled once, before
the last byte of its answer goes to the client. Nothing here waits.
"""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from time import monotonic
from typing import NamedTuple

import msgspec

from sluicegate.api.outcome import Outcome
from sluicegate.api.request import ResponsesRequest
from sluicegate.auth.authenticate import Caller
from sluicegate.framing import sse
from sluicegate.ledger import RECORD_VERSION, CallRecord, Ledger
from sluicegate.ledger.record import INTERRUPTED
from sluicegate.model import Usage
from sluicegate.pipeline.configured import configured
from sluicegate.pricing import CATALOGUE, MINUTE, Priced, answer_cost, steps_of
from sluicegate.pricing.estimate import USUAL_OUTPUT, at_least, input_tokens, output_tokens
from sluicegate.providers.contract import Connector
from sluicegate.routing.attempts import Outcome as AttemptOutcome
from sluicegate.routing.snapshot import Target
from sluicegate.sinks import AttemptEvent, CallEntry, Records
from sluicegate.telemetry.histograms import CallLabels
from sluicegate.telemetry.metrics import SpendLabels, Tally
from sluicegate.telemetry.trace import Trace, new_span_id

_LONGEST = 256  # characters of a name that a client or an upstream chose
_MOST_TOKENS = 1 << 53  # of one call; what says more can't be meant
_MOST_EXPECTED = 1_000_000_000  # tokens
_NOTHING = Usage()
_FREE = Decimal(0)
# How a call ends, as error.type has it. What an upstream may say beside these is `_OTHER`, as
# OpenTelemetry names it.
_ERROR_TYPES = {each.value: each.value for each in AttemptOutcome} | {
    "completed": "",
    "incomplete": "",
    "failed": "failed",
}


@dataclass(frozen=True, slots=True)
class Books:
    """What all accounts share. `ledger`, `records` None: there is none."""

    ledger: Ledger | None = None
    end_user_key: bytes | None = field(default=None, repr=False)  # what names are hashed with
    cost_in_streams: bool = False
    records: Records | None = None

    def end_user(self, name: str | None) -> str | None:
        """How an end user is written down."""
        if name is None or self.end_user_key is None:
            return name and _stored(name)
        digest = hmac.digest(self.end_user_key, name.encode(errors="replace"), hashlib.sha256)
        return f"hmac:{digest[:16].hex()}"


class _Names(NamedTuple):
    """What a call is priced, counted and written down by."""

    priced: Priced
    spend: SpendLabels
    succeeded: CallLabels
    upstream_model: str


class _Call(msgspec.Struct):
    """A call under way."""

    names: _Names
    time: float
    began: float  # monotonic
    number: int
    first: float | None = None  # seconds until there was output
    broke: str | None = None  # how it failed after that
    span_id: str = ""
    begun: CallRecord | None = None  # as the ledger has it until it ends


class Account:
    """Of one request. `usage` and `cost` are the sums of the calls that were settled."""

    __slots__ = (
        "_books",
        "_call",
        "_caller",
        "_expected",
        "_logs_content",
        "_request",
        "_request_id",
        "_sent",
        "_streamed",
        "_tags",
        "_tally",
        "attempts",
        "cost",
        "end_user",
        "trace",
        "usage",
    )

    def __init__(
        self,
        books: Books,
        tally: Tally,
        caller: Caller,
        request_id: str,
        request: ResponsesRequest,
        *,
        end_user: str | None,
        tags: Mapping[str, str],
        trace: Trace | None = None,
        logs_content: bool = False,
    ) -> None:
        """`trace` is there if and only if there are records to make."""
        self._books = books
        self._tally = tally
        self._caller = caller
        self._request_id = request_id
        self._request = request
        self._streamed = request.stream
        self.end_user = books.end_user(end_user)
        self._tags = tags
        self._call: _Call | None = None
        self._sent = 0
        self._logs_content = logs_content
        self.trace = trace
        self.attempts: list[AttemptEvent] = []  # those that were sent, where there is a trace
        self._expected: Usage | None = None
        self.usage = _NOTHING
        self.cost: Decimal | None = _FREE  # None: of one of them it is not known

    @property
    def expected(self) -> Usage:
        """What the request may use: by its size, and the bound that the client sets on the answer.

        Looked through once, and only if asked for.
        """
        if self._expected is None:
            output = self._request.fields.max_output_tokens or USUAL_OUTPUT
            output = max(1, min(output, _MOST_EXPECTED))
            self._expected = Usage(input_tokens(self._request.body), output)
        return self._expected

    def sending(self, target: Target[Connector], model: str, upstream_model: str) -> None:
        """A call of `target` goes out now; `model` is the public name."""
        self._sent += 1
        names = _names(target, model, upstream_model)
        call = self._call = _Call(names, time.time(), monotonic(), self._sent)
        if self.trace is not None:
            call.span_id = new_span_id()
        if self._books.ledger is not None:
            # A gateway that is killed has been charged for what it sent, at least.
            tokens = self.expected.input_tokens
            steps = steps_of(names.priced, int(call.time) // MINUTE)
            cost = None if steps is None else steps.input_cost(tokens)
            call.begun = self._record(call, tokens, cost)
            self._books.ledger.begin(call.begun)

    def trace_headers(self) -> tuple[tuple[bytes, bytes], ...]:
        """What the upstream of the call under way is told of its trace."""
        if self.trace is None or self._call is None:
            return ()
        return self.trace.headers(self._call.span_id)

    def unsent(self) -> None:
        """No byte of it has gone out after all."""
        call, self._call = self._call, None
        if call is not None:
            self._sent -= 1
            if self._books.ledger is not None and call.begun is not None:
                self._books.ledger.withdraw(call.begun.id)

    def output_began(self) -> None:
        """There is something for the client."""
        if self._call is not None:
            self._call.first = monotonic() - self._call.began

    def breaks(self, status: str) -> None:
        """It has failed in the middle of its answer, which `answered` will be told the end of."""
        if self._call is not None:
            self._call.broke = status

    def answered(self, outcome: Outcome, answer: bytes) -> Decimal | None:
        """It has answered, with the JSON or the last event's frame. USD; None: not known."""
        call, usage = self._call, outcome.usage
        if call is None:
            return None
        status = call.broke or outcome.status or "completed"
        if usage is not None and call.broke is None and _plausible(usage):
            return self._settle(status, 200, usage, outcome, answer=answer)
        estimated = self._estimated(usage, answer)
        if not estimated.output_tokens and outcome.status == "failed" and call.broke is None:
            return self._settle(status, 200, _NOTHING, outcome, answer=answer)
        return self._settle(status, 200, estimated, outcome, estimated=True, answer=answer)

    def failed(self, status: str, http_status: int | None) -> None:
        """It has failed before there was output: nothing was used, as far as is known."""
        self._settle(status, http_status, _NOTHING, None)

    def left(self, status: str, so_far: Outcome | None = None, answer: bytes = b"") -> None:
        """The client has gone; `answer` is the frame that would have told of the output so far."""
        usage = self._estimated(so_far.usage if so_far is not None else None, answer)
        http_status = 200 if answer else None
        self._settle(status, http_status, usage, so_far, estimated=True, answer=answer)

    def _estimated(self, known: Usage | None, answer: bytes) -> Usage:
        if known is not None and not _plausible(known):
            known = None
        written = output_tokens(sse.parse_frame(answer).data if self._streamed else answer)
        return at_least(known, self.expected.input_tokens, written)

    def _settle(
        self,
        status: str,
        http_status: int | None,
        usage: Usage,
        outcome: Outcome | None,
        *,
        estimated: bool = False,
        answer: bytes = b"",
    ) -> Decimal | None:
        """Once for each call; without one under way it changes nothing."""
        call, self._call = self._call, None
        if call is None:
            return None
        names, seconds = call.names, monotonic() - call.began
        first = call.first if self._streamed else None
        used = usage.input_tokens or usage.output_tokens
        cost: Decimal | None = _FREE
        if used:
            cost = answer_cost(
                names.priced,
                usage,
                at=call.time,
                service_tier=outcome.service_tier if outcome is not None else None,
                said_model=outcome.model if outcome is not None else None,
            )
        error = _ERROR_TYPES.get(status, "_OTHER")
        labels = names.succeeded._replace(error=error) if error else names.succeeded
        self._tally.spent(names.spend, usage, cost)
        self._tally.called(labels, usage if used else None, seconds, first)
        self.usage = _sum(self.usage, usage)
        self.cost = None if cost is None or self.cost is None else self.cost + cost
        ledger, records, trace = self._books.ledger, self._books.records, self.trace
        if ledger is not None or trace is not None:
            record = msgspec.structs.replace(
                call.begun or self._record(call, usage.input_tokens, cost),
                status=status,
                http_status=http_status,
                input_tokens=usage.input_tokens,
                cached_tokens=usage.input_tokens_details.cached_tokens,
                cache_write_tokens=usage.input_tokens_details.cache_write_tokens,
                output_tokens=usage.output_tokens,
                reasoning_tokens=usage.output_tokens_details.reasoning_tokens,
                estimated=estimated,
                cost_usd=cost,
                latency=seconds,
                first_event=first,
            )
            if ledger is not None:
                ledger.end(record)
            if records is not None and trace is not None:
                records.call(self._entry(record, trace, call.span_id, outcome, answer))
                event = AttemptEvent(time.time(), names.spend.deployment, status, http_status)
                self.attempts.append(event)
        return cost

    def _entry(
        self, record: CallRecord, trace: Trace, span_id: str, outcome: Outcome | None, answer: bytes
    ) -> CallEntry:
        fields = self._request.fields
        return CallEntry(
            record,
            trace,
            span_id,
            outcome.response_id if outcome is not None else None,
            outcome.model if outcome is not None else None,
            outcome.incomplete_reason if outcome is not None else None,
            fields.max_output_tokens,
            fields.temperature,
            fields.top_p,
            self._request.body if self._logs_content else b"",
            answer if self._logs_content else b"",
        )

    def _record(self, call: _Call, input_tokens: int, cost: Decimal | None) -> CallRecord:
        """What is written down of a call that has begun."""
        caller, names = self._caller, call.names
        # In the order of the fields: by their names it takes four times as long (measured).
        return CallRecord(
            RECORD_VERSION,
            f"{self._request_id}.{call.number}",
            call.time,
            self._request_id,
            caller.namespace,
            caller.key.name if caller.key is not None else None,
            caller.key_id,
            self.end_user,
            self._tags,
            names.spend.model,
            names.spend.deployment,
            names.spend.provider,
            names.upstream_model,
            call.number,
            INTERRUPTED,
            None,
            input_tokens,
            0,
            0,
            0,
            0,
            True,  # noqa: FBT003 -- fields by their places, see above
            cost,
            "catalogue" if names.priced.own is None else "deployment",
            CATALOGUE,
            None,
            None,
            self._streamed,
        )


@configured
def priced(target: Target[Connector], model: str) -> Priced:
    """What prices are looked up by, of a target and the model's name there."""
    return Priced(target.connector.provider, model, target.deployment.pricing)


@configured
def _names(target: Target[Connector], model: str, upstream_model: str) -> _Names:
    called, own_model = priced(target, upstream_model), target.deployment.upstream.model
    return _Names(
        called,
        SpendLabels(model, target.label, called.provider),
        CallLabels(model, target.label, called.provider, own_model, ""),
        _stored(upstream_model),
    )


def _stored(name: str) -> str:
    """A name as every database takes it: of bounded length, and nothing that is not shown."""
    if name.isprintable() and len(name) <= _LONGEST:
        return name
    return "".join(each if each.isprintable() else "?" for each in name[:_LONGEST])


def _plausible(usage: Usage) -> bool:
    counts = (
        usage.input_tokens,
        usage.output_tokens,
        usage.input_tokens_details.cached_tokens,
        usage.input_tokens_details.cache_write_tokens,
        usage.output_tokens_details.reasoning_tokens,
    )
    return min(counts) >= 0 and max(counts) < _MOST_TOKENS


def _sum(one: Usage, other: Usage) -> Usage:
    """Totals; the kinds are told by the records."""
    if one is _NOTHING:
        return other
    return Usage(
        input_tokens=one.input_tokens + other.input_tokens,
        output_tokens=one.output_tokens + other.output_tokens,
        total_tokens=one.total_tokens + other.total_tokens,
    )

"""Log records that tests make up."""

from __future__ import annotations

from ledger_records import record
from sluicegate.sinks import CallEntry
from sluicegate.sinks.content import Masking
from sluicegate.sinks.record import LogRecord, log_record
from sluicegate.telemetry.trace import Trace

TRACE = Trace("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331", None, sampled=True)
BODY = b'{"input": "What is it?", "instructions": "Be brief."}'
ANSWER = (
    b'{"output": [{"type": "message", "role": "assistant", '
    b'"content": [{"type": "output_text", "text": "It is."}]}]}'
)


def entry(*, content: bool = False, **changes: object) -> CallEntry:
    """Of a call that was not streamed."""
    changes = {"streamed": False, "first_event": None, **changes}
    return CallEntry(
        record(**changes),
        TRACE,
        "00f067aa0ba902b7",
        "resp_1",
        "gpt-4o-2024-11-20",
        None,
        256,
        0.5,
        None,
        BODY if content else b"",
        ANSWER if content else b"",
    )


def log_records(count: int, *, content: bool = False, **changes: object) -> list[LogRecord]:
    masking = Masking()
    return [log_record(entry(content=content, **changes), masking) for _ in range(count)]

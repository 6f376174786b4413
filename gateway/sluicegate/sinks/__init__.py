"""Where the records of upstream calls go: files, webhooks, OpenTelemetry, … Guide: docs/logging.md.

The event loop appends what has happened to a queue (`records.py`); a thread makes records of it and
hands them to the sinks in batches (`outlet.py`). Nothing that serves a request waits for a sink.
"""

from sluicegate.sinks.entries import AttemptEvent, CallEntry, RequestEntry
from sluicegate.sinks.records import Records, SinkSettings
from sluicegate.sinks.urls import BadSink, make_sinks

__all__ = [
    "AttemptEvent",
    "BadSink",
    "CallEntry",
    "Records",
    "RequestEntry",
    "SinkSettings",
    "make_sinks",
]

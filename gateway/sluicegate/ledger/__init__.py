"""The spend ledger: one row for each call of an upstream. Guide: docs/cost.md.

The event loop appends lines to a spool (`spool.py`); a thread carries them to a database
(`writer.py`). Nothing that serves a request waits for the database.
"""

from sluicegate.ledger.ledger import Ledger, LedgerSettings, LedgerState
from sluicegate.ledger.record import RECORD_VERSION, CallRecord

__all__ = ["RECORD_VERSION", "CallRecord", "Ledger", "LedgerSettings", "LedgerState"]

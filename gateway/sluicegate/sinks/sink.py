"""What a sink is: one method that takes a batch. Packages may bring their own (docs/logging.md)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol, TypeAlias

from sluicegate.sinks.entries import RequestEntry
from sluicegate.sinks.record import LogRecord

Item: TypeAlias = LogRecord | RequestEntry


class SinkUnavailable(Exception):
    """The batch may be taken a little later. The message is logged: it never holds a secret.

    `retry_after` is in seconds.
    """

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class SinkRefused(Exception):
    """`count` records (None: all of the batch) will never be taken. The message is logged."""

    def __init__(self, message: str, count: int | None = None) -> None:
        super().__init__(message)
        self.count = count


class Sink(Protocol):
    """Takes records in batches, on the event loop of the sinks' thread.

    `name` is a word that metrics and logs call it by. Requests (for traces) are given only to a
    sink that is `of_traces`; it gets what is sampled, the others get every record.
    """

    @property
    def name(self) -> str:
        """A word for metrics and logs."""
        ...

    @property
    def of_traces(self) -> bool:
        """Whether it takes spans: requests as well as calls, and only what is sampled."""
        ...

    async def send(self, batch: Sequence[Item]) -> None:
        """Take all of a batch. Raises SinkUnavailable or SinkRefused."""
        ...

    async def close(self) -> None:
        """The gateway ends."""
        ...


class SinkFactory(Protocol):
    """An entry point of the group `sluicegate.log_sinks`, named after its URL's scheme."""

    def __call__(self, url: str, environ: Mapping[str, str]) -> Sink:
        """Raises ValueError, whose message does not repeat the URL: it may hold a password."""
        ...

"""What waits for the sinks' thread is bounded, and what finds no room is counted."""

from __future__ import annotations

import pytest

from log_records import entry
from sluicegate.sinks import Records, SinkSettings, make_sinks


@pytest.fixture
def records() -> Records:
    """Its thread is never started, as if it hung."""
    settings = SinkSettings(("stdout:",), content=True)
    return Records(settings, make_sinks(settings))


def test_a_thread_that_hangs_is_left_behind(records: Records) -> None:
    one = entry()
    for _ in range(20_003):
        records.call(one)
    [queue] = records.counts
    assert (queue.name, queue.backlog, queue.dropped) == ("queue", 20_000, 3)


def test_content_is_bounded_by_its_bytes(records: Records) -> None:
    large = entry(content=True)._replace(body=bytes(30 * 1024 * 1024))
    for _ in range(3):
        records.call(large)
    [queue] = records.counts
    assert (queue.backlog, queue.dropped) == (2, 1)

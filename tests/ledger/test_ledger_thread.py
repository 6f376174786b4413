"""From the event loop's two calls to rows in a database, whatever the database does meanwhile."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import pytest

from eventually import eventually
from ledger_records import record
from postgres_process import PROGRAMS, PostgresProcess, postgres_process
from sluicegate.ledger import CallRecord, Ledger, LedgerSettings
from sluicegate.ledger.ledger import reader_of
from sluicegate.ledger.spool import Spool
from sluicegate.ledger.store import Spend

GUARD = 60.0  # seconds; what is waited for takes tenths


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + GUARD
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def total(url: str | None, state_dir: Path) -> Spend:
    reader = reader_of(url, state_dir)
    found = reader.total(None)
    reader.close()
    return found


def enter(ledger: Ledger, *records: CallRecord) -> None:
    for each in records:
        ledger.begin(each)
        ledger.end(each)


@pytest.fixture
def ledger(store_url: str, tmp_path: Path) -> Iterator[Ledger]:
    ledger = Ledger(LedgerSettings(tmp_path, store_url))
    ledger.start()
    yield ledger
    ledger.stop(GUARD)


def test_rows_arrive(ledger: Ledger, store_url: str, tmp_path: Path) -> None:
    enter(ledger, *(record() for _ in range(1000)))
    until(lambda: ledger.state.stored == 1000)
    found = total(store_url, tmp_path)
    assert (found.calls, found.cost_usd) == (1000, Decimal("4.5"))
    assert ledger.state == ((), 1000, 0, 0, 0)


def test_an_end_writes_what_there_is(ledger: Ledger, store_url: str, tmp_path: Path) -> None:
    enter(ledger, *(record() for _ in range(100)))
    ledger.withdraw("req_never.1")
    ledger.stop(GUARD)
    assert total(store_url, tmp_path).calls == 100
    assert list((tmp_path / "spool").iterdir()) == []


def test_what_killed_gateways_left_is_taken_over(store_url: str, tmp_path: Path) -> None:
    ended, under_way = record(), record(status="interrupted", estimated=True)
    living = Spool(tmp_path / "living" / "spool", max_bytes=1_000_000)
    living.prepare()
    living.begin(ended)
    living.end(ended)
    living.begin(under_way)
    for state in (tmp_path / "first", tmp_path / "second"):  # a replay doubles nothing
        shutil.copytree(tmp_path / "living", state)
        ledger = Ledger(LedgerSettings(state, store_url))
        ledger.start()
        until(lambda ledger=ledger: ledger.state.stored == 2)
        ledger.stop(GUARD)
        assert list((state / "spool").iterdir()) == []
    living.close()
    found = total(store_url, tmp_path)
    assert (found.calls, found.estimated) == (2, 1)


def test_a_database_that_goes_and_comes_back(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    if PROGRAMS is None:
        pytest.skip("no PostgreSQL server on this machine (Debian: apt-get install postgresql)")
    with postgres_process() as server, caplog.at_level(logging.WARNING):
        url = server.new_database()
        ledger = Ledger(LedgerSettings(tmp_path, url))
        ledger.start()
        enter(ledger, record())
        until(lambda: ledger.state.stored == 1)
        server.kill()
        enter(ledger, *(record() for _ in range(50)))
        until(lambda: bool(ledger.state.problems))
        assert ledger.state.backlog > 0
        assert "can't be used" in ledger.state.problems[0]
        server.start()
        until(lambda: ledger.state.stored == 51)
        assert ledger.state.problems == ()
        ledger.stop(GUARD)
        assert total(url, tmp_path).calls == 51
    *problems, end = [(each.message, getattr(each, "fields", {})) for each in caplog.records]
    assert end[0] == "the ledger is whole again"
    # How it is away may change (a connection that breaks, then none); the same is not told again.
    assert {message for message, _ in problems} == {"the ledger has a problem"}
    assert all(one != other for one, other in pairwise(problems))


def test_a_database_that_is_away_from_the_start(tmp_path: Path, postgres: PostgresProcess) -> None:
    url = postgres.new_database()
    away = Ledger(LedgerSettings(tmp_path, url.replace(f":{postgres.port}/", ":1/")))
    away.start()
    enter(away, record(), record())
    until(lambda: bool(away.state.problems))
    away.stop(GUARD)
    back = Ledger(LedgerSettings(tmp_path, url))
    back.start()
    until(lambda: back.state.stored == 2)
    back.stop(GUARD)
    assert total(url, tmp_path).calls == 2


def test_a_row_that_the_database_refuses_holds_nothing_up(
    ledger: Ledger, store_url: str, tmp_path: Path
) -> None:
    bad = record(namespace=None)
    good = [record() for _ in range(20)]
    enter(ledger, *good[:10], bad, *good[10:])
    until(lambda: ledger.state.stored == 20)
    assert ledger.state.refused == 1
    assert total(store_url, tmp_path).calls == 20


def test_a_state_folder_that_can_not_be_written(tmp_path: Path) -> None:
    (tmp_path / "spool").write_text("in the way")
    ledger = Ledger(LedgerSettings(tmp_path, None))
    ledger.start()
    assert "can't be made" in ledger.state.problems[0]
    enter(ledger, record())
    until(lambda: ledger.state.stored == 1)  # from memory, which a kill would have emptied
    ledger.stop(GUARD)
    assert total(None, tmp_path).calls == 1


async def test_a_disk_that_has_room_again_is_noticed_without_a_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(_fd: int, _data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    async def whole() -> bool:
        return ledger.state.problems == ()

    ledger = Ledger(LedgerSettings(tmp_path, None))
    await asyncio.to_thread(ledger.start, asyncio.get_running_loop())
    with caplog.at_level(logging.WARNING):
        with monkeypatch.context() as patch:
            patch.setattr(os, "write", refuse)
            enter(ledger, record())
            await asyncio.to_thread(until, lambda: ledger.state.stored == 1)  # from memory
            assert ledger.state.problems == ("the spool can't be written: No space left on device",)
        await eventually(whole)
        await asyncio.to_thread(ledger.stop, GUARD)
    assert caplog.records[-1].message == "the ledger is whole again"
    assert total(None, tmp_path).calls == 1
    assert list((tmp_path / "spool").iterdir()) == []


def test_the_spend_is_read_while_rows_are_written(tmp_path: Path) -> None:
    ledger = Ledger(LedgerSettings(tmp_path, None))
    ledger.start()
    enter(ledger, record())
    until(lambda: ledger.state.stored == 1)
    reader = reader_of(None, tmp_path)
    enter(ledger, record())
    until(lambda: ledger.state.stored == 2)
    assert reader.total(None).calls == 2
    reader.close()
    ledger.stop(GUARD)


def test_a_locked_file_is_waited_for(tmp_path: Path) -> None:
    ledger = Ledger(LedgerSettings(tmp_path, None))
    ledger.start()
    enter(ledger, record())
    until(lambda: ledger.state.stored == 1)
    other = sqlite3.connect(tmp_path / "ledger.sqlite3", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    enter(ledger, record())
    other.execute("ROLLBACK")
    other.close()
    until(lambda: ledger.state.stored == 2)
    ledger.stop(GUARD)

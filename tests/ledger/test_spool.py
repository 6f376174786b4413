"""The spool: whatever happens to its files, what was whole stays, and nothing is raised."""

from __future__ import annotations

import errno
import os
import random
import resource
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger_records import encoded, record
from sluicegate.ledger.lines import BEGIN, END, NEVER, ended_rows, line, open_rows, parse
from sluicegate.ledger.spool import Spool, leftovers

RECORDS = [record(end_user=f"ann{number}\n\x00ö") for number in range(8)]
IDS = [each.id for each in RECORDS]
ROWS = encoded(*RECORDS)
WITHDRAWN = [b'"%b"' % id_.encode() for id_ in IDS]


def _line(kind: bytes, number: int) -> bytes:
    return line(kind, (WITHDRAWN if kind == NEVER else ROWS)[number])


a_line = st.builds(_line, st.sampled_from([BEGIN, END, NEVER]), st.integers(0, len(ROWS) - 1))


@given(st.lists(a_line, max_size=12), st.data())
def test_a_cut_costs_the_torn_line_only(lines: list[bytes], data: st.DataObject) -> None:
    whole = b"".join(lines)
    cut = whole[: data.draw(st.integers(0, len(whole)))]
    kept = cut.count(b"\n")
    found = [line(each.kind, each.json) for each in parse(cut)]
    # The line feed alone may be what is missing.
    assert found in (lines[:kept], lines[: kept + 1])


@given(st.lists(a_line, min_size=1, max_size=12), st.data())
def test_damage_costs_the_damaged_lines_only(lines: list[bytes], data: st.DataObject) -> None:
    damaged = bytearray(b"".join(lines))
    at = data.draw(st.integers(0, len(damaged) - 1))
    damaged[at] ^= data.draw(st.integers(1, 255))
    found = [line(each.kind, each.json) for each in parse(bytes(damaged))]
    # The bad byte is in one line; where it was the line feed, two have become one.
    assert len(found) >= len(lines) - 2
    left = iter(lines)
    assert all(each in left for each in found)  # nothing else, and in their order


@given(st.binary(max_size=300), st.lists(a_line, max_size=4))
def test_any_bytes_are_read(noise: bytes, lines: list[bytes]) -> None:
    data = noise + b"\n" + b"".join(lines)
    assert len(list(parse(data))) >= len(lines)
    ended_rows(data)
    open_rows(data)


def test_what_began_and_did_not_end() -> None:
    lines = [line(BEGIN, row) for row in ROWS[:4]]
    lines += [line(END, ROWS[1]), line(NEVER, WITHDRAWN[2])]
    random.Random(1).shuffle(lines[4:])
    assert open_rows(b"".join(lines)) == [ROWS[0], ROWS[3]]
    assert ended_rows(b"".join(lines)) == [ROWS[1]]


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    spool = Spool(tmp_path / "spool", max_bytes=200_000, segment_bytes=2_000)
    spool.prepare()
    yield spool
    spool.close()


def take(spool: Spool) -> list[bytes]:
    """Every row, as a database would take it."""
    taken: list[bytes] = []
    while batch := spool.read():
        taken += batch.rows
        spool.stored(batch)
    return taken


def call(spool: Spool, number: int) -> None:
    spool.begin(RECORDS[number])
    spool.end(RECORDS[number])


def left(state: Path) -> list[bytes]:
    """What is taken over from ended processes."""
    rows: list[bytes] = []
    for leftover in leftovers(state / "spool"):
        rows += [row for batch in leftover.rows() for row in batch]
        leftover.remove()
    return rows


def killed(state: Path) -> Path:
    """The files as kill -9 would leave them now: nobody holds their lock."""
    return Path(shutil.copytree(state, state.with_name(f"{state.name}-killed")))


def test_rows_come_out_in_their_order(spool: Spool) -> None:
    for number in range(4):
        call(spool, number)
    assert take(spool) == ROWS[:4]
    call(spool, 4)
    assert take(spool) == [ROWS[4]]
    assert take(spool) == []
    assert spool.backlog == 0


def test_files_are_rotated_and_removed(spool: Spool, tmp_path: Path) -> None:
    for _ in range(20):
        for number in range(len(ROWS)):
            call(spool, number)
        spool.prepare()
        assert take(spool) == ROWS
    files = list((tmp_path / "spool").rglob("0*"))
    numbers = [int(each.name) for each in files if each.is_file()]
    assert len(numbers) == 2
    assert max(numbers) > 4


def test_rows_that_are_not_stored_are_read_again(spool: Spool) -> None:
    call(spool, 0)
    first = spool.read()
    second = spool.read()
    assert first is not None
    assert second is not None
    assert first.rows == second.rows == [ROWS[0]]


def test_a_line_that_found_half_the_room_it_needs(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = os.write

    def half(fd: int, text: bytes) -> int:
        return write(fd, text[: len(text) // 2])

    call(spool, 0)
    with monkeypatch.context() as full:
        full.setattr(os, "write", half)
        spool.end(RECORDS[1])
    assert spool.problem is not None
    call(spool, 2)
    assert spool.problem is None
    assert take(spool) == [ROWS[0], ROWS[2], ROWS[1]]  # last what memory has kept


def test_what_a_killed_process_leaves(spool: Spool, tmp_path: Path) -> None:
    """A call that began long ago is carried from file to file."""
    spool.begin(RECORDS[7])
    spool.begin(RECORDS[6])
    spool.withdraw(IDS[6])
    for _ in range(10):
        call(spool, 0)
        call(spool, 1)
        spool.prepare()
        take(spool)
    call(spool, 2)
    state = killed(tmp_path)
    rows = left(state)
    assert rows.count(ROWS[7]) == 1
    assert ROWS[6] not in rows
    assert ROWS[2] in rows
    assert left(state) == []
    assert list((state / "spool").iterdir()) == []


def test_a_living_processs_folder_is_left_alone(spool: Spool, tmp_path: Path) -> None:
    call(spool, 0)
    assert left(tmp_path) == []
    assert take(spool) == [ROWS[0]]


def test_a_clean_end_leaves_nothing(spool: Spool, tmp_path: Path) -> None:
    call(spool, 0)
    take(spool)
    spool.close()
    assert list((tmp_path / "spool").iterdir()) == []


def test_an_end_without_the_database_leaves_the_rows(spool: Spool, tmp_path: Path) -> None:
    call(spool, 0)
    spool.close()
    assert left(tmp_path) == [ROWS[0]]


@given(st.data())
def test_any_truncation_of_a_leftover(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    tmp_path = tmp_path_factory.mktemp("cut")
    spool = Spool(tmp_path / "spool", max_bytes=200_000, segment_bytes=1_000)
    spool.prepare()
    for number in range(5):
        spool.begin(RECORDS[number])
        if number % 2:
            spool.end(RECORDS[number])
        spool.prepare()
    state = killed(tmp_path)
    spool.close()
    last = max(
        path for path in (state / "spool").rglob("0*") if path.is_file() and path.stat().st_size
    )
    os.truncate(last, data.draw(st.integers(0, last.stat().st_size)))
    rows = left(state)
    # Everything but what was in the torn tail: all that had begun before the last file is there.
    assert {ROWS[0], ROWS[1], ROWS[2]} <= set(rows)


def test_a_full_spool_keeps_some_rows_in_memory_and_counts_the_rest(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool", max_bytes=4_000, segment_bytes=2_000)
    spool.prepare()
    for _ in range(11_000):
        call(spool, 0)
        spool.prepare()
    assert spool.problem is not None
    assert "full" in spool.problem
    assert spool.backlog < 10_000
    assert spool.lost > 0
    kept = len(take(spool))
    assert kept + spool.lost == 11_000
    spool.prepare()
    call(spool, 1)
    assert spool.problem is None
    assert take(spool) == [ROWS[1]]
    spool.close()


def test_a_folder_that_can_not_be_made(tmp_path: Path) -> None:
    (tmp_path / "spool").write_text("in the way")
    spool = Spool(tmp_path / "spool", max_bytes=4_000)
    with pytest.raises(OSError, match="Not a directory"):
        spool.prepare()
    call(spool, 0)
    assert take(spool) == [ROWS[0]]
    (tmp_path / "spool").unlink()
    spool.prepare()
    call(spool, 1)
    assert take(spool) == [ROWS[1]]
    spool.close()


def test_a_folder_that_can_not_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    spool = Spool(tmp_path / "file" / "spool", 1 << 20)
    assert not spool.ready()
    assert spool.problem == f"the spool {tmp_path}/file/spool can't be made: Not a directory"


@pytest.mark.parametrize("noticed_by", ["an empty line", "the next call"])
def test_a_disk_that_fills_up(spool: Spool, noticed_by: str) -> None:
    """A file may grow no further: part of a line is written, then nothing, then all is well."""
    call(spool, 0)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (spool.backlog + 100, hard))
    try:
        for number in range(1, 4):
            call(spool, number)
        spool.try_again()
        assert spool.problem is not None
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    if noticed_by == "an empty line":
        spool.try_again()
        assert spool.problem is None
    call(spool, 4)
    assert spool.problem is None
    assert sorted(take(spool)) == sorted(ROWS[:5])
    assert spool.lost == 0


def test_a_write_that_fails_is_told(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_fd: int, _data: bytes) -> int:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", refuse)
        call(spool, 0)
    assert spool.problem == "the spool can't be written: Input/output error"
    assert take(spool) == [ROWS[0]]

"""Records as lines: files that are rotated, and writes that fail or hang."""

from __future__ import annotations

import asyncio
import json
import stat
import threading
from decimal import Decimal
from pathlib import Path

import pytest

from log_records import log_records
from sluicegate.sinks.lines import LinesSink, file
from sluicegate.sinks.sink import SinkUnavailable


def names_in(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.iterdir())


async def test_one_object_a_line_with_exact_money(tmp_path: Path) -> None:
    path = tmp_path / "deeper" / "calls.jsonl"
    await file(path, 10_000_000, 3).send(log_records(2, cost_usd=Decimal("0.0000001234567891234")))
    lines = await asyncio.to_thread(path.read_text)
    assert lines.count("\n") == 2
    records = [json.loads(line, parse_float=Decimal) for line in lines.splitlines()]
    assert [record["cost_usd"] for record in records] == [Decimal("0.0000001234567891234")] * 2
    mode = (await asyncio.to_thread(path.stat)).st_mode
    assert stat.S_IMODE(mode) == 0o600


async def test_files_are_rotated_by_size_and_the_oldest_goes(tmp_path: Path) -> None:
    path = tmp_path / "calls.jsonl"
    sink = file(path, 10, 2)
    for number in range(5):
        await sink.send(log_records(1, model=f"number{number}"))
    names = names_in(tmp_path)
    assert names == ["calls.jsonl", "calls.jsonl.1", "calls.jsonl.2"]
    models = [json.loads((tmp_path / name).read_bytes())["model"] for name in names]
    assert models == ["number4", "number3", "number2"]


async def test_without_backups_there_is_one_file(tmp_path: Path) -> None:
    sink = file(tmp_path / "calls.jsonl", 10, 0)
    for _ in range(3):
        await sink.send(log_records(1))
    assert names_in(tmp_path) == ["calls.jsonl"]


async def test_a_file_that_can_not_be_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(SinkUnavailable, match="directory"):
        await file(tmp_path, 10, 0).send(log_records(1))


async def test_a_write_that_hangs_is_not_doubled() -> None:
    released, written = threading.Event(), list[bytes]()

    def write(lines: bytes) -> None:
        released.wait(20)
        written.append(lines)

    sink = LinesSink("stdout", write)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await sink.send(log_records(1))
    with pytest.raises(SinkUnavailable, match="hangs"):
        await sink.send(log_records(1))
    released.set()

"""kill -9 of a real gateway in the middle of requests, and of its database: no call is lost."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
from collections import Counter
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from eventually import eventually
from gateway_rig import Rig
from ledger_records import Row, rows_of
from postgres_process import PROGRAMS, PostgresProcess, postgres_process
from raw_client import RawClient
from responses_wire import USAGE, answer_body, frames, numbered, prelude, response, text_events
from running_gateway import AUTHORIZED
from scripted_upstream import Call
from served_folder import ServedFolder, key_manifest, openai_manifest, served_folder

CLIENTS = 12
ROUNDS = 3
CALLS = 120  # of a round, before the kill
GUARD = 30.0


class Traffic:
    """Clients that ask on and on; each request names an end user of its own."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self.seen: list[str] = []  # by the upstream
        self.answered: set[str] = set()  # as the clients know
        self._number = 0

    async def script(self, call: Call) -> None:
        """Whole answers, streams, and calls that never end."""
        user = call.json()["user"]
        self.seen.append(user)
        number = int(user.removeprefix("user"))
        if number % 17 == 0:
            await call.gone.wait()
        elif call.streamed:
            done = {"type": "response.completed", "response": response(usage=USAGE)}
            call.begin()
            for frame in frames(numbered([*prelude(), *text_events(["so", " much"]), done])):
                call.chunk(frame)
                await asyncio.sleep(0.001)
            call.end()
        else:
            await asyncio.sleep(0.002)
            call.answer(answer_body())

    async def client(self, port: int) -> None:
        """Until the gateway is gone."""
        with contextlib.suppress(OSError, EOFError, asyncio.IncompleteReadError):
            while True:
                async with await RawClient.open(port) as client:
                    self._number += 1
                    user = f"user{self._number}"
                    body = {
                        "model": "gpt-test",
                        "input": "hi",
                        "user": user,
                        "stream": self._number % 3 == 0,
                    }
                    client.post(json.dumps(body).encode(), AUTHORIZED)
                    if self._number % 17 == 0:
                        continue  # this one leaves without its answer
                    answer = await client.answer()
                    assert answer.status == 200
                    self.answered.add(user)


@contextlib.asynccontextmanager
async def gateway(
    tmp_path: Path, name: str, base_url: str, url: str | None
) -> AsyncGenerator[ServedFolder]:
    root = tmp_path / name
    root.mkdir()
    manifests = {
        "key.yaml": key_manifest(),
        "model.yaml": openai_manifest(base_url, "sk-upstream-0123456789"),
    }
    options = ["--state-dir", str(tmp_path / "state")]
    options += [] if url is None else ["--store-url", url]
    async with served_folder(root, manifests, *options) as served:
        yield served


async def run(
    traffic: Traffic, served: ServedFolder, database: PostgresProcess | None, *, away: bool
) -> None:
    """One round of requests; in the middle of them the gateway is killed."""
    before = len(traffic.seen)

    async def enough(share: int) -> bool:
        return len(traffic.seen) >= before + CALLS // share

    async with asyncio.TaskGroup() as clients:
        for _ in range(CLIENTS):
            clients.create_task(traffic.client(served.port))
        if database is not None and away:
            await eventually(lambda: enough(2), GUARD)
            await asyncio.to_thread(database.kill)
        await eventually(lambda: enough(1), GUARD)
        served.process.kill()
        await served.process.wait()
    if database is not None and away:
        await asyncio.to_thread(database.start)


def judge(rows: list[Row], traffic: Traffic) -> None:
    counted = Counter(row["end_user"] for row in rows)
    assert not [user for user, count in counted.items() if count > 1], "doubled"
    assert set(traffic.seen) <= set(counted), "a call without a row"
    by_user = {row["end_user"]: row for row in rows}
    for user in set(counted) - set(traffic.seen):  # begun, and killed before it went out
        assert by_user[user]["status"] in {"interrupted", "cancelled"}
    for user in traffic.answered:
        assert by_user[user]["status"] == "completed", user
    for row in rows:
        if row["status"] == "completed":
            tokens = (row["input_tokens"], row["output_tokens"], row["estimated"])
            assert tokens == (USAGE["input_tokens"], USAGE["output_tokens"], 0)
        else:
            assert row["status"] in {"interrupted", "cancelled", "broken_stream"}, row
            assert row["estimated"]
            assert row["input_tokens"] > 0
    assert any(row["status"] == "interrupted" for row in rows)


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
async def test_one_row_for_each_call(rig: Rig, tmp_path: Path, kind: str) -> None:
    with contextlib.ExitStack() as stack:
        database: PostgresProcess | None = None
        url: str | None = None
        if kind == "postgresql":
            if PROGRAMS is None:
                pytest.skip("no PostgreSQL server on this machine (Debian: postgresql)")
            database = await asyncio.to_thread(stack.enter_context, postgres_process())
            url = await asyncio.to_thread(database.new_database)
        traffic = Traffic(rig)
        upstream = await rig.upstream(traffic.script)
        for number in range(ROUNDS):
            async with gateway(tmp_path, f"{number}", upstream.base_url, url) as served:
                await run(traffic, served, database, away=number == 1)
        async with gateway(tmp_path, "last", upstream.base_url, url) as served:
            state = tmp_path / "state"

            async def nothing_is_left() -> bool:
                return len(list((state / "spool").iterdir())) == 1  # its own

            await eventually(nothing_is_left, GUARD)
            served.signal(signal.SIGTERM)
            assert await served.exit_code() == 0
        assert list((state / "spool").iterdir()) == []
        judge(await asyncio.to_thread(rows_of, state, url), traffic)

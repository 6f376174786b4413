"""kill -9 of a gateway in the middle of requests, of its database and Valkey: no call is lost."""

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
from responses_wire import (
    USAGE,
    Json,
    answer_body,
    frames,
    numbered,
    prelude,
    response,
    text_events,
)
from running_gateway import AUTHORIZED
from scripted_upstream import Call
from served_folder import ServedFolder, key_manifest, openai_manifest, served_folder
from valkey_process import SERVER, ValkeyProcess, valkey_process

CLIENTS = 12
ROUNDS = 3
CALLS = 120  # of a round, before the kill
HEAVY_CALLS = 5000
HEAVY_ROUNDS = 10
GUARD = 60.0
INTERRUPTED = {"interrupted"}
LIMITS = "limits: {maxParallelRequests: 1000}, budget: {amountUSD: '1000000', period: Month}"


def usage_of(number: int) -> Json:
    """What the upstream counts of a call: not the same of any two that follow."""
    tokens, written = 5 + number % 97, 5 + number % 89
    return {
        **USAGE,
        "input_tokens": tokens,
        "output_tokens": written,
        "total_tokens": tokens + written,
    }


class Traffic:
    """Clients that ask on and on; each request names an end user of its own.

    `leaving`: one of 17 goes without its answer, which never comes.
    """

    def __init__(self, *, leaving: bool = True) -> None:
        self.leaving = leaving
        self.seen: list[str] = []  # by the upstream
        self.answered: set[str] = set()  # as the clients know
        self._number = 0

    async def script(self, call: Call) -> None:
        """Whole answers, streams, and calls that never end."""
        user = call.json()["user"]
        self.seen.append(user)
        number = int(user.removeprefix("user"))
        usage = usage_of(number)
        if self.leaves(number):
            await call.gone.wait()
        elif call.streamed:
            done = {"type": "response.completed", "response": response(usage=usage)}
            call.begin()
            for frame in frames(numbered([*prelude(), *text_events(["so", " much"]), done])):
                call.chunk(frame)
                await asyncio.sleep(0.001)
            call.end()
        else:
            await asyncio.sleep(0.002)
            call.answer(answer_body(more={"usage": usage}))

    def leaves(self, number: int) -> bool:
        return self.leaving and number % 17 == 0

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
                    if self.leaves(int(user.removeprefix("user"))):
                        continue  # this one leaves without its answer
                    answer = await client.answer()
                    assert answer.status == 200
                    self.answered.add(user)


@contextlib.asynccontextmanager
async def gateway(
    tmp_path: Path, name: str, base_url: str, url: str | None, *more: str
) -> AsyncGenerator[ServedFolder]:
    root = tmp_path / name
    root.mkdir()
    manifests = {
        "key.yaml": key_manifest().replace("spec: {client: {", f"spec: {{client: {{{LIMITS}, "),
        "model.yaml": openai_manifest(base_url, "sk-upstream-0123456789"),
    }
    options = ["--state-dir", str(tmp_path / "state"), *more]
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
    for user in set(counted) - set(traffic.seen):  # begun, and killed before it arrived
        assert by_user[user]["status"] in {"interrupted", "cancelled"}
    for user in traffic.answered:
        assert by_user[user]["status"] == "completed", user
    for row in rows:
        if row["status"] == "completed":
            usage = usage_of(int(row["end_user"].removeprefix("user")))
            tokens = (row["input_tokens"], row["output_tokens"], row["estimated"])
            assert tokens == (usage["input_tokens"], usage["output_tokens"], 0)
        else:
            ends = {"interrupted", "cancelled", "broken_stream"} if traffic.leaving else INTERRUPTED
            assert row["status"] in ends, row
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
        traffic = Traffic()
        upstream = await rig.upstream(traffic.script)
        for number in range(ROUNDS):
            async with gateway(tmp_path, f"{number}", upstream.base_url, url) as served:
                await run(traffic, served, database, away=number == 1)
        await carry(tmp_path, upstream.base_url, url)
        judge(await asyncio.to_thread(rows_of, tmp_path / "state", url), traffic)


async def carry(tmp_path: Path, base_url: str, url: str | None) -> None:
    """A last gateway takes over what the killed ones have left."""
    state = tmp_path / "state"
    async with gateway(tmp_path, "last", base_url, url) as served:

        async def nothing_is_left() -> bool:
            return len(list((state / "spool").iterdir())) == 1  # its own

        await eventually(nothing_is_left, GUARD)
        served.signal(signal.SIGTERM)
        assert await served.exit_code() == 0
    assert list((state / "spool").iterdir()) == []


class Outages:
    """What happens in a round while its requests go on; the gateway is killed at the end of it."""

    def __init__(self, database: PostgresProcess, valkey: ValkeyProcess) -> None:
        self.database = database
        self.valkey = valkey

    async def run(self, traffic: Traffic, served: ServedFolder, number: int) -> None:
        begun = len(traffic.seen)

        async def reached(share: float) -> None:
            async def so_many() -> bool:
                return len(traffic.seen) >= begun + share * HEAVY_CALLS / HEAVY_ROUNDS

            await eventually(so_many, 4 * GUARD)

        async with asyncio.TaskGroup() as clients:
            for _ in range(CLIENTS):
                clients.create_task(traffic.client(served.port))
            await reached(0.2)
            await self.valkey.kill()
            await reached(0.4)
            await asyncio.to_thread(self.database.kill)
            await reached(0.5)
            await self.valkey.start()
            await reached(0.7)
            if number % 2:  # else it is away when the gateway is killed
                await asyncio.to_thread(self.database.start)
            await reached(1.0)
            served.process.kill()
            await served.process.wait()
        if not number % 2:
            await asyncio.to_thread(self.database.start)


@pytest.mark.heavy
@pytest.mark.timeout(900)
@pytest.mark.skipif(PROGRAMS is None or SERVER is None, reason="needs PostgreSQL and Valkey")
async def test_five_thousand_calls_with_everything_killed_in_between(
    rig: Rig, tmp_path: Path
) -> None:
    async with contextlib.AsyncExitStack() as stack:
        database = await asyncio.to_thread(stack.enter_context, postgres_process())
        url = await asyncio.to_thread(database.new_database)
        valkey = await stack.enter_async_context(valkey_process(tmp_path))
        traffic = Traffic(leaving=False)
        upstream = await rig.upstream(traffic.script)
        outages = Outages(database, valkey)
        for number in range(HEAVY_ROUNDS):
            more = ("--limits-url", valkey.url)
            async with gateway(tmp_path, f"{number}", upstream.base_url, url, *more) as served:
                await outages.run(traffic, served, number)
        await carry(tmp_path, upstream.base_url, url)
        rows = await asyncio.to_thread(rows_of, tmp_path / "state", url)
    assert len(traffic.seen) >= HEAVY_CALLS
    judge(rows, traffic)
    interrupted = sum(row["status"] == "interrupted" for row in rows)
    assert interrupted <= HEAVY_ROUNDS * CLIENTS  # what was under way at a kill, and no more

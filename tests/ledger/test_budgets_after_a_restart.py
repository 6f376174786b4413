"""Budgets counted in memory: a gateway that starts knows what was spent before."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from msgspec import structs

from eventually import eventually
from gateway_rig import Rig
from ledger_records import record
from postgres_process import PROGRAMS, postgres_process
from raw_client import Answer
from responses_wire import USAGE, answer_body
from running_gateway import AUTHORIZED, CLIENT_KEY, config_of, key_entry, openai_entry
from scripted_upstream import Call
from served_folder import ServedFolder, echo_manifest, key_manifest, served_folder
from sluicegate.config import Budget, Config, EndUserPolicy, NamespaceCeiling, Sharing
from sluicegate.ledger import CallRecord, Ledger, LedgerSettings
from sluicegate.ledger.ledger import store_of
from sluicegate.ledger.record import encode
from sluicegate.limits import Amount, Ceiling, Limiter, MemoryStore, Subject, SubjectKind
from sluicegate.limits.periods import Period
from sluicegate.limits.subjects import end_user_subject, key_subject, namespace_subject
from sluicegate.pipeline import earlier_spend
from sluicegate.pipeline.earlier_spend import count_earlier_spend
from sluicegate.pipeline.live import LiveStore

# 7 output tokens: 7 USD a call.
MODEL = """\
apiVersion: sluicegate.dev/v1alpha1
kind: ModelDeployment
metadata: {{name: gpt-test}}
spec:
  provider: {{openai: {{model: gpt-real, baseURL: "{url}"}}}}
  credentials: {{secretRef: {{name: gpt-test-key, key: token}}}}
  pricing: {{input: "0", cachedInput: "0", cacheWrite: "0", output: "1000000"}}
---
apiVersion: v1
kind: Secret
metadata: {{name: gpt-test-key}}
stringData: {{token: "sk-upstream-0123456789"}}
"""
BUDGET = 'budget: {amountUSD: "10", period: Month}'
PEOPLE_KEY = f"{CLIENT_KEY}-of-many"
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC).timestamp()


def limited(manifest: str, policy: str) -> str:
    head, _, end = manifest.rpartition("}}")
    return f"{head}, {policy}}}}}{end}"


@contextlib.asynccontextmanager
async def gateway(root: Path, name: str, url: str) -> AsyncGenerator[ServedFolder]:
    folder = root / name
    folder.mkdir()
    manifests = {
        "team.yaml": limited(key_manifest(), BUDGET),
        "people.yaml": limited(
            key_manifest(PEOPLE_KEY, name="people"), f"endUsers: {{required: true, {BUDGET}}}"
        ),
        "model.yaml": MODEL.format(url=url),
    }
    options = ("--state-dir", str(root / "state"), "--end-user-hash-key", "of-the-test")
    async with served_folder(folder, manifests, *options) as served:
        yield served


async def ask(served: ServedFolder, user: str | None = None) -> Answer:
    body = {"model": "gpt-test", "input": "hi", "max_output_tokens": 1, "user": user}
    key = AUTHORIZED if user is None else {"Authorization": f"Bearer {PEOPLE_KEY}"}
    return await served.post(json.dumps(body).encode(), key)


async def test_killed_and_started_again(rig: Rig, tmp_path: Path) -> None:
    async def script(call: Call) -> None:
        call.answer(answer_body())

    upstream = await rig.upstream(script)
    assert USAGE["output_tokens"] == 7
    async with gateway(tmp_path, "first", upstream.base_url) as served:
        for user in (None, "ann"):
            for _ in range(2):
                assert (await ask(served, user)).status == 200
        served.process.kill()
        await served.process.wait()
    async with gateway(tmp_path, "second", upstream.base_url) as served:
        for user, whose in ((None, "key default/team"), ("ann", "end user 'ann'")):
            refused = await ask(served, user)
            assert (refused.status, refused.error["code"]) == (429, "insufficient_quota")
            assert whose in refused.error["message"]
            assert "14.00 of 10.00 USD are spent" in refused.error["message"]
        assert (await ask(served, "bob")).status == 200


def spent(memory: MemoryStore, id_: str, period_of: Ceiling) -> Decimal:
    kind = SubjectKind.END_USER if id_.startswith("user:") else SubjectKind.KEY
    look = memory.reserve((Subject(id_, period_of, kind),), Amount(0))
    return Decimal(look.standings[0].money).scaleb(-9)


MONTH = Ceiling(money=10**12)
DAY = Ceiling(money=10**12, period="1d")


def budgets(at: float) -> LiveStore:
    """A configuration that serves since then."""
    store = LiveStore({})
    month, day = Budget("5", "Month"), Budget("5", "1d")
    config = config_of(
        structs.replace(key_entry(), budget=month, end_users=EndUserPolicy(budget=day)),
        structs.replace(
            openai_entry("http://127.0.0.1:9/v1"),
            sharing=Sharing("All", per_namespace=NamespaceCeiling(budget=month)),
        ),
    )
    deque(store.publish_steps(config), maxlen=0)
    store.current = dataclasses.replace(store.current, published_at=at)
    return store


def fill(store_url: str, rows: Sequence[CallRecord]) -> None:
    store = store_of(store_url, Path("/nowhere"))
    store.open()
    store.add([encode(row) for row in rows])
    store.close()


async def counted(store_url: str, state: Path) -> MemoryStore:
    """What a gateway counts that starts with these rows in its ledger."""
    own = {"namespace": "default", "key": "team", "deployment": "default/primary"}
    other = {**own, "namespace": "team-b", "key": "x"}
    rows = [
        record(time=NOW - 10, cost_usd=Decimal(1), end_user="ann lee", **own),
        record(time=NOW - 20, cost_usd=Decimal("0.0000000001"), end_user="bob", **own),
        record(time=NOW - 86_400, cost_usd=Decimal(2), end_user="ann lee", **own),
        record(time=NOW - 40 * 86_400, cost_usd=Decimal(4), end_user="ann lee", **own),
        record(time=NOW + 1, cost_usd=Decimal(8), end_user="ann lee", **own),  # its own call
        record(time=NOW - 10, cost_usd=Decimal(16), end_user=None, **other),
        record(time=NOW - 10, cost_usd=None, end_user=None, **own),
        record(time=NOW - 10, cost_usd=Decimal(32), end_user=None, **{**own, "key": None}),
    ]
    await asyncio.to_thread(fill, store_url, rows)
    memory = MemoryStore(lambda: NOW)
    ledger = Ledger(LedgerSettings(state, store_url))
    await asyncio.to_thread(ledger.start)
    try:
        async with counting(ledger, memory, budgets(NOW), lambda: NOW) as done:
            await asyncio.wait_for(done.wait(), 60)
    finally:
        await asyncio.to_thread(ledger.stop, 5.0)
    return memory


@contextlib.asynccontextmanager
async def counting(
    ledger: Ledger, memory: MemoryStore, store: LiveStore, clock: Callable[[], float]
) -> AsyncGenerator[asyncio.Event]:
    """Counts earlier spend until the end of the block; the event is set after the first time."""
    counted = asyncio.Event()
    work = asyncio.create_task(count_earlier_spend(ledger, Limiter(memory), store, clock, counted))
    try:
        yield counted
    finally:
        work.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await work


async def test_each_budget_has_what_is_its_own(store_url: str, tmp_path: Path) -> None:
    memory = await counted(store_url, tmp_path / "state")
    assert spent(memory, key_subject("default/team"), MONTH) == Decimal("3.000000001")
    assert spent(memory, end_user_subject("default/team", "ann lee"), DAY) == 1
    assert spent(memory, end_user_subject("default/team", "bob"), DAY) == Decimal("1e-9")
    assert spent(memory, namespace_subject("team-b", "default/primary"), MONTH) == 16
    assert len(memory) == 4


async def test_nothing_is_waited_for_where_nothing_serves_yet(tmp_path: Path) -> None:
    ledger, memory = Ledger(LedgerSettings(tmp_path)), MemoryStore(lambda: NOW)
    store = LiveStore({})  # an empty folder is what it begins with, so nothing is published
    async with counting(ledger, memory, store, lambda: NOW) as done:
        await asyncio.wait_for(done.wait(), 60)
    assert len(memory) == 0


async def test_a_database_that_comes_later(tmp_path: Path) -> None:
    if PROGRAMS is None:
        pytest.skip("no PostgreSQL server on this machine (Debian: apt-get install postgresql)")
    with contextlib.ExitStack() as stack:
        server = await asyncio.to_thread(stack.enter_context, postgres_process())
        url = await asyncio.to_thread(server.new_database)
        first = Ledger(LedgerSettings(tmp_path / "state", url))
        await asyncio.to_thread(first.start)
        own = {"namespace": "default", "key": "team"}
        first.end(record(time=time.time() - 0.1, cost_usd=Decimal(3), **own))
        await asyncio.to_thread(first.stop, 5.0)
        await asyncio.to_thread(server.kill)
        memory = MemoryStore(time.time)
        ledger = Ledger(LedgerSettings(tmp_path / "state", url))
        await asyncio.to_thread(ledger.start)
        async with counting(ledger, memory, budgets(time.time()), time.time) as done:

            async def told() -> bool:
                return bool(ledger.state.problems)

            await eventually(told)
            assert not done.is_set()
            # What this gateway itself spends before the database is back counts once, and besides.
            memory.reserve((Subject(key_subject("default/team"), MONTH),), Amount(1, 0, 10**9))
            ledger.end(record(time=time.time(), cost_usd=Decimal(1), **own))
            await asyncio.to_thread(server.start)
            await asyncio.wait_for(done.wait(), 60)
        assert spent(memory, key_subject("default/team"), MONTH) == 4
        await asyncio.to_thread(ledger.stop, 5.0)


async def test_budgets_that_a_reload_adds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(earlier_spend, "_CARRIED", 0.0)
    path = f"sqlite://{tmp_path / 'ledger.sqlite3'}"
    own = {"namespace": "default", "key": "team"}
    without = config_of(key_entry())
    store = LiveStore({})

    def serve(config: Config, at: float) -> None:
        deque(store.publish_steps(config), maxlen=0)
        store.current = dataclasses.replace(store.current, published_at=at)

    def limited_to(amount: str) -> Config:
        return config_of(structs.replace(key_entry(), budget=Budget(amount, "Month")))

    async def seen(amount: int) -> None:
        async def is_counted() -> bool:
            return spent(memory, key_subject("default/team"), MONTH) == amount

        await eventually(is_counted)

    def spend(at: float, usd: int) -> None:
        ledger.end(record(time=at, cost_usd=Decimal(usd), **own))

    memory = MemoryStore(lambda: NOW)
    ledger = Ledger(LedgerSettings(tmp_path, path))
    await asyncio.to_thread(ledger.start)
    serve(without, NOW - 100)
    async with counting(ledger, memory, store, lambda: NOW) as done:
        await asyncio.wait_for(done.wait(), 60)
        spend(NOW - 40 * 86_400, 1)  # in another period
        spend(NOW - 90, 2)
        await stored(ledger, 2)
        serve(limited_to("100"), NOW - 80)
        await seen(2)
        # What is spent on a budget is counted as it is spent, not by the ledger.
        spend(NOW - 70, 4)
        await stored(ledger, 3)
        serve(limited_to("200"), NOW - 60)
        serve(without, NOW - 50)
        await asyncio.sleep(0.2)  # each is looked at, and nothing comes of it
        spend(NOW - 40, 8)
        await stored(ledger, 4)
        serve(limited_to("100"), NOW - 30)
        await seen(10)
    await asyncio.to_thread(ledger.stop, 5.0)


async def test_a_budget_that_gets_another_period_and_its_own_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(earlier_spend, "_CARRIED", 0.0)
    own = {"namespace": "default", "key": "team", "end_user": "ann"}
    people = EndUserPolicy(budget=Budget("100", "Month"))
    store = LiveStore({})

    def serve(period: Period, at: float) -> None:
        budget = Budget("100", period)
        key = structs.replace(key_entry(), budget=budget, end_users=people)
        deque(store.publish_steps(config_of(key)), maxlen=0)
        store.current = dataclasses.replace(store.current, published_at=at)

    async def seen(ceiling: Ceiling, amount: int) -> None:
        async def is_counted() -> bool:
            return spent(memory, key_subject("default/team"), ceiling) == amount

        await eventually(is_counted)

    def spend(at: float, usd: int, ceiling: Ceiling) -> None:
        """As a call does: it is counted in memory, and gets a row."""
        subject = Subject(key_subject("default/team"), ceiling)
        memory.charge(subject, usd * 10**9)
        ledger.end(record(time=at, cost_usd=Decimal(usd), **own))

    memory = MemoryStore(lambda: NOW)
    ledger = Ledger(LedgerSettings(tmp_path, f"sqlite://{tmp_path / 'ledger.sqlite3'}"))
    await asyncio.to_thread(ledger.start)
    for days, usd in ((40, 1), (3, 2), (0.1, 4)):
        ledger.end(record(time=NOW - days * 86_400, cost_usd=Decimal(usd), **own))
    await stored(ledger, 3)
    serve("Month", NOW - 100)
    async with counting(ledger, memory, store, lambda: NOW) as done:
        await asyncio.wait_for(done.wait(), 60)
        await seen(MONTH, 6)
        spend(NOW - 90, 8, MONTH)
        await stored(ledger, 4)
        serve("1d", NOW - 80)
        await seen(DAY, 12)
        spend(NOW - 70, 16, DAY)
        await stored(ledger, 5)
        serve("Month", NOW - 60)
        await seen(MONTH, 30)
        assert spent(memory, end_user_subject("default/team", "ann"), MONTH) == 6
    await asyncio.to_thread(ledger.stop, 5.0)


async def stored(ledger: Ledger, rows: int) -> None:
    async def there() -> bool:
        return ledger.state.stored == rows

    await eventually(there)


async def test_a_budget_that_is_written_while_the_key_is_used(rig: Rig, tmp_path: Path) -> None:
    async def script(call: Call) -> None:
        call.answer(answer_body())

    upstream = await rig.upstream(script)
    manifests = {"team.yaml": key_manifest(), "model.yaml": MODEL.format(url=upstream.base_url)}
    manifests["free.yaml"] = echo_manifest("free")
    async with served_folder(tmp_path, manifests) as served:
        for _ in range(2):
            assert (await ask(served)).status == 200
        served.write("team.yaml", limited(key_manifest(), BUDGET))

        async def refused() -> bool:
            answer = await served.post(b'{"model": "free", "input": "hi"}')
            return answer.status == 429 and "14.00 of 10.00 USD" in answer.error["message"]

        await eventually(refused)

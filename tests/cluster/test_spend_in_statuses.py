"""`kubectl get ak` shows what keys have spent, from the store that the gateways share."""

from __future__ import annotations

import hashlib
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from limit_stores import ask, be_patient, sharing
from operated_cluster import Object, OperatedCluster
from sluicegate.cluster import API_KEYS
from sluicegate.config import Budget, ClientKey, Config
from sluicegate.limits import Ceiling, StoreUnavailable
from sluicegate.limits.spent import SpentReader
from sluicegate.limits.subjects import counts_key, key_subject
from sluicegate_operator.objects import Observed, decoder
from sluicegate_operator.spend import SpendReporter
from valkey_process import SERVER, ValkeyProcess, valkey_process

pytestmark = [
    pytest.mark.usefixtures("crds"),
    pytest.mark.skipif(SERVER is None, reason="no Valkey on this machine (Debian: redis-server)"),
]
MONTH = {"amountUSD": "50.00", "period": "Month"}


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    be_patient(monkeypatch)


@pytest.fixture
async def valkey(tmp_path: Path) -> AsyncIterator[ValkeyProcess]:
    async with valkey_process(tmp_path) as server:
        yield server


async def spends(server: ValkeyProcess, key: str, nano: int) -> None:
    """As a gateway counts it."""
    async with sharing(server.url) as store:
        await store.reserve(*ask(Ceiling(money=10**15), key_subject(key), money=nano))


def spend(found: Object) -> Object | None:
    return found.get("status", {}).get("spend")


def hashed(name: str) -> str:
    return f"sha256:{hashlib.sha256(name.encode()).hexdigest()}"


class Reporting:
    """The reporter of an operator that sees the keys of a namespace as they are now."""

    def __init__(self, cluster: OperatedCluster, url: str) -> None:
        self.cluster = cluster
        self.config = Config(entries={}, revisions={})
        self.leads = True
        self._keys: list[Observed] = []
        self._reporter = SpendReporter(
            cluster.admin,
            SpentReader(url).read,
            keys=lambda: self._keys,
            config=lambda: self.config,
            may_write=lambda: self.leads,
            clock=time.time,
        )

    def budget(self, name: str, budget: Budget | None) -> None:
        key = ClientKey(self.cluster.namespace, name, (), budget=budget)
        entries = {**self.config.entries, key.id: key}
        self.config = Config(entries=entries, revisions=dict.fromkeys(entries, ""))

    async def look(self, *names: str) -> dict[str, tuple[str | None, str]]:
        """Of each key the amount in its status, and its version, after another look."""
        found = [await self.cluster.get(API_KEYS, name) for name in names]
        read = decoder(API_KEYS)
        self._keys = [one for key in found if (one := read(msgspec.json.encode(key))) is not None]
        assert await self._reporter.look() is self.leads
        after = {name: await self.cluster.get(API_KEYS, name) for name in names}
        return {
            name: ((spend(key) or {}).get("amountUSD"), key["metadata"]["resourceVersion"])
            for name, key in after.items()
        }


async def test_an_operator_tells_what_its_keys_have_spent(
    cluster: OperatedCluster, valkey: ValkeyProcess
) -> None:
    for name in ("rich", "poor"):
        await cluster.key(name, keyHash=hashed(name), budget=MONTH)
    await spends(valkey, f"{cluster.namespace}/rich", 1_234_500_000)
    before = datetime.now(UTC)
    await cluster.start_operator("--limits-url", valkey.url)
    found = await cluster.until(API_KEYS, "rich", lambda key: spend(key) is not None)
    told = spend(found)
    assert told is not None
    assert told["amountUSD"] == "1.2345"
    assert told["periodStart"] == f"{told['observedAt'][:7]}-01T00:00:00Z"
    assert (datetime.fromisoformat(told["observedAt"]) - before).total_seconds() > -1
    # Beside it stands all that the operator says otherwise, now and later.
    await cluster.start_gateways(1)
    await cluster.key_ready("rich")
    assert spend(await cluster.get(API_KEYS, "rich")) == told
    assert spend(await cluster.key_ready("poor")) is None


async def test_what_is_written_and_what_is_not(
    cluster: OperatedCluster, valkey: ValkeyProcess
) -> None:
    names = ("rich", "free", "broken")
    reporting = Reporting(cluster, valkey.url)
    for name in names:
        await cluster.key(name, keyHash=hashed(name))
        reporting.budget(name, Budget("50", "Month"))
    reporting.budget("free", None)
    rich = f"{cluster.namespace}/rich"
    await spends(valkey, rich, 2_000_000_000)
    await spends(valkey, f"{cluster.namespace}/free", 3_000_000_000)
    await valkey.command("SET", counts_key(key_subject(f"{cluster.namespace}/broken")), "x")
    first = await reporting.look(*names)
    assert {name: amount for name, (amount, _) in first.items()} == {
        "rich": "2.00",
        "free": None,
        "broken": None,
    }
    assert await reporting.look(*names) == first  # nothing new: nothing is written
    await spends(valkey, rich, 1)
    reporting.leads = False
    assert await reporting.look(*names) == first
    reporting.leads = True
    assert (await reporting.look(*names))["rich"][0] == "2.000000001"
    await valkey.kill()
    last = await reporting.look(*names)
    assert last["rich"][0] == "2.000000001"
    await valkey.start()  # and has lost everything
    assert (await reporting.look(*names))["rich"][0] is None


async def test_of_a_period_that_is_over_nothing_is_told(
    cluster: OperatedCluster, valkey: ValkeyProcess
) -> None:
    reporting = Reporting(cluster, valkey.url)
    await cluster.key("old", keyHash=hashed("old"))
    reporting.budget("old", Budget("50", "1d"))
    key = counts_key(key_subject(f"{cluster.namespace}/old"))
    await valkey.command("HSET", key, "s", str(int((time.time() - 86_400) * 1000)), "m", "5")
    assert (await reporting.look("old"))["old"][0] is None
    await valkey.command("HSET", key, "s", str(int(time.time() * 1000)))
    assert (await reporting.look("old"))["old"][0] == "0.000000005"
    reporting.budget("old", None)
    assert (await reporting.look("old"))["old"][0] is None


async def test_many_subjects_and_a_store_that_hangs(valkey: ValkeyProcess) -> None:
    reader = SpentReader(valkey.url)
    for number in (0, 1200):
        key = counts_key(f"key:a/{number}")
        await valkey.command("HSET", key, "s", str(int(time.time() * 1000)), "m", "7")
    found = await reader.read({f"key:a/{number}": "30d" for number in range(1500)})
    assert {subject: spent.money for subject, spent in found.items()} == {
        "key:a/0": 7,
        "key:a/1200": 7,
    }
    await valkey.command("HSET", counts_key("key:a/0"), "m", "9" * 30)
    assert await reader.read({"key:a/0": "30d"}) == {}
    # A user that may not read the counts hears so, not that nothing was spent.
    await valkey.command("ACL", "SETUSER", "other", "on", ">word", "~x", "+@all")
    other = SpentReader(valkey.url.replace("redis://", "redis://other:word@"))
    with pytest.raises(StoreUnavailable):
        await other.read({"key:a/0": "30d"})
    valkey.hang()
    with pytest.raises(StoreUnavailable):
        await reader.read({"key:a/0": "30d"})
    valkey.wake()


async def test_a_url_that_can_not_be_meant(cluster: OperatedCluster) -> None:
    operator = await cluster.start_operator("--limits-url", "http://user:s3cret@host/")
    assert await operator.process.wait() == 1
    await operator.until_said("--limits-url: The URL of the store of limits is not of the form")
    assert not operator.said("s3cret")

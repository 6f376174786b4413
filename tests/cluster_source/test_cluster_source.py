"""A gateway follows the bundle of its cluster, and serves the last good one through anything."""

import asyncio
import contextlib
import json
import signal
import stat
import sys
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import pytest

from bundle_secrets import (
    SECRET,
    config_of,
    deployment_entry,
    done,
    key_entry,
    large_config,
    other_entries,
    plan,
    revision_of,
)
from eventually import eventually
from fake_cluster import CONFIG, NAMESPACE, FakeCluster, fake_cluster
from sluicegate.bundle import Stamp, Standing, index_data, plan_steps, read_index, shard_of
from sluicegate.cluster import Timing
from sluicegate.config import AmbientCredential, Config, Deployment, Entry, OpenAIUpstream
from sluicegate.pipeline.live import LiveStore
from sluicegate.source.cluster import ClusterSource, ClusterTiming
from sluicegate.source.cluster_lease import ClusterPlace, LeaseTiming
from sluicegate.source.cluster_status import ClusterStatus

SMALL = config_of(iter((key_entry("a"), deployment_entry("one"), *other_entries())))
LARGE = large_config(keys=2000, deployments=200)
FAST = ClusterTiming(
    first_answer=1.0,
    retry=0.01,
    most_retry=0.05,
    look_again=0.2,
    watch=Timing(backoff=0.01, most_backoff=0.05),
    lease=LeaseTiming(renew=0.5, least=0.05, most_backoff=0.1),
)


def with_entries(config: Config, *entries: Entry) -> Config:
    return config_of({**config.entries, **{entry.id: entry for entry in entries}})


@dataclass
class Rig:
    """A source, what it serves, and the API server it listens to."""

    cluster: FakeCluster
    state: Path
    store: LiveStore = field(default_factory=lambda: LiveStore({}))
    source: ClusterSource = field(init=False)

    def __post_init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """Another process on the same machine."""
        self.store = LiveStore({})
        self.source = ClusterSource(
            self.cluster.access,
            ClusterPlace(NAMESPACE, CONFIG, "gateway-0", "uid-0"),
            state_dir=self.state,
            publish=self.store.publish_steps,
            refused=lambda: self.store.current.snapshot.refused,
            timing=FAST,
        )

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncGenerator[ClusterStatus]:
        status = await self.source.load()
        task = asyncio.create_task(self.source.run())
        try:
            yield status
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            assert task.cancelled()

    @property
    def sequence(self) -> int:
        return self.store.current.snapshot.sequence

    @property
    def copy(self) -> Path:
        return self.state / f"{NAMESPACE}.{CONFIG}.bundle"

    def serves(self, config: Config) -> bool:
        return self.store.current.snapshot.revision == revision_of(config)

    async def until_serving(self, config: Config) -> None:
        async def does() -> bool:
            return self.serves(config)

        await eventually(does)

    async def until(self, *words: str) -> ClusterStatus:
        """Until every one of these is among the problems; without any, until there are none."""

        async def told() -> bool:
            text = "\n".join(self.source.status.problems)
            return all(word in text for word in words) and (bool(words) or not text)

        await eventually(told)
        return self.source.status

    async def until_kept(self, config: Config) -> None:
        async def kept() -> bool:
            with contextlib.suppress(FileNotFoundError):
                data = msgspec.msgpack.decode(self.copy.read_bytes(), type=dict[str, bytes])
                return read_index(data).revision == revision_of(config)
            return False

        await eventually(kept)


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    async with fake_cluster() as cluster:
        yield Rig(cluster, tmp_path / "state")


# --- the ordinary life ----------------------------------------------------------------------------


@pytest.mark.parametrize("config", [SMALL, LARGE], ids=["inline", "in shards"])
async def test_what_is_published_serves_and_every_change_after_it(rig: Rig, config: Config) -> None:
    await rig.cluster.publish(config)
    async with rig.running() as status:
        assert (status.loaded, status.ok, status.problems) == (True, True, ())
        assert rig.serves(config)
        assert status.origin == {
            "source": "cluster",
            "bundle": f"{NAMESPACE}/{CONFIG}",
            "epoch": "epoch-1",
        }
        for weight in (2, 3, 4):
            config = with_entries(config, deployment_entry("one", weight=weight))
            await rig.cluster.publish(config)
            await rig.until_serving(config)
        assert rig.sequence == 4
    assert dict(rig.store.current.snapshot.config.entries) == dict(config.entries)


async def test_a_changed_shard_costs_one_request(rig: Rig) -> None:
    await rig.cluster.publish(LARGE)
    async with rig.running():
        await rig.cluster.acknowledged(1)
        rig.cluster.requests.clear()
        revoked = key_entry("k00003", revoked=True)
        await rig.cluster.publish(with_entries(LARGE, revoked), fold=True)
        await rig.cluster.acknowledged(2)
        number = shard_of("ak/team/k00003")
        got = [name for method, name in rig.cluster.requests if method == "GET"]
        assert got == [f"{CONFIG}-{number:02d}"]


@pytest.mark.parametrize("config", [SMALL, LARGE], ids=["inline", "in shards"])
async def test_a_small_change_costs_no_request(rig: Rig, config: Config) -> None:
    await rig.cluster.publish(config)
    async with rig.running():
        await rig.cluster.acknowledged(1)
        rig.cluster.requests.clear()
        await rig.cluster.publish(with_entries(config, key_entry("a", revoked=True)))
        await rig.cluster.acknowledged(2)
        assert [method for method, _ in rig.cluster.requests if method == "GET"] == []


async def test_unchanged_entries_stay_the_same_objects(rig: Rig) -> None:
    await rig.cluster.publish(LARGE)
    async with rig.running():
        before = rig.store.current.snapshot
        changed = with_entries(LARGE, key_entry("k00003", revoked=True))
        await rig.cluster.publish(changed)
        await rig.until_serving(changed)
        after = rig.store.current.snapshot
        assert all(after.targets[id_] is target for id_, target in before.targets.items())


async def test_nothing_published_yet_is_not_ready_and_the_first_bundle_makes_it_so(
    rig: Rig,
) -> None:
    async with rig.running() as status:
        assert (status.loaded, status.ok) == (False, False)
        assert "no such Secret" in status.problems[0]
        await rig.cluster.publish(SMALL)
        await rig.until_serving(SMALL)
        await rig.until()
        assert rig.source.status.loaded


# --- what is refused ------------------------------------------------------------------------------


async def publish_forged(rig: Rig, **fields: object) -> None:
    """The next index with other fields, its checksum right."""
    publication = plan(rig.cluster.standing, with_entries(SMALL, deployment_entry("two")))
    assert publication is not None
    index = read_index(publication.index.data)
    text = msgspec.json.decode(publication.index.data["index"], type=dict[str, object])
    forged = index_data(msgspec.convert({**text, **fields}, type(index)), {})
    await rig.cluster.put(CONFIG, {**publication.index.data, **forged})


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"schemaVersion": 2}, "UnknownSchemaVersion"),
        ({"revision": "0" * 12}, "Corrupt"),
        ({"sequence": 1}, "OlderSequence"),
    ],
)
async def test_a_bundle_that_is_refused_is_told_and_the_last_good_one_serves(
    rig: Rig, fields: dict[str, object], reason: str
) -> None:
    await rig.cluster.publish(SMALL)
    async with rig.running():
        await publish_forged(rig, **fields)
        status = await rig.until("sequence 1 still serves")
        assert (status.loaded, status.ok, rig.serves(SMALL)) == (True, False, True)
        annotations = await rig.cluster.acknowledged(1, error=f"{reason}: ")
        assert SECRET not in str(annotations) + str(status)
        good = with_entries(SMALL, key_entry("b"))
        await rig.cluster.publish(good)
        await rig.until_serving(good)
        await rig.until()
        await rig.cluster.acknowledged(2)


async def test_a_corrupt_shard_is_refused(rig: Rig) -> None:
    await rig.cluster.publish(LARGE)
    async with rig.running():
        changed = with_entries(LARGE, key_entry("new"))
        publication = plan(rig.cluster.standing, changed, fold=True)
        assert publication is not None
        (shard,) = publication.shards
        spoiled = {name: octets[:-9] + b"x" * 9 for name, octets in shard.data.items()}
        await rig.cluster.write(msgspec.structs.replace(shard, data=spoiled))
        await rig.cluster.write(publication.index)
        await rig.until("does not match", "sequence 1 still serves")
        assert rig.serves(LARGE)
        await rig.cluster.write(shard)  # mended, which the index tells nothing of
        await rig.until()
        assert rig.sequence == 2


async def test_a_torn_set_is_waited_for(rig: Rig) -> None:
    await rig.cluster.publish(LARGE)
    async with rig.running():
        changed = with_entries(LARGE, key_entry("new"))
        publication = plan(rig.cluster.standing, changed, fold=True)
        assert publication is not None
        await rig.cluster.write(publication.index)
        await rig.until("does not hold what the index names")
        await rig.cluster.acknowledged(1, error="Torn: ")
        assert rig.serves(LARGE)
        for shard in publication.shards:
            await rig.cluster.write(shard)
        await rig.until_serving(changed)
        await rig.until()
        await rig.cluster.acknowledged(2)


async def test_a_lost_index_leaves_the_last_good_one(rig: Rig) -> None:
    await rig.cluster.publish(SMALL)
    async with rig.running():
        await rig.cluster.delete(CONFIG)
        status = await rig.until("no such Secret", "sequence 1 still serves")
        assert (status.loaded, status.ok, rig.serves(SMALL)) == (True, False, True)
        anew = done(plan_steps(Standing.nothing(), LARGE, Stamp("epoch-2", 1, 0.0)))
        assert anew is not None
        for write in (*anew.shards, anew.index):
            await rig.cluster.write(write)
        await rig.until_serving(LARGE)
        await rig.until()

        async def told() -> bool:
            return rig.cluster.annotations[-1]["sluicegate.dev/epoch"] == "epoch-2"

        await eventually(told)


async def test_an_index_that_is_no_bundle_is_refused(rig: Rig) -> None:
    await rig.cluster.put(CONFIG, {"password": b"hunter2"})
    async with rig.running() as status:
        assert not status.loaded
        assert "holds no index" in status.problems[0]
        assert "hunter2" not in str(status)


async def test_shards_that_may_not_be_read_are_told_and_read_when_they_may(rig: Rig) -> None:
    await rig.cluster.publish(LARGE)
    number = shard_of("ak/team/new")
    async with rig.running():
        rig.cluster.refusals[f"{CONFIG}-{number:02d}"] = 403
        changed = with_entries(LARGE, key_entry("new"))
        await rig.cluster.publish(changed, fold=True)
        await rig.until("403", "sequence 1 still serves")
        rig.cluster.refusals.clear()
        await rig.until_serving(changed)
        await rig.until()


# --- the API server is away -----------------------------------------------------------------------


async def test_it_serves_on_while_the_api_server_is_away_and_follows_when_it_is_back(
    rig: Rig,
) -> None:
    await rig.cluster.publish(SMALL)
    async with rig.running():
        await rig.cluster.acknowledged(1)
        await rig.cluster.stop()
        status = await rig.until("no news from the API server since 20")
        assert (status.loaded, status.ok, rig.serves(SMALL)) == (True, False, True)
        await rig.until("the operator can't be told")
        changed = with_entries(SMALL, key_entry("b"))
        await rig.cluster.publish(changed)
        await rig.cluster.start()
        await rig.until_serving(changed)
        await rig.until()
        await rig.cluster.acknowledged(2)


@pytest.mark.parametrize("config", [SMALL, LARGE], ids=["inline", "in shards"])
async def test_a_restart_without_the_api_server_serves_the_copy(rig: Rig, config: Config) -> None:
    await rig.cluster.publish(config)
    async with rig.running():
        await rig.until_kept(config)
    assert stat.S_IMODE(rig.copy.stat().st_mode) == 0o600
    assert stat.S_IMODE(rig.state.stat().st_mode) == 0o700
    await rig.cluster.stop()
    rig.restart()
    async with rig.running() as status:
        assert (status.loaded, status.ok) == (True, False)
        assert "sequence 1 still serves" in status.problems[0]
        assert rig.serves(config)
        await rig.cluster.start()
        await rig.until()
        assert rig.source.status.ok


async def test_what_is_newer_than_the_copy_serves_from_the_first_moment(rig: Rig) -> None:
    await rig.cluster.publish(LARGE)
    async with rig.running():
        await rig.until_kept(LARGE)
    changed = with_entries(LARGE, key_entry("k00001", revoked=True))
    await rig.cluster.publish(changed, fold=True)
    rig.restart()
    rig.cluster.requests.clear()
    status = await rig.source.load()
    assert (status.ok, rig.serves(changed), rig.sequence) == (True, True, 2)
    number = shard_of("ak/team/k00001")
    assert [name for _, name in rig.cluster.requests] == [CONFIG, f"{CONFIG}-{number:02d}"]


@pytest.mark.parametrize(
    "garbage", [b"", b"\xc1\x00", None], ids=["empty", "no MessagePack", "cut"]
)
async def test_an_unreadable_copy_is_told_and_not_served(rig: Rig, garbage: bytes | None) -> None:
    await rig.cluster.publish(SMALL)
    async with rig.running():
        await rig.until_kept(SMALL)
    data = msgspec.msgpack.decode(rig.copy.read_bytes(), type=dict[str, bytes])
    name = max(data, key=len)
    cut = msgspec.msgpack.encode({**data, name: data[name][:-1]})
    rig.copy.write_bytes(cut if garbage is None else garbage)
    await rig.cluster.stop()
    rig.restart()
    async with rig.running() as status:
        assert not status.loaded
        assert "can't be used" in "\n".join(status.problems)
        await rig.cluster.start()
        await rig.until_serving(SMALL)
        await rig.until()  # the copy is written anew
        await rig.until_kept(SMALL)


async def test_a_copy_that_cannot_be_written_is_told_and_holds_up_nothing(rig: Rig) -> None:
    rig.state.write_text("in the way")
    await rig.cluster.publish(SMALL)
    async with rig.running():
        status = await rig.until("SLUICEGATE_STATE_DIR")
        assert (status.ok, rig.serves(SMALL)) == (True, True)


# --- the Lease ------------------------------------------------------------------------------------


async def test_the_lease_tells_what_serves_is_renewed_and_given_up_at_the_end(rig: Rig) -> None:
    await rig.cluster.publish(SMALL)
    async with rig.running():
        annotations = await rig.cluster.acknowledged(1)
        assert annotations == {
            "sluicegate.dev/sequence": "1",
            "sluicegate.dev/revision": revision_of(SMALL),
            "sluicegate.dev/epoch": "epoch-1",
        }
        lease = rig.cluster.leases["gateway-0"]
        assert lease["metadata"]["labels"]["sluicegate.dev/gateway"] == CONFIG
        assert lease["metadata"]["ownerReferences"] == [
            {"apiVersion": "v1", "kind": "Pod", "name": "gateway-0", "uid": "uid-0"}
        ]
        first = lease["spec"]["renewTime"]

        async def renewed() -> bool:
            return rig.cluster.leases["gateway-0"]["spec"]["renewTime"] > first

        await eventually(renewed)
    assert rig.cluster.leases == {}


async def test_the_lease_tells_who_cannot_be_called_here_and_why(rig: Rig) -> None:
    ambient = (
        Deployment("ns", name, name, OpenAIUpstream("gpt-5"), AmbientCredential())
        for name in ("a", "b")
    )
    await rig.cluster.publish(config_of(ambient))
    async with rig.running():
        told = await rig.cluster.acknowledged(1)
        ((reason, ids),) = json.loads(told["sluicegate.dev/refused"]).items()
        assert "OPENAI_API_KEY" in reason
        assert ids == ["md/ns/a", "md/ns/b"]
        await rig.cluster.publish(SMALL)
        assert "sluicegate.dev/refused" not in await rig.cluster.acknowledged(2)


async def test_more_reasons_than_a_lease_can_hold(rig: Rig) -> None:
    upstream = OpenAIUpstream("gpt-5")
    ambient = (
        Deployment("ns", f"{number:0200}", "m", upstream, AmbientCredential())
        for number in range(2000)
    )
    await rig.cluster.publish(config_of(ambient))
    async with rig.running():
        told = (await rig.cluster.acknowledged(1))["sluicegate.dev/refused"]
        ((_, ids),) = json.loads(told).items()
        assert 200 < len(ids) < 2000
        assert len(told) <= 64 * 1024 + 16


async def test_no_lease_before_there_is_something_to_tell(rig: Rig) -> None:
    async with rig.running():
        await rig.until("no such Secret")
        assert rig.cluster.leases == {}
        await rig.cluster.publish(SMALL)
        await rig.cluster.acknowledged(1)


async def test_a_refused_lease_is_told_and_holds_up_nothing(rig: Rig) -> None:
    rig.cluster.refusals["gateway-0"] = 403
    await rig.cluster.publish(SMALL)
    async with rig.running():
        status = await rig.until("the operator can't be told what serves: 403")
        assert status.ok
        changed = with_entries(SMALL, key_entry("b"))
        await rig.cluster.publish(changed)
        await rig.until_serving(changed)
        rig.cluster.refusals.clear()
        await rig.cluster.acknowledged(2)
        await rig.until()


async def test_many_changes_are_acknowledged_together(rig: Rig) -> None:
    await rig.cluster.publish(SMALL)
    async with rig.running():
        await rig.cluster.acknowledged(1)
        for number in range(30):
            await rig.cluster.publish(with_entries(SMALL, key_entry(f"k{number}")))
        await rig.cluster.acknowledged(31)
        told = [int(one["sluicegate.dev/sequence"]) for one in rig.cluster.annotations]
        assert told == sorted(told)


# --- a second look --------------------------------------------------------------------------------


async def test_a_look_finds_what_the_watch_has_not_told(rig: Rig) -> None:
    await rig.cluster.publish(SMALL)
    async with rig.running():
        await rig.cluster.acknowledged(1)
        rotated = with_entries(SMALL, deployment_entry("one", weight=5))
        publication = plan(rig.cluster.standing, rotated)
        assert publication is not None
        rig.cluster.mute = True
        await rig.cluster.write(publication.index)
        assert rig.serves(SMALL)
        assert all(await asyncio.gather(*(rig.source.look_again() for _ in range(5))))
        assert rig.serves(rotated)


async def test_looks_are_spaced_and_one_answers_all_who_ask(rig: Rig) -> None:
    await rig.cluster.publish(SMALL)
    async with rig.running():
        await rig.cluster.acknowledged(1)
        rig.cluster.requests.clear()
        answers = await asyncio.gather(*(rig.source.look_again() for _ in range(50)))
        assert not any(answers)
        assert not await rig.source.look_again()
        assert rig.cluster.requests.count(("GET", "secrets")) == 1


async def test_a_look_without_an_api_server_answers_no_in_time(rig: Rig) -> None:
    await rig.cluster.publish(SMALL)
    assert not await rig.source.look_again()
    async with rig.running():
        await rig.cluster.stop()
        assert not await rig.source.look_again()


async def test_what_a_killed_gateway_has_left_of_its_copy_is_cleared(rig: Rig) -> None:
    await rig.cluster.publish(SMALL)
    async with rig.running():
        await rig.until_kept(SMALL)
    code = (
        "import os, pathlib, signal, sys\n"
        "from sluicegate.source.private_files import replace_private\n"
        "os.fsync = lambda _: os.kill(os.getpid(), signal.SIGKILL)\n"
        "replace_private(pathlib.Path(sys.argv[1]), b'half of a bundle')\n"
    )
    killed = await asyncio.create_subprocess_exec(sys.executable, "-c", code, str(rig.copy))
    assert await killed.wait() == -signal.SIGKILL
    other = rig.state / ".unfinished-of-somebody-else"
    other.touch()
    assert len(list(rig.state.iterdir())) == 3
    rig.restart()
    assert (await rig.source.load()).ok
    assert set(rig.state.iterdir()) == {rig.copy, other}

"""The small decisions of the control loop: when to publish, what is new, who is behind."""

from __future__ import annotations

import json

import pytest

from sluicegate.cluster import MODEL_DEPLOYMENTS, Lease, ObjectMeta
from sluicegate.resources import ResourceRef, Secret, SecretRef
from sluicegate_operator.holding import Holding
from sluicegate_operator.lag import Lag
from sluicegate_operator.objects import Observed, decoder, report_of
from sluicegate_operator.rhythm import GATHER, IN_A_ROW, QUIET, URGENT, Rhythm
from sluicegate_operator.status.fleet import FleetWatch, Report
from sluicegate_operator.world import World

MD = ResourceRef("ModelDeployment", "team", "a")


def observed(**changes: object) -> Observed:
    content = {
        "metadata": {
            "name": "a",
            "namespace": "team",
            "uid": "u1",
            "generation": changes.pop("generation", 1),
            "resourceVersion": changes.pop("version", "5"),
        },
        "spec": {"weight": changes.pop("weight", 1)},
        "status": changes.pop("status", {}),
    }
    assert not changes
    read = decoder(MODEL_DEPLOYMENTS)(json.dumps(content).encode())
    assert read is not None
    return read


def test_an_object_is_seen_however_deep_its_spec_is() -> None:
    spec = b'{"x":' + b"[" * 9_000 + b"]" * 9_000 + b"}"
    content = (
        b'{"metadata":{"name":"a","namespace":"team","uid":"u1","resourceVersion":"5",'
        b'"generation":3,"managedFields":[%s]},"spec":%s,"status":{"revision":"r1"}}'
    ) % (spec, spec)
    read = decoder(MODEL_DEPLOYMENTS)(content)
    assert read is not None
    assert (read.ref, read.uid, read.generation, read.resource_version) == (MD, "u1", 3, "5")
    assert read.manifest.endswith(b',"spec":%s}' % spec)
    assert read.status.revision == "r1"


@pytest.mark.parametrize(
    ("told", "sequence"),
    [("41", 41), ("9" * 5000, 0), ("-1", 0), ("4_1", 0), ("\u0664", 0), ("", 0)],
)
def test_a_gateway_that_tells_nonsense_has_acknowledged_nothing(told: str, sequence: int) -> None:
    meta = ObjectMeta(name="gw", annotations={"sluicegate.dev/sequence": told})
    assert report_of(Lease(meta)).sequence == sequence


@pytest.mark.parametrize("told", ["", "[]", "{", '{"why": "md/a/b"}', "[" * 5000, '{"why": [1]}'])
def test_a_gateway_that_tells_nonsense_refuses_nobody(told: str) -> None:
    meta = ObjectMeta(name="gw", annotations={"sluicegate.dev/refused": told})
    assert report_of(Lease(meta)).refused == {}


def test_whom_a_gateway_refuses() -> None:
    told = '{"why": ["md/a/b", "md/a/c"], "%s": ["md/d/e"]}' % ("x" * 1000)
    meta = ObjectMeta(name="gw", annotations={"sluicegate.dev/refused": told})
    refused = report_of(Lease(meta)).refused
    assert refused == {"md/a/b": "why", "md/a/c": "why", "md/d/e": "x" * 300}


# --- the rhythm -----------------------------------------------------------------------------------


def test_the_first_change_after_quiet_goes_out_at_once() -> None:
    rhythm = Rhythm()
    assert rhythm.due() is None
    rhythm.changed(100.0)
    assert rhythm.due() == pytest.approx(100.0 + GATHER)


def test_changes_in_a_row_go_out_every_200_ms() -> None:
    rhythm = Rhythm()
    rhythm.changed(100.0)
    rhythm.begin(100.005)
    for number in range(20):
        rhythm.changed(100.01 + number / 1000)
    assert rhythm.due() == pytest.approx(100.205)


def test_a_revocation_waits_for_nothing() -> None:
    rhythm = Rhythm()
    rhythm.begin(100.0)
    rhythm.changed(100.01)
    rhythm.changed(100.02, urgent=True)
    assert rhythm.due() == 100.01
    rhythm.begin(100.02)
    assert rhythm.due() is None


def test_revocations_in_a_row_wait_like_everything_else() -> None:
    rhythm, now, waits = Rhythm(), 100.0, list[float]()
    for _ in range(100):
        rhythm.changed(now, urgent=True)
        due = rhythm.due()
        assert due is not None
        rhythm.begin(due)
        waits.append(due - now)
        now = due + 0.001
    assert waits[:6] == [pytest.approx(0.0)] * 6
    assert max(waits) <= QUIET + GATHER
    assert len(waits) <= 1 + IN_A_ROW + (now - 100.0) * (URGENT + 1 / QUIET) + 1


# --- objects as they are read ---------------------------------------------------------------------


def test_the_manifest_is_the_spec_and_who_it_is_of() -> None:
    assert json.loads(observed().manifest) == {
        "apiVersion": "sluicegate.dev/v1alpha1",
        "kind": "ModelDeployment",
        "metadata": {"name": "a", "namespace": "team"},
        "spec": {"weight": 1},
    }


def test_an_object_that_is_being_deleted_counts_as_gone() -> None:
    meta = {"name": "a", "namespace": "team", "deletionTimestamp": "2027-01-01T00:00:00Z"}
    content = json.dumps({"metadata": meta, "spec": {}}).encode()
    assert decoder(MODEL_DEPLOYMENTS)(content) is None


def test_a_status_that_is_not_ours_is_read_as_none() -> None:
    assert observed(status={"conditions": "?"}).status.conditions == ()


# --- the world ------------------------------------------------------------------------------------


def test_what_the_operator_writes_itself_is_nothing_new() -> None:
    world = World()
    assert world.see(MD, observed())
    assert not world.see(MD, observed(version="6", status={"revision": "r"}))
    assert world.see(MD, observed(version="7", weight=2, generation=2))


def test_what_changes_during_a_compile_is_in_the_next_one() -> None:
    world = World()
    world.see(MD, observed())
    first = world.snapshot()
    world.see(MD, observed(version="7", weight=2, generation=2))
    world.accept(first)
    second = world.snapshot()
    assert second.since is first.token
    assert second.changed == {MD}


def test_an_object_is_newer_than_a_snapshot_that_lacks_it_or_its_secret() -> None:
    world = World()
    mine, other = SecretRef("team", "mine"), SecretRef("team", "other")
    world.see(MD, observed())
    assert world.is_newer(MD, ())
    world.snapshot()
    world.see(MD, observed(version="6", status={"revision": "r"}))
    world.keep(other, Secret("team", "other", {"key": "v"}))
    assert not world.is_newer(MD, (mine,))
    world.keep(mine, Secret("team", "mine", {"key": "v"}))
    assert world.is_newer(MD, (mine,))
    world.snapshot()
    assert not world.is_newer(MD, (mine,))


def test_what_was_told_to_a_compile_that_failed_is_told_again() -> None:
    world = World()
    world.see(MD, observed())
    secret = SecretRef("team", "s")
    world.keep(secret, Secret("team", "s", {"key": "v"}))
    world.snapshot()
    again = world.snapshot()
    assert again.changed == {MD}
    assert again.changed_secrets == {secret}
    world.accept(again)
    assert world.snapshot().changed == frozenset()


# --- who holds what since when --------------------------------------------------------------------


def test_an_entry_is_held_since_the_publication_that_changed_it() -> None:
    holding = Holding(40)
    assert holding.since("md/team/a") == 40  # it was in the bundle that was read back
    assert holding.inherited("md/team/a")
    holding.changed(["md/team/a", "md/team/gone"])
    assert holding.since("md/team/a") is None
    assert not holding.inherited("md/team/a")
    assert holding.published(41, {"md/team/a"}) == {"md/team/a", "md/team/gone"}
    assert holding.since("md/team/a") == 41
    assert not holding.inherited("md/team/a")
    assert holding.published(42, {"md/team/a"}) == frozenset()
    assert holding.since("md/team/a") == 41


def test_what_somebody_else_has_published_makes_older_acknowledgements_void() -> None:
    holding = Holding(40)
    holding.changed(["md/team/a"])
    holding.published(41, {"md/team/a"})
    holding.begin_anew(44)
    assert holding.since("md/team/a") == 44
    assert holding.since("md/team/b") == 44
    assert not holding.inherited("md/team/b")


# --- gateways -------------------------------------------------------------------------------------


def test_a_lease_that_does_not_change_falls_silent_by_our_own_clock() -> None:
    watch = FleetWatch(silence=35.0)
    watch.hear(Report("a", "t1", 5), 100.0)
    watch.hear(Report("a", "t1", 5), 130.0)  # a new list, the same Lease
    assert watch.next_due(130.0) == 135.0
    assert [one.voice for one in watch.at(134.0).gateways] == ["live"]
    assert [one.voice for one in watch.at(135.0).gateways] == ["silent"]
    watch.hear(Report("a", "t2", 5), 140.0)
    assert [one.voice for one in watch.at(140.0).gateways] == ["live"]
    watch.gone("a")
    assert watch.at(140.0).gateways == ()


def test_what_could_not_be_heard_is_nobodys_silence() -> None:
    watch = FleetWatch(silence=35.0)
    watch.hear(Report("dead", "t1", 5), 60.0)
    watch.hear(Report("a", "t1", 5), 100.0)
    watch.listen(100.0, hears=True)
    for now in range(105, 200, 5):  # the API server is away
        watch.listen(float(now), hears=False)
    voices = [one.voice for one in watch.at(195.0).gateways]
    assert voices == ["live", "silent"]
    watch.listen(500.0, hears=True)  # and then the operator was frozen
    assert [one.voice for one in watch.at(500.0).gateways] == ["live", "silent"]
    assert watch.next_due(500.0) == 535.0
    watch.listen(505.0, hears=True)
    assert [one.voice for one in watch.at(534.0).gateways] == ["live", "silent"]
    assert [one.voice for one in watch.at(535.0).gateways] == ["silent", "silent"]


def test_a_lease_from_before_our_start_has_to_be_renewed_to_count() -> None:
    watch = FleetWatch()
    watch.hear(Report("a", "t1", 5), 100.0, first_list=True)
    assert [one.voice for one in watch.at(101.0).gateways] == ["unconfirmed"]
    watch.hear(Report("a", "t2", 5), 105.0)
    assert [one.voice for one in watch.at(105.0).gateways] == ["live"]


def test_a_sequence_of_another_epoch_acknowledges_nothing_of_this_one() -> None:
    watch = FleetWatch()
    watch.epoch = "second"
    watch.hear(Report("old", "t", 900, epoch="first"), 100.0)
    watch.hear(Report("new", "t", 3, epoch="second"), 100.0)
    new, old = watch.at(100.0).gateways
    assert (old.sequence, old.outdated) == (0, True)
    assert (new.sequence, new.outdated) == (3, False)
    assert len(watch.at(100.0).serving) == 2
    assert watch.highest_sequence == 900  # what is published next goes above it


def test_a_sequence_that_was_lost_acknowledges_nothing_of_what_stands() -> None:
    watch = FleetWatch()
    watch.sequence = 4
    watch.hear(Report("a", "1", sequence=9), 0.0)
    [gateway] = watch.at(0.0).serving
    assert (gateway.sequence, gateway.outdated) == (0, True)
    assert watch.highest_sequence == 9
    watch.sequence = 10
    watch.hear(Report("a", "2", sequence=10), 1.0)
    [gateway] = watch.at(1.0).serving
    assert (gateway.sequence, gateway.outdated) == (10, False)


def test_a_sequence_that_cannot_be_true_uses_up_no_numbers() -> None:
    watch = FleetWatch()
    watch.hear(Report("liar", "t", 2**52 + 1), 100.0)
    watch.hear(Report("a", "t", 7), 100.0)
    assert watch.highest_sequence == 7


# --- the second pair of eyes ----------------------------------------------------------------------


def test_a_reflector_that_is_behind_is_noticed_until_it_has_caught_up() -> None:
    held: dict[ResourceRef, str] = {MD: "5"}
    lag = Lag(held.get, selective=False)
    lag.seen(MD, "5", 100.0)
    assert lag.oldest(200.0) == 0.0
    lag.seen(MD, "9", 100.0)
    lag.seen(MD, "9", 130.0)
    assert lag.oldest(140.0) == 40.0
    held[MD] = "12"
    assert lag.oldest(150.0) == 0.0


def test_an_object_that_is_not_selected_is_no_lag() -> None:
    nothing: dict[ResourceRef, str] = {}
    lag = Lag(nothing.get, selective=True)
    lag.seen(MD, "9", 100.0)
    assert lag.oldest(140.0) == 0.0

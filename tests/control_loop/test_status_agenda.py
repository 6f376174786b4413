"""When statuses are written: at once, after a second, once a minute; never more than the budget."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from sluicegate.resources import ResourceRef
from sluicegate_operator.budget import Budget
from sluicegate_operator.status.agenda import Agenda, Seen, Write
from sluicegate_operator.status.fleet import Fleet, Gateway
from sluicegate_operator.status.judge import Facts
from sluicegate_operator.status.values import Status, Truth

FINE: tuple[tuple[str, Truth, str, str], ...] = (
    ("Accepted", "True", "Valid", "ok"),
    ("ResolvedRefs", "True", "Resolved", "ok"),
)
BROKEN: tuple[tuple[str, Truth, str, str], ...] = (
    ("Accepted", "False", "InvalidSpec", "spec.weight: must be more"),
    FINE[1],
)


class Desk:
    """An agenda, the API server's part, and a clock that only a test moves."""

    def __init__(self, budget: Budget | None = None) -> None:
        self.now = 1000.0
        self.version = 0
        self.contested: list[str] = []
        self.agenda = Agenda(
            "ns/sluicegate",
            lambda: f"2027-01-01T00:00:{self.now}",
            budget=budget,
            contest=lambda _, other: self.contested.append(other),
        )

    def ref(self, name: str = "a") -> ResourceRef:
        return ResourceRef("ModelDeployment", "ns", name)

    def see(self, name: str = "a", status: Status | None = None, uid: str = "u") -> None:
        self.version += 1
        seen = Seen(uid, str(self.version), status or Status())
        self.agenda.see(self.ref(name), seen, self.now)

    def know(
        self,
        since: int | None,
        name: str = "a",
        *,
        revision: str = "r1",
        conditions: tuple[tuple[str, Truth, str, str], ...] = FINE,
    ) -> None:
        self.agenda.know(self.ref(name), Facts(1, conditions, revision, since))

    def fleet(self, *sequences: int) -> None:
        self.agenda.take_fleet(
            Fleet(tuple(Gateway(f"gw-{n}", sequence) for n, sequence in enumerate(sequences)))
        )

    def writes(self, most: int = 1000) -> list[Write]:
        for _ in self.agenda.review_steps(self.now):
            pass
        return self.agenda.take(self.now, most)

    def write_all(self, tell: Callable[[Write], None] = lambda _: None) -> list[Write]:
        writes = self.writes()
        for write in writes:
            self.version += 1
            self.agenda.written(write, str(self.version), self.now)
            tell(write)
        return writes


def summary(write: Write) -> str:
    ready = write.status.condition("Ready")
    assert ready is not None
    assert write.status.gateways is not None
    return f"{ready.status} {write.status.gateways.summary}"


def test_what_is_ready_is_written_at_once_and_once() -> None:
    desk = Desk()
    desk.see()
    desk.fleet(5, 5)
    desk.know(5)
    assert [summary(write) for write in desk.write_all()] == ["True 2/2"]
    assert desk.writes() == []
    assert desk.agenda.next_due(desk.now) is None


def test_what_was_taken_back_within_the_second_waits_for_its_acknowledgement() -> None:
    desk = Desk()
    desk.see()
    desk.fleet(1, 1)
    desk.know(1)
    assert [summary(write) for write in desk.write_all()] == ["True 2/2"]
    desk.know(2, revision="r2")
    desk.fleet(1, 2)  # the second gateway serves r2, which no status has told
    desk.know(3)
    assert desk.write_all() == []
    desk.now += 1.0
    assert [summary(write) for write in desk.write_all()] == ["False 0/2"]
    desk.fleet(3, 3)
    assert [summary(write) for write in desk.write_all()] == ["True 2/2"]


def test_a_new_operator_trusts_a_status_only_on_what_that_was_written_of() -> None:
    before = Desk()
    before.see()
    before.fleet(5)
    before.know(5)
    [ready] = before.write_all()
    missing = ("ResolvedRefs", "False", "SecretNotFound", "create it")
    before.know(5, conditions=(FINE[0], missing))
    [unresolved] = before.write_all()

    def told(status: Status, generation: int) -> list[str]:
        """What the next one writes of the same revision, while a gateway is behind."""
        desk = Desk()
        desk.see(status=status)
        desk.fleet(6)
        found = Facts(generation, FINE, "r1", 7, inherited=True)
        desk.agenda.know(desk.ref(), found)
        at_once = desk.write_all()
        desk.now += 1.0
        return [summary(write) for write in at_once + desk.write_all()]

    behind = ["False 0/1"]
    assert told(unresolved.status, 1) == behind  # what it lacked came with sequence 7
    assert told(ready.status, 3) == behind  # generation 2 was another, and came with sequence 6
    assert told(ready.status, 1) == ["True 0/1"]  # the gateway has restarted from an older copy


def test_an_object_on_its_way_is_told_after_a_second() -> None:
    desk = Desk()
    desk.see()
    desk.fleet(4, 4)
    desk.know(5)
    assert desk.writes() == []
    desk.fleet(5, 4)
    desk.now += 0.9
    assert desk.writes() == []
    desk.now += 0.2
    assert [summary(write) for write in desk.write_all()] == ["False 1/2"]
    desk.fleet(5, 5)
    assert [summary(write) for write in desk.write_all()] == ["True 2/2"]


def test_one_that_gets_ready_within_the_second_is_written_once() -> None:
    desk = Desk()
    desk.see()
    desk.fleet(4)
    desk.know(5)
    assert desk.writes() == []
    desk.now += 0.3
    desk.fleet(5)
    assert [summary(write) for write in desk.write_all()] == ["True 1/1"]
    desk.now += 5.0
    assert desk.writes() == []


def test_what_is_broken_is_told_at_once() -> None:
    desk = Desk()
    desk.see()
    desk.fleet(5)
    desk.know(5, conditions=BROKEN)
    [write] = desk.write_all()
    ready = write.status.condition("Ready")
    assert ready is not None
    assert ready.reason == "InvalidSpec"


def test_gateways_that_come_and_go_are_told_once_a_minute() -> None:
    desk = Desk()
    desk.see()
    desk.fleet(5)
    desk.know(5)
    desk.write_all()
    told: list[str] = []
    for second in range(180):
        desk.fleet(*([5] * (second // 5 % 2 + 2)))
        desk.now += 1.0
        told += [summary(write) for write in desk.write_all()]
    assert 2 <= len(told) <= 4


def test_a_failed_write_is_tried_again() -> None:
    desk = Desk()
    desk.see()
    desk.fleet(5)
    desk.know(5)
    [write] = desk.writes()
    desk.agenda.failed(write, desk.now, 1.0)
    assert desk.writes() == []
    desk.now += 1.1
    assert len(desk.write_all()) == 1


def test_the_echo_of_an_older_version_is_not_believed() -> None:
    desk = Desk()
    desk.see()
    desk.fleet(5)
    desk.know(5)
    desk.version = 10
    desk.write_all()
    desk.version = 4
    desk.see()  # version 5: from before our write
    assert desk.writes() == []


def test_an_object_made_anew_starts_anew() -> None:
    desk = Desk()
    desk.see()
    desk.fleet(5)
    desk.know(5)
    desk.write_all()
    desk.see(uid="another")
    assert desk.writes() == []  # nothing is known of it yet
    desk.know(5)
    assert len(desk.write_all()) == 1


def test_the_budget_holds_and_all_is_written_in_the_end() -> None:
    desk = Desk(Budget(50.0, 100.0))
    for number in range(400):
        desk.see(f"md-{number}")
    desk.fleet(5)
    for number in range(400):
        desk.know(5, f"md-{number}")
    assert len(desk.write_all()) == 100
    desk.now += 1.0
    assert len(desk.write_all()) == 50
    while (due := desk.agenda.next_due(desk.now)) is not None:
        desk.now = max(due, desk.now + 0.01)
        desk.write_all()
    assert desk.now <= 1000.0 + 6.1


def test_turns_go_before_counts() -> None:
    desk = Desk(Budget(1.0, 1.0))
    desk.see("old")
    desk.fleet(5)
    desk.know(5, "old")
    desk.write_all()
    desk.fleet(5, 5)
    desk.writes()
    desk.now += 61.0
    desk.see("new")
    desk.know(5, "new", conditions=BROKEN)
    assert [write.ref.name for write in desk.writes()] == ["new"]


def test_another_operators_object_is_left_alone_for_a_while() -> None:
    desk = Desk()
    desk.fleet(5)
    desk.know(5)
    desk.see(status=Status(controller="other/sluicegate"))
    assert desk.contested == ["other/sluicegate"]
    assert desk.writes() == []
    desk.now += 61.0
    assert len(desk.write_all()) == 1
    desk.see(status=Status(controller="other/sluicegate"))
    desk.now += 61.0
    assert desk.writes() == []  # they fight: it waits longer each time
    desk.now += 61.0
    assert len(desk.writes()) == 1


# --- any history ----------------------------------------------------------------------------------

STEPS = st.one_of(
    st.tuples(st.just("fleet"), st.lists(st.integers(0, 6), max_size=3)),
    st.tuples(
        st.just("know"),
        st.tuples(
            st.sampled_from("abc"), st.sampled_from(["r1", "r2"]), st.none() | st.integers(1, 6)
        ),
    ),
    st.tuples(st.just("see"), st.sampled_from("abc")),
    st.tuples(st.just("gone"), st.sampled_from("abc")),
    st.tuples(st.just("time"), st.sampled_from([0.1, 1.0, 30.0, 70.0])),
)


@given(st.lists(STEPS, max_size=40))
@settings(deadline=None)
def test_any_history_comes_to_rest_with_true_statuses(history: list[tuple[str, Any]]) -> None:
    desk = Desk()
    written: dict[str, Status] = {}
    acknowledged: dict[str, int | None] = {}  # the sequences that all had once
    sequences: list[int] = []

    def check(write: Write) -> None:
        programmed = write.status.condition("Programmed")
        facts = desk.agenda.facts_of(write.ref)
        assert programmed is not None
        assert facts is not None
        assert desk.agenda.status_of(write.ref) == write.status
        if programmed.status == "True":
            assert facts.held_since is not None
            assert acknowledged[write.ref.name] == facts.held_since
        written[write.ref.name] = write.status

    def acknowledge() -> None:
        serving = [sequence for sequence in sequences if sequence]
        for name in "abc":
            facts = desk.agenda.facts_of(desk.ref(name))
            since = facts.held_since if facts is not None else None
            if since is not None and serving and min(serving) >= since:
                acknowledged[name] = since

    for step, value in history:
        match step:
            case "fleet":
                sequences = list(value)
                desk.fleet(*sequences)
            case "know":
                name, revision, since = value
                desk.know(since, name, revision=revision)
            case "see":
                desk.see(value, written.get(value, Status()))
            case "gone":
                desk.agenda.forget(desk.ref(value))
                written.pop(value, None)
                acknowledged.pop(value, None)
            case _:
                desk.now += value
        acknowledge()
        desk.write_all(check)
    while (due := desk.agenda.next_due(desk.now)) is not None:
        desk.now = max(due, desk.now + 0.01)
        desk.write_all(check)
    assert desk.agenda.waiting == 0
    desk.now += 1000.0
    assert desk.writes() == []

"""Any history of publications, crashes between two writes, restarts and lost Secrets.

A reader who looks at any time serves what was published at some time, never goes back, and has the
newest once the operator gets through.
"""

import functools
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from bundle_secrets import (
    Shelf,
    config_of,
    deployment_entry,
    key_entry,
    large_config,
    plan,
    revision_of,
)
from sluicegate.bundle import (
    SHARDS,
    Bundle,
    Refused,
    Standing,
    check_newer,
    read_index,
    tidying,
)
from sluicegate.config import Config, Entry


@functools.cache
def base(*, large: bool) -> Config:
    return large_config(keys=1500, deployments=150) if large else config_of({})


@functools.cache
def variant(number: int) -> Config:
    """Every third one has shards, the others are small enough for the index."""
    more: tuple[Entry, ...] = (
        key_entry("tenant", revoked=number % 2 == 0),
        deployment_entry(f"d{number % 4:05d}", weight=number),
    )
    entries = base(large=number % 3 == 0).entries
    return config_of({**entries, **{entry.id: entry for entry in more}})


@dataclass
class History:
    """One operator with its memory, the Secrets, and one gateway."""

    shelf: Shelf = field(default_factory=Shelf)
    standing: Standing = field(default_factory=Standing.nothing)
    gateway: Bundle | None = None
    published: set[str] = field(default_factory=set[str])  # revisions whose index was written

    def publish(self, number: int, writes: int | None = None, *, fold: bool = False) -> None:
        """The operator ends after so many writes; None: it gets through."""
        publication = plan(self.standing, variant(number), fold=fold)
        if publication is None:
            return
        every = (*publication.shards, publication.index)
        for secret in every[:writes]:
            self.shelf.write(secret)
        if writes is None or writes >= len(every):
            self.published.add(revision_of(variant(number)))
        if writes is None:
            self.standing = publication.standing
        else:
            self.restart()

    def restart(self) -> None:
        self.standing = self.shelf.standing()

    def tidy(self) -> None:
        writes, self.standing = tidying(self.standing)
        for secret in writes:
            self.shelf.write(secret)

    def lose(self, number: int) -> None:
        """Somebody deletes a shard, and the operator sees it."""
        self.shelf.shards[number] = {}
        self.restart()

    def look(self) -> None:
        """As a gateway does, which keeps what it has when it is refused another."""
        try:
            index = read_index(self.shelf.index or {})
            if check_newer(index, self.gateway.index if self.gateway else None):
                self.gateway = self.shelf.read(self.gateway)
        except Refused:
            return
        assert self.gateway is not None
        config = self.gateway.config
        assert self.gateway.index.revision == revision_of(config)
        assert self.gateway.index.revision in self.published


def test_the_variants_are_of_both_kinds() -> None:
    publications = [plan(Standing.nothing(), variant(number)) for number in range(1, 4)]
    assert [len(one.shards) if one else None for one in publications] == [0, 0, SHARDS]


numbers = st.integers(1, 9)
actions = st.lists(
    st.one_of(
        st.tuples(st.just("publish"), numbers),
        st.tuples(st.just("fold"), numbers),
        st.tuples(st.just("crash"), numbers, st.integers(0, SHARDS + 1)),
        st.tuples(st.just("crashing fold"), numbers, st.integers(0, SHARDS + 1)),
        st.tuples(st.just("restart")),
        st.tuples(st.just("tidy")),
        st.tuples(st.just("lose"), st.integers(0, SHARDS - 1)),
        st.tuples(st.just("look")),
    ),
    max_size=14,
)


@settings(max_examples=150)  # each publishes hundreds of entries
@given(actions, numbers)
def test_a_gateway_has_only_what_was_published_and_the_newest_in_the_end(
    course: list[tuple[str, int, int]], last: int
) -> None:
    history = History()
    for name, *values in course:
        before = history.gateway
        match name:
            case "publish":
                history.publish(values[0])
            case "fold":
                history.publish(values[0], fold=True)
            case "crash":
                history.publish(values[0], values[1])
            case "crashing fold":
                history.publish(values[0], values[1], fold=True)
            case "restart":
                history.restart()
            case "tidy":
                history.tidy()
            case "lose":
                history.lose(values[0])
            case _:
                history.look()
        if before is not None and history.gateway is not None:
            assert history.gateway.index.sequence >= before.index.sequence
    history.publish(last)
    history.look()
    assert history.gateway is not None
    assert dict(history.gateway.config.entries) == dict(variant(last).entries)


@settings(max_examples=30)
@given(
    st.lists(st.tuples(numbers, st.booleans()), max_size=4),
    st.sampled_from([6, 9]),
    st.integers(0, 3),
    st.booleans(),
)
def test_while_an_operator_publishes_a_new_gateway_finds_a_whole_bundle(
    course: list[tuple[int, bool]], last: int, writes: int, fold: bool
) -> None:
    """Also one that starts from nothing, between any two writes."""
    history = History()
    for number, folded in (*course, (3, False)):
        history.publish(number, fold=folded)
        history.tidy()
    history.publish(last, writes, fold=fold)
    history.look()
    assert history.gateway is not None

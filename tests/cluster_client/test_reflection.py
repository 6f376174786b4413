"""The state machine: whatever is lost, repeated or cut off, it ends equal to the server's set."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripted_api_server import event, item, status
from sluicegate.cluster import ApiStatusError, ClusterError, GarbledAnswer, Gone, ObjectKey
from sluicegate.cluster.reflection import Reflection

NAMES = ("a", "b", "c", "d")


def reflection() -> Reflection[bytes]:
    return Reflection(bytes)


def key(name: str) -> ObjectKey:
    return ObjectKey("ns", name)


def listed(held: Reflection[bytes], *items: bytes, version: int = 1) -> frozenset[ObjectKey]:
    held.begin_list()
    for one in items:
        held.listed(one)
    return held.end_list(str(version))


@dataclass
class Server:
    """Objects by name, the history of events, and what a follower has of them by its callbacks."""

    version: int = 0
    objects: dict[str, bytes] = field(default_factory=dict[str, bytes])
    events: list[tuple[int, bytes]] = field(default_factory=list[tuple[int, bytes]])

    def write(self, name: str) -> None:
        self.version += 1
        kind = "MODIFIED" if name in self.objects else "ADDED"
        self.objects[name] = item(name, self.version)
        self.events.append((self.version, event(kind, self.objects[name])))

    def delete(self, name: str) -> None:
        if self.objects.pop(name, None) is not None:
            self.version += 1
            gone = item(name, self.version)
            self.events.append((self.version, event("DELETED", gone)))

    def restore(self, objects: dict[str, bytes], version: int) -> None:
        """From a backup: the versions after it will be given away a second time."""
        self.objects, self.version = dict(objects), version
        self.events.clear()


class Follower:
    """A reflection, fed as the reflector feeds it, and a copy that only its changes keep up."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.held = reflection()
        self.copy: dict[ObjectKey, bytes] = {}
        self.heard = 0

    def list(self, *, cut_after: int | None = None) -> None:
        self.held.begin_list()
        for number, one in enumerate(list(self.server.objects.values())):
            if number == cut_after:
                return
            self.held.listed(one)
        self._changed(self.held.end_list(str(self.server.version)))
        self.heard = self.server.version

    def watch(self, count: int) -> None:
        """The next events, as many as arrive before the watch breaks."""
        for version, line in [told for told in self.server.events if told[0] > self.heard][:count]:
            changed = self.held.told(line)
            self.heard = version
            self._changed(frozenset() if changed is None else frozenset({changed}))

    def _changed(self, keys: frozenset[ObjectKey]) -> None:
        for one in keys:
            if one in self.held.objects:
                self.copy[one] = self.held.objects[one]
            else:
                del self.copy[one]


steps = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.sampled_from(NAMES)),
        st.tuples(st.just("delete"), st.sampled_from(NAMES)),
        st.tuples(st.just("watch"), st.integers(0, 5)),
        st.tuples(st.just("list"), st.none() | st.integers(0, 3)),
        st.tuples(st.just("compact"), st.none()),
        st.tuples(st.just("back up"), st.none()),
        st.tuples(st.just("restore"), st.none()),
    ),
    max_size=40,
)


@given(steps)
def test_any_history_ends_equal_to_the_server(history: list[tuple[str, object]]) -> None:
    server = Server()
    follower = Follower(server)
    backup: tuple[dict[str, bytes], int] = ({}, 0)
    follower.list()
    for step, argument in history:
        match step, argument:
            case "write", str(name):
                server.write(name)
            case "delete", str(name):
                server.delete(name)
            case "watch", int(count):
                follower.watch(count)
            case "list", (int() | None) as cut_after:
                follower.list(cut_after=cut_after)
            case "compact", _:
                server.events.clear()  # what was not watched is never told
            case "back up", _:
                backup = dict(server.objects), server.version
            case _:
                server.restore(*backup)
        assert follower.copy == follower.held.objects
    follower.list()
    assert follower.held.objects == {key(name): one for name, one in server.objects.items()}
    assert follower.copy == follower.held.objects


@given(st.lists(st.tuples(st.booleans(), st.sampled_from(NAMES)), max_size=30))
def test_a_whole_watch_needs_no_second_list(writes: list[tuple[bool, str]]) -> None:
    server = Server()
    follower = Follower(server)
    follower.list()
    for write, name in writes:
        (server.write if write else server.delete)(name)
    follower.watch(len(server.events))
    assert follower.copy == {key(name): one for name, one in server.objects.items()}


def test_a_list_is_seen_all_at_once() -> None:
    held = reflection()
    listed(held, item("a", 1))
    held.begin_list()
    held.listed(item("b", 2))
    assert list(held.objects) == [key("a")]
    assert held.end_list("2") == {key("a"), key("b")}
    assert list(held.objects) == [key("b")]


def test_what_an_unfinished_list_brought_is_forgotten() -> None:
    held = reflection()
    held.begin_list()
    held.listed(item("a", 1))
    assert listed(held, item("b", 2)) == {key("b")}
    assert list(held.objects) == [key("b")]


def test_only_what_differs_is_told_and_decoded() -> None:
    calls: list[bytes] = []

    def decode(content: bytes) -> bytes:
        calls.append(content)
        return content

    held = Reflection(decode)
    first = item("a", 1)
    listed(held, first, item("b", 1))
    kept = held.objects[key("a")]
    assert listed(held, first, item("b", 2)) == {key("b")}
    assert held.objects[key("a")] is kept
    assert held.told(event("ADDED", first)) is None
    assert len(calls) == 3


def test_a_version_that_means_something_else_after_a_restore_is_a_change() -> None:
    held = reflection()
    listed(held, item("a", 7, "before"))
    assert listed(held, item("a", 7, "after")) == {key("a")}


def test_the_kind_that_only_a_watch_tells_is_no_change() -> None:
    held = reflection()
    told = item("a", 1).replace(b"{", b'{"kind":"Secret","apiVersion":"v1",', 1)
    assert held.told(event("ADDED", told)) == key("a")
    assert listed(held, item("a", 1)) == frozenset()


def test_a_bookmark_changes_nothing() -> None:
    held = reflection()
    listed(held, item("a", 1))
    bookmark = b'{"kind":"Secret","metadata":{"resourceVersion":"9"}}'
    assert held.told(event("BOOKMARK", bookmark)) is None
    assert held.resource_version == "1"
    assert list(held.objects) == [key("a")]


@pytest.mark.parametrize(
    ("code", "kind"), [(410, Gone), (500, ApiStatusError), (504, ApiStatusError)]
)
def test_an_error_event_is_raised_as_its_kind(code: int, kind: type[ApiStatusError]) -> None:
    held = reflection()
    listed(held, item("a", 1))
    with pytest.raises(kind, match="too old"):
        held.told(event("ERROR", status(code, message="too old")))
    assert list(held.objects) == [key("a")]


@pytest.mark.parametrize("line", [b"<html>", b"{}", b'{"type":"ADDED","object":3}'])
def test_what_is_no_event_is_an_error(line: bytes) -> None:
    with pytest.raises(GarbledAnswer):
        reflection().told(line)


@given(st.binary(max_size=60) | st.text(max_size=8).map(lambda kind: event(kind, item("a", 1))))
def test_no_octets_surprise_it(line: bytes) -> None:
    with contextlib.suppress(ClusterError):
        reflection().told(line)


class Numbered(msgspec.Struct):
    value: int


def test_an_object_that_cannot_be_read_is_left_out_and_said() -> None:
    held = Reflection(msgspec.json.Decoder(Numbered).decode)
    listed_keys = frozenset({key("a"), key("b")})
    held.begin_list()
    held.listed(item("a", 1, 5))
    held.listed(item("b", 1, "five"))
    assert held.end_list("1") == listed_keys
    assert held.objects == {key("a"): Numbered(5)}
    assert "int" in held.undecodable[key("b")]
    assert held.told(event("MODIFIED", item("a", 2, "six"))) == key("a")
    assert held.told(event("MODIFIED", item("b", 2, 6))) == key("b")
    assert held.objects == {key("b"): Numbered(6)}
    assert list(held.undecodable) == [key("a")]
    assert held.told(event("DELETED", item("a", 3))) == key("a")
    assert not held.undecodable

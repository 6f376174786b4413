"""A configuration goes into Secrets and comes out again, and nothing else ever does."""

import functools
import gzip
import hashlib
import itertools
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from bundle_secrets import (
    SECRET,
    Shelf,
    config_of,
    deployment_entry,
    done,
    incompressible,
    key_entry,
    large_config,
    other_entries,
    plan,
    published,
    revision_of,
)
from sluicegate.bundle import (
    CHANGES_LIMIT,
    CHANGES_OCTETS,
    INLINE_LIMIT,
    SHARD_LIMIT,
    Index,
    Refused,
    SecretData,
    Standing,
    TooLarge,
    assemble_steps,
    check_newer,
    index_data,
    missing,
    next_stamp,
    plan_steps,
    read_index,
    secret_names,
    shard_of,
    tidying,
)
from sluicegate.config import ClientKey, Config, Deployment, Entry

SMALL = config_of(iter((key_entry("a"), key_entry("b"), deployment_entry("one"), *other_entries())))
LARGE = large_config(keys=2000, deployments=200)

keys = st.builds(key_entry, st.text("abcdefgh", min_size=1, max_size=3), revoked=st.booleans())
deployments = st.builds(
    deployment_entry, st.text("mnopqr", min_size=1, max_size=3), weight=st.integers(0, 9)
)
configs = st.lists(keys | deployments | st.sampled_from(other_entries()), max_size=40).map(
    lambda entries: config_of(iter(entries))
)


@functools.cache
def _large() -> tuple[Shelf, Standing]:
    shelf = Shelf()
    return shelf, published(shelf, LARGE)


def large_shelf() -> tuple[Shelf, Standing]:
    """The large configuration as it was published first."""
    shelf, standing = _large()
    return shelf.copy(), standing


def changed(config: Config, *entries: Entry, without: frozenset[str] = frozenset()) -> Config:
    """The same entries, but for these."""
    kept: dict[str, Entry] = {i: e for i, e in config.entries.items() if i not in without}
    return config_of(kept | {entry.id: entry for entry in entries})


def same(left: Config, right: Config) -> bool:
    return dict(left.entries) == dict(right.entries) and left.revisions == right.revisions


def test_the_secrets_have_the_names_that_a_role_can_list() -> None:
    assert secret_names("sluicegate")[:2] == ("sluicegate", "sluicegate-00")
    assert secret_names("sluicegate")[-1] == "sluicegate-15"
    assert len(secret_names("sluicegate")) == 17


def test_every_shard_gets_its_part() -> None:
    assert {shard_of(entry_id) for entry_id in LARGE.entries} == set(range(16))


def test_a_small_bundle_is_one_write() -> None:
    shelf = Shelf()
    published(shelf, SMALL)
    assert shelf.log == [None]
    bundle = shelf.read()
    assert same(bundle.config, SMALL)
    assert missing(bundle.index, shelf.index or {}, None) == ()
    assert sum(map(len, bundle.packed)) <= INLINE_LIMIT


def test_a_large_bundle_is_written_with_the_index_last() -> None:
    shelf = Shelf()
    published(shelf, LARGE)
    assert shelf.log == [*range(16), None]
    bundle = shelf.read()
    assert same(bundle.config, LARGE)
    assert missing(bundle.index, shelf.index or {}, None) == tuple(range(16))
    assert sum(map(len, bundle.packed)) > INLINE_LIMIT


def test_an_empty_configuration_is_a_bundle() -> None:
    shelf = Shelf()
    published(shelf, Config({}, {}))
    assert shelf.read().index.revision == "0" * 12
    assert shelf.read().config.entries == {}


def test_the_index_is_plain_json_that_holds_no_secret() -> None:
    shelf, _ = large_shelf()
    read: dict[str, Any] = msgspec.json.decode((shelf.index or {})["index"])
    assert {name: read[name] for name in ("schemaVersion", "epoch", "sequence", "inline")} == {
        "schemaVersion": 1,
        "epoch": "epoch-1",
        "sequence": 1,
        "inline": False,
    }
    assert read["revision"] == revision_of(LARGE)
    assert len(read["shards"]) == 16
    assert not any(SECRET.encode() in value for value in (shelf.index or {}).values())


def test_a_content_is_gzip_of_canonical_json_by_entry_id() -> None:
    shelf = Shelf()
    published(shelf, SMALL)
    entries: dict[str, Any] = {}
    for packed in shelf.read().shards().values():
        entries |= msgspec.json.decode(gzip.decompress(packed))
    assert entries.keys() == SMALL.entries.keys()
    assert entries["ak/team/a"]["entry"] == "ClientKey"


@given(configs, configs)
def test_any_change_is_read_as_what_was_published(first: Config, second: Config) -> None:
    shelf = Shelf()
    standing = published(shelf, first)
    held = shelf.read()
    published(shelf, second, standing)
    after = shelf.read(held)
    assert same(after.config, second)
    assert same(shelf.read().config, second)
    assert after.index.revision == revision_of(second) == revision_of(after.config)
    for entry_id, entry in after.config.entries.items():
        if held.config.entries.get(entry_id) == entry:
            assert entry is held.config.entries[entry_id]


@given(configs, configs)
def test_any_changes_of_a_large_bundle_are_one_write(first: Config, second: Config) -> None:
    """And may be undone by the next one: an entry is as its shard has it again."""
    shelf, standing = large_shelf()
    held = shelf.read()
    shelf.log.clear()
    for entries, without in ((first, {"ak/team/k00001"}), (second, {"ak/team/k00002"})):
        config = changed(LARGE, *entries.entries.values(), without=frozenset(without))
        standing = published(shelf, config, standing)
        before, held = held, shelf.read(held)
        assert same(held.config, config)
        assert same(shelf.read().config, config)
        assert missing(held.index, shelf.index or {}, before) == ()
        assert all(
            entry is before.config.entries[entry_id]
            for entry_id, entry in held.config.entries.items()
            if before.config.entries.get(entry_id) == entry
        )
    assert shelf.log == [None, None]
    standing = published(shelf, standing.config, standing, fold=True)
    assert read_index(shelf.index or {}).changes is None
    assert same(shelf.read(held).config, standing.config)
    assert plan(standing, standing.config, fold=True) is None


def test_a_reader_follows_a_writer_who_forgets_a_change() -> None:
    """Shards and changes are what an index says, whatever came before it."""
    shelf, standing = large_shelf()
    new = key_entry("new")
    config = changed(
        LARGE, new, key_entry("k00003", revoked=True), without=frozenset(["md/team/d00001"])
    )
    published(shelf, config, standing)
    held = shelf.read()
    published(shelf, changed(LARGE, key_entry("k00004", revoked=True)), standing)
    after = shelf.read(held).config
    assert same(after, shelf.read().config)
    assert new.id not in after.entries
    assert after.entries["ak/team/k00003"] == LARGE.entries["ak/team/k00003"]
    assert "md/team/d00001" in after.entries


def test_many_changes_go_into_the_shards() -> None:
    shelf, standing = large_shelf()
    shelf.log.clear()
    few = changed(LARGE, *(key_entry(f"n{number}") for number in range(CHANGES_LIMIT)))
    standing = published(shelf, few, standing)
    assert shelf.log == [None]
    standing = published(shelf, changed(few, key_entry("one more")), standing)
    assert shelf.log == [None, *range(16), None]
    assert read_index(shelf.index or {}).changes is None


def test_large_changes_go_into_the_shards() -> None:
    shelf, standing = large_shelf()
    shelf.log.clear()
    huge: ClientKey = replace(key_entry("huge"), tags={"note": incompressible(2 * CHANGES_OCTETS)})
    published(shelf, changed(LARGE, huge), standing)
    assert shelf.log == [shard_of(huge.id), None]
    assert same(shelf.read().config, changed(LARGE, huge))


def test_a_fold_costs_the_shards_with_a_change() -> None:
    shelf, standing = large_shelf()
    held = shelf.read()
    shelf.log.clear()
    revoked = replace(LARGE.entries["ak/team/k00007"], revoked=True)
    published(shelf, changed(LARGE, revoked), standing, fold=True)
    number = shard_of("ak/team/k00007")
    assert shelf.log == [number, None]
    index = read_index(shelf.index or {})
    assert missing(index, shelf.index or {}, held) == (number,)
    after = done(assemble_steps(index, shelf.shards[number], held)).config
    assert after.entries["ak/team/k00007"] == revoked
    others = [i for i in LARGE.entries if i != "ak/team/k00007"]
    assert all(after.entries[i] is held.config.entries[i] for i in others)


def test_what_does_not_differ_is_not_published_again() -> None:
    shelf = Shelf()
    standing = published(shelf, SMALL)
    assert plan(standing, SMALL) is None
    assert plan(shelf.standing(), config_of(dict(SMALL.entries))) is None


@settings(max_examples=40)  # each one publishes thousands of entries
@given(configs, configs, st.data())
def test_a_reader_at_any_moment_finds_the_old_or_the_new(
    first: Config, second: Config, data: st.DataObject
) -> None:
    """Both in shards, whatever the order of their writes, and whichever index it has seen."""
    shelf, standing = large_shelf()
    standing = published(shelf, changed(LARGE, *first.entries.values()), standing)
    old_config, old = standing.config, dict(shelf.index or {})
    new_config = changed(LARGE, *second.entries.values())
    publication = plan(standing, new_config, fold=data.draw(st.booleans()))
    if publication is None:
        return
    writes = data.draw(st.permutations(publication.shards))
    for write in writes[: data.draw(st.integers(0, len(writes)))]:
        shelf.write(write)
        assert same(shelf.read().config, old_config)
    for write in writes:
        shelf.write(write)
    shelf.write(publication.index)
    assert same(shelf.read().config, new_config)
    assert same(shelf.read(index=old).config, old_config)


def test_a_publication_that_failed_leaves_nothing_that_a_later_one_relies_on() -> None:
    """The way back: what stood in a shard before the failure is not there any more."""
    shelf, standing = large_shelf()
    aside = changed(LARGE, key_entry("k00007", revoked=True))
    standing = published(shelf, aside, standing, fold=True)
    failed = plan(standing, changed(LARGE, replace(key_entry("k00007"), expires_at=1)), fold=True)
    assert failed is not None
    shelf.write(failed.shards[0])
    published(shelf, LARGE, standing, fold=True)
    assert same(shelf.read().config, LARGE)


@settings(max_examples=20)  # as above
@given(st.lists(st.sampled_from([SMALL, LARGE]), min_size=1, max_size=5))
def test_a_bundle_may_grow_out_of_the_index_and_back(course: list[Config]) -> None:
    shelf = Shelf()
    standing = Standing.nothing()
    for config in course:
        standing = published(shelf, config, standing)
        assert same(shelf.read().config, config)
        assert same(shelf.standing().config, config)
        assert shelf.standing().names == standing.names


@pytest.mark.parametrize("last", [SMALL, LARGE], ids=["inline", "in shards"])
def test_superseded_contents_can_be_tidied_away(last: Config) -> None:
    shelf = Shelf()
    rotated = replace(deployment_entry("d00001"), weight=7)
    standing = published(shelf, LARGE)
    standing = published(shelf, changed(LARGE, rotated), standing, fold=True)
    standing = published(shelf, last, standing)
    writes, standing = tidying(standing)
    for write in writes:
        shelf.write(write)
    assert same(shelf.read().config, last)
    named = {shard.digest for shard in read_index(shelf.index or {}).shards if shard is not None}
    assert {name for data in shelf.shards for name in data} == (named if last is LARGE else set())
    assert shelf.standing().names == standing.names
    assert not tidying(standing)[0]


def test_the_sequence_is_above_all_that_gateways_have_told_of() -> None:
    standing = published(Shelf(), SMALL)
    stamp = next_stamp(standing, new_epoch="other", highest_seen=41, now=5.0)
    assert stamp == ("epoch-1", 42, 5.0)
    first = next_stamp(Standing.nothing(), new_epoch="other", highest_seen=0, now=5.0)
    assert first == ("other", 1, 5.0)


# --- what is refused ------------------------------------------------------------------------------


def reason(shelf: Shelf) -> str:
    with pytest.raises(Refused) as refused:
        shelf.read()
    assert SECRET not in str(refused.value)
    return refused.value.reason


def forged(shelf: Shelf, **fields: object) -> None:
    """The same Secret with another index, its checksum right."""
    assert shelf.index is not None
    text: dict[str, Any] = msgspec.json.decode(shelf.index["index"])
    index = msgspec.convert({**text, **fields}, Index)
    shelf.index |= index_data(index, {})


def test_a_secret_without_an_index_is_refused() -> None:
    assert reason(Shelf()) == "NoIndex"


def test_another_schema_is_refused_before_anything_else_is_read() -> None:
    shelf = Shelf()
    published(shelf, SMALL)
    forged(shelf, schemaVersion=2)
    assert reason(shelf) == "UnknownSchemaVersion"
    with pytest.raises(Refused):
        shelf.standing()


def test_what_a_newer_version_may_add_to_the_index_is_left_to_it() -> None:
    shelf = Shelf()
    published(shelf, SMALL)
    assert shelf.index is not None
    text = shelf.index["index"].replace(b"{", b'{"later":1,', 1)
    old = read_index(shelf.index)
    index = msgspec.json.decode(text, type=Index)
    assert index == old


def test_a_torn_set_is_refused_and_told_which_shard() -> None:
    shelf, _ = large_shelf()
    shelf.shards[5] = {}
    with pytest.raises(Refused, match="shard 05") as refused:
        shelf.read()
    assert refused.value.reason == "Torn"


@pytest.mark.parametrize("config", [SMALL, LARGE], ids=["inline", "in shards"])
@given(data=st.data())
def test_any_corruption_is_refused_or_of_no_effect(config: Config, data: st.DataObject) -> None:
    if config is LARGE:
        shelf, standing = large_shelf()
        config = changed(LARGE, key_entry("changed"))
        published(shelf, config, standing)
    else:
        shelf = Shelf()
        published(shelf, config)
    secrets = [s for s in (shelf.index or {}, *shelf.shards) if s]
    secret = secrets[data.draw(st.integers(0, len(secrets) - 1))]
    name = data.draw(st.sampled_from(sorted(secret)))
    octets = bytearray(secret[name])
    match data.draw(st.sampled_from(["flip", "cut", "append", "repeat", "swap"])):
        case "flip":
            position = data.draw(st.integers(0, len(octets) - 1))
            octets[position] ^= data.draw(st.integers(1, 255))
        case "cut":
            del octets[data.draw(st.integers(0, len(octets) - 1)) :]
        case "append":
            octets += data.draw(st.binary(min_size=1, max_size=30))
        case "repeat":
            octets = octets * 2
        case _:
            octets = bytearray(secret[data.draw(st.sampled_from(sorted(secret)))])
    secret[name] = bytes(octets)
    try:
        bundle = shelf.read()
    except Refused as refused:
        assert SECRET not in str(refused)  # noqa: PT017 -- either end is right
    else:
        assert same(bundle.config, config)


def test_a_shard_of_another_revision_is_refused() -> None:
    shelf = Shelf()
    published(shelf, SMALL)
    forged(shelf, revision="123456789abc")
    assert reason(shelf) == "Corrupt"


def test_a_content_that_expands_beyond_its_size_is_not_expanded() -> None:
    shelf = Shelf()
    published(shelf, SMALL)
    index = read_index(shelf.index or {})
    shard = next(shard for shard in index.shards if shard is not None)
    assert shelf.index is not None
    shelf.index[shard.digest] = gzip.compress(b"0" * 200_000_000, 9)
    steps = assemble_steps(index, shelf.contents(), None)
    with pytest.raises(Refused):
        assert len(list(itertools.islice(steps, 100))) < 100


@pytest.mark.parametrize(
    ("entry", "place"),
    [
        (
            {"entry": "ClientKey", "namespace": "team", "name": "a", "digests": [], "new": SECRET},
            "",
        ),
        ({"entry": "Gadget", "namespace": "team", "name": "a", "secret": SECRET}, ""),
        ({"entry": "ClientKey", "namespace": "team", "name": "a", "digests": SECRET}, "digests"),
    ],
    ids=["a new field", "a new kind", "another type"],
)
def test_an_entry_of_a_newer_version_is_named_without_its_values(
    entry: dict[str, object], place: str
) -> None:
    shelf = shelf_with("ak/team/a", msgspec.json.encode(entry))
    with pytest.raises(Refused, match="ak/team/a") as refused:
        shelf.read()
    assert refused.value.reason == "UnknownEntry"
    assert place in str(refused.value)
    assert SECRET not in str(refused.value)


def test_an_entry_under_another_id_is_refused() -> None:
    entry = msgspec.json.encode(key_entry("somebody-else"))
    assert reason(shelf_with("ak/team/a", entry)) == "Corrupt"


def shelf_with(entry_id: str, entry: bytes) -> Shelf:
    """An index that names a shard with this entry as its content."""
    shelf = Shelf()
    published(shelf, SMALL)
    content = msgspec.json.encode({entry_id: msgspec.Raw(entry)})
    digest = hashlib.sha256(content).hexdigest()
    number = shard_of(entry_id)
    read: dict[str, Any] = msgspec.json.decode((shelf.index or {})["index"])
    shards: list[object] = read["shards"]
    shards[number] = {"digest": digest, "size": len(content)}
    forged(shelf, shards=shards)
    shelf.shards[number] = {digest: gzip.compress(content)}
    return shelf


def test_a_lower_sequence_of_the_epoch_is_refused_and_of_another_epoch_is_not() -> None:
    shelf = Shelf()
    published(shelf, SMALL)
    held = replace(shelf.read().index, sequence=7)
    assert check_newer(held, None)
    assert check_newer(replace(held, sequence=8), held)
    assert not check_newer(held, held)
    assert check_newer(replace(held, sequence=3, epoch="epoch-2"), held)
    for other in (replace(held, sequence=6), replace(held, revision="0" * 12)):
        with pytest.raises(Refused) as refused:
            check_newer(other, held)
        assert refused.value.reason == "OlderSequence"


# --- what an operator reads back ------------------------------------------------------------------


def test_what_stands_is_read_back_after_a_restart() -> None:
    shelf, before = large_shelf()
    after = shelf.standing()
    assert same(after.config, LARGE)
    assert after.names == before.names
    assert plan(after, LARGE) is None
    changes = changed(LARGE, key_entry("new"), without=frozenset(["ak/team/k00001"]))
    standing = published(shelf, changes, after)
    again = shelf.standing()
    assert same(again.config, changes)
    assert plan(again, changes) is None
    assert again.bundle is not None
    assert standing.bundle is not None
    assert again.bundle.changes == standing.bundle.changes
    shelf.log.clear()
    published(shelf, changes, again, fold=True)
    touched = {shard_of("ak/team/new"), shard_of("ak/team/k00001")}
    assert shelf.log == [*sorted(touched), None]


def test_a_damaged_bundle_is_salvaged_and_published_whole_again() -> None:
    shelf, _ = large_shelf()
    shelf.shards[3] = {}
    standing = shelf.standing()
    assert "shard 03" in standing.problem
    assert standing.bundle is None
    lost = [i for i in LARGE.entries if shard_of(i) == 3]
    assert LARGE.entries.keys() - standing.config.entries.keys() == set(lost)
    published(shelf, LARGE, standing)
    assert same(shelf.read().config, LARGE)
    assert shelf.read().index.sequence == 2


def test_a_lost_index_begins_a_new_epoch() -> None:
    shelf, standing = large_shelf()
    shelf.index = None
    stamp = next_stamp(shelf.standing(), new_epoch="epoch-2", highest_seen=1, now=0.0)
    publication = done(plan_steps(shelf.standing(), LARGE, stamp))
    assert publication is not None
    shelf.write_all(publication)
    assert same(shelf.read().config, LARGE)
    assert check_newer(shelf.read().index, standing.index)


def test_changes_are_salvaged_too() -> None:
    shelf, standing = large_shelf()
    revoked = key_entry("k00007", revoked=True)
    published(shelf, changed(LARGE, revoked, without=frozenset(["ak/team/k00008"])), standing)
    lost = next(number for number in range(16) if number != shard_of(revoked.id))
    shelf.shards[lost] = {}
    salvaged = shelf.standing()
    assert salvaged.bundle is None
    assert salvaged.config.entries[revoked.id] == revoked
    assert "ak/team/k00008" not in salvaged.config.entries


def test_a_damaged_index_is_told() -> None:
    shelf = Shelf()
    published(shelf, SMALL)
    assert shelf.index is not None
    shelf.index["index"] = b"{}"
    assert "checksum" in shelf.standing().problem


# --- sizes ----------------------------------------------------------------------------------------


def test_two_contents_of_the_largest_size_fit_into_a_secret() -> None:
    assert 2 * SHARD_LIMIT + 2 * 64 < 1024 * 1024


def test_a_shard_that_is_too_large_names_its_largest_entries() -> None:
    tags = {"note": incompressible(SHARD_LIMIT * 3 // 2)}
    huge: ClientKey = replace(key_entry("huge"), tags=tags)
    with pytest.raises(TooLarge, match=r"ak/team/huge \(\d+ octets\)") as error:
        plan(Standing.nothing(), changed(LARGE, huge))
    assert tags["note"][:20] not in str(error.value)


def test_no_representation_shows_a_secret() -> None:
    shelf = Shelf()
    standing = published(shelf, SMALL)
    publication = plan(Standing.nothing(), SMALL)
    values: tuple[object, ...] = (
        standing,
        standing.bundle,
        publication,
        SecretData(None, {"x": SECRET.encode()}),
    )
    for value in values:
        assert SECRET not in repr(value)
        assert "\\x" not in repr(value)


def test_what_stays_raw_in_an_entry_does_not_keep_its_shard() -> None:
    shelf, _ = large_shelf()
    entry = shelf.read().config.entries["md/team/d00001"]
    assert isinstance(entry, Deployment)
    raw = entry.parameters.defaults["text"]
    assert bytes(raw) == b'{"a": "\\n line"}'

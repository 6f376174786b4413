"""Keys that the gateway mints for itself: where they lie, who may read them, what survives."""

import logging
import os
import stat
import threading
from pathlib import Path

import pytest

from sluicegate.auth.keys import key_id, mint
from sluicegate.compile import Rotation, WantedKey
from sluicegate.source.keystore import (
    KeyRefused,
    KeyStore,
    StoredKey,
    default_state_dir,
)

NOW = 1_800_000_000


def wanted(
    secret_name: str = "search-key",
    *,
    name: str = "search",
    namespace: str = "team",
    rotation: Rotation | None = None,
) -> WantedKey:
    return WantedKey(namespace, name, secret_name, rotation)


def obtain(state: Path, one: WantedKey, now: float = NOW) -> StoredKey:
    (result,) = KeyStore(state).obtain([one], now)
    assert isinstance(result, StoredKey), result
    return result


def refusal(state: Path, one: WantedKey) -> str:
    (result,) = KeyStore(state).obtain([one], NOW)
    assert isinstance(result, KeyRefused)
    return result.message


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_key_is_minted_once_and_found_again_after_a_restart(tmp_path: Path) -> None:
    first = obtain(tmp_path, wanted())
    assert key_id(first.key)
    assert obtain(tmp_path, wanted()) == first
    path = tmp_path / "keys/team/search-key"
    assert path.read_text() == first.key + "\n"
    assert first.name == "search"
    assert first.previous_key is None


def test_only_the_owner_can_read_it_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        obtain(tmp_path / "state", wanted())
    finally:
        os.umask(before)
    for folder in ("", "keys", "keys/team"):
        assert mode(tmp_path / "state" / folder) == 0o700
    files = [path for path in (tmp_path / "state").rglob("*") if path.is_file()]
    assert {path.name for path in files} == {"search-key", ".search-key.json"}
    assert {mode(path) for path in files} == {0o600}


def test_minting_logs_the_path_once_and_never_the_key(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    stored = obtain(tmp_path, wanted())
    obtain(tmp_path, wanted())
    lines = [record.getMessage() for record in caplog.records]
    assert lines == [f"client key minted: {tmp_path / 'keys/team/search-key'}"]
    everything = "".join(str(vars(record)) for record in caplog.records) + repr(stored)
    assert stored.key not in everything
    assert stored.key.split("-")[3] not in everything


def test_a_mode_that_lets_others_read_is_repaired_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    stored = obtain(tmp_path, wanted())
    path = tmp_path / "keys/team/search-key"
    path.chmod(0o644)
    assert obtain(tmp_path, wanted()) == stored
    assert mode(path) == 0o600
    warnings = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warnings) == 1
    assert "0644" in warnings[0].getMessage()


def test_keys_of_different_namespaces_and_names_are_different(tmp_path: Path) -> None:
    many = [wanted(), wanted("other"), wanted(namespace="b"), wanted("search-key.json")]
    results = KeyStore(tmp_path).obtain(many, NOW)
    keys = {one.key for one in results if isinstance(one, StoredKey)}
    assert len(keys) == len(many)


def test_a_later_rotation_mints_a_new_key_and_keeps_the_old_one_for_the_overlap(
    tmp_path: Path,
) -> None:
    first = obtain(tmp_path, wanted())
    asked = wanted(rotation=Rotation(NOW - 5, 3600.0))
    second = obtain(tmp_path, asked)
    assert second.key != first.key
    assert (second.previous_key, second.previous_not_after) == (first.key, NOW + 3600)
    assert obtain(tmp_path, asked, NOW + 50) == second  # asked for once, done once
    earlier = wanted(rotation=Rotation(NOW - 60, 3600.0))
    assert obtain(tmp_path, earlier) == second  # as after a revert in Git
    assert obtain(tmp_path, wanted()) == second
    third = obtain(tmp_path, wanted(rotation=Rotation(NOW, 60.0)), NOW + 100)
    assert (third.previous_key, third.previous_not_after) == (second.key, NOW + 160)


def test_a_rotation_that_was_asked_for_before_the_first_key_needs_no_second(
    tmp_path: Path,
) -> None:
    asked = wanted(rotation=Rotation(NOW - 5, 3600.0))
    first = obtain(tmp_path, asked)
    assert first.previous_key is None
    assert obtain(tmp_path, asked) == first


def test_a_rotation_that_was_cut_off_half_way_is_finished(tmp_path: Path) -> None:
    first = obtain(tmp_path, wanted())
    asked = wanted(rotation=Rotation(NOW, 60.0))
    second = obtain(tmp_path, asked)
    (tmp_path / "keys/team/search-key").write_text(first.key + "\n")  # as before the last write
    third = obtain(tmp_path, asked, NOW + 9)
    assert third.key not in {first.key, second.key}
    assert (third.previous_key, third.previous_not_after) == (first.key, NOW + 60)


def test_a_key_that_was_cut_off_before_it_was_recorded_is_kept(tmp_path: Path) -> None:
    first = obtain(tmp_path, wanted())
    (tmp_path / "keys/team/.search-key.json").unlink()
    assert obtain(tmp_path, wanted(rotation=Rotation(NOW, 60.0))).key == first.key
    (tmp_path / "keys/team/search-key").unlink()
    assert obtain(tmp_path, wanted()).key != first.key


def test_a_key_of_ones_own_may_be_put_there(tmp_path: Path) -> None:
    (tmp_path / "keys/team").mkdir(parents=True)
    (tmp_path / "keys/team/search-key").write_text("a key of my own?".replace(" ", "-") + "\r\n")
    assert obtain(tmp_path, wanted()).key == "a-key-of-my-own?"


def test_another_objects_key_is_not_adopted(tmp_path: Path) -> None:
    first = obtain(tmp_path, wanted())
    again = obtain(tmp_path, wanted(name="impostor", rotation=Rotation(NOW, 0.0)))
    assert (again.name, again.key) == ("search", first.key)


@pytest.mark.parametrize("content", ["", "\n", "short\n", "x" * 600, "two\nlines-of-something\n"])
def test_a_damaged_key_is_refused_not_replaced(tmp_path: Path, content: str) -> None:
    obtain(tmp_path, wanted())
    path = tmp_path / "keys/team/search-key"
    path.write_text(content)
    message = refusal(tmp_path, wanted())
    assert str(path) in message
    assert "delete the file" in message
    assert path.read_text() == content


def test_a_damaged_record_is_refused(tmp_path: Path) -> None:
    obtain(tmp_path, wanted())
    for content in ("", "[]", '{"apiKey": 5}', "\udcff"):
        (tmp_path / "keys/team/.search-key.json").write_text(content, errors="surrogateescape")
        assert "is damaged" in refusal(tmp_path, wanted())


def test_links_and_folders_in_a_keys_place_are_refused(tmp_path: Path) -> None:
    key = mint()
    (tmp_path / "elsewhere").write_text(key)
    (tmp_path / "keys/team").mkdir(parents=True)
    (tmp_path / "keys/team/a").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "keys/team/b").mkdir()
    os.mkfifo(tmp_path / "keys/team/c", 0o600)
    for name in ("a", "b", "c"):
        assert key not in refusal(tmp_path, wanted(name))


@pytest.mark.parametrize("name", ["..", "../../etc/x", "a/b", ".hidden", "", "A", "a..b", "a\0"])
def test_a_name_that_leads_elsewhere_is_refused(tmp_path: Path, name: str) -> None:
    assert "no name" in refusal(tmp_path, wanted(name))
    assert "no name" in refusal(tmp_path, wanted(namespace=name))
    assert list((tmp_path / "keys").iterdir()) == []


def test_a_state_directory_that_cannot_be_written_says_so_for_each_key(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    results = KeyStore(tmp_path / "file/state").obtain([wanted(), wanted("b")], NOW)
    for result in results:
        assert isinstance(result, KeyRefused)
        assert "SLUICEGATE_STATE_DIR" in result.message
        assert str(tmp_path) in result.message


def test_one_key_that_cannot_be_had_does_not_stop_the_others(tmp_path: Path) -> None:
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys/blocked").write_text("")
    bad, good = KeyStore(tmp_path).obtain([wanted(namespace="blocked"), wanted()], NOW)
    assert isinstance(bad, KeyRefused)
    assert isinstance(good, StoredKey)


def test_gateways_that_share_a_state_directory_agree_on_one_key(tmp_path: Path) -> None:
    results: list[StoredKey | KeyRefused] = []
    start = threading.Barrier(8)

    def gateway() -> None:
        start.wait()
        results.extend(KeyStore(tmp_path / "state").obtain([wanted()], NOW))

    threads = [threading.Thread(target=gateway) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({one.key for one in results if isinstance(one, StoredKey)}) == 1
    assert len(results) == 8


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"SLUICEGATE_STATE_DIR": "/s", "XDG_STATE_HOME": "/x", "HOME": "/h"}, "/s"),
        ({"XDG_STATE_HOME": "/x", "HOME": "/h"}, "/x/sluicegate"),
        ({"XDG_STATE_HOME": "relative", "HOME": "/h"}, "/h/.local/state/sluicegate"),
        ({"SLUICEGATE_STATE_DIR": "", "HOME": "/h"}, "/h/.local/state/sluicegate"),
        ({}, "/var/lib/sluicegate"),
    ],
)
def test_where_the_state_directory_is(environ: dict[str, str], expected: str) -> None:
    assert default_state_dir(environ) == Path(expected)

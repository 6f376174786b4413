"""Both databases keep the same promises."""

from __future__ import annotations

import resource
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path

import psycopg
import pytest

from ledger_records import NOON, encoded, record
from postgres_process import PostgresProcess
from sluicegate.ledger.ledger import BadStoreUrl, reader_of, store_of
from sluicegate.ledger.store import Grouping, NoLedger, RowsRefused, Store, StoreUnavailable

NOWHERE = Path("/nonexistent")


@pytest.fixture
def store(store_url: str) -> Iterator[Store]:
    store = store_of(store_url, NOWHERE)
    store.open()
    yield store
    store.close()


def sums(url: str, by: Grouping, since: float | None = None) -> dict[str | None, str]:
    reader = reader_of(url, NOWHERE)
    found = {each.name: f"{each.calls} {each.cost_usd:f}" for each in reader.sums(by, since)}
    reader.close()
    return found


def test_a_row_is_what_was_recorded(store: Store, store_url: str) -> None:
    store.add(encoded(record(end_user="ann", tags={"team": "a", "cost centre": "ö"})))
    reader = reader_of(store_url, NOWHERE)
    total = reader.total(None)
    assert total == (None, 1, 1000, 100, 200, Decimal("0.0045"), 0, 0)
    assert [each.name for each in reader.sums("key", None)] == ["team-a/laptop"]
    assert [each.name for each in reader.sums("end-user", None)] == ["ann"]
    assert [each.name for each in reader.sums("model", None)] == ["gpt"]
    assert [each.name for each in reader.sums("day", None)] == ["2026-11-21"]
    assert {each.name for each in reader.sums("tag", None)} == {"team=a", "cost centre=ö"}
    reader.close()


def test_a_replay_changes_nothing(store: Store, store_url: str) -> None:
    first, second = record(), record()
    store.add(encoded(first))
    store.add(encoded(first, second, first))
    assert sums(store_url, "model") == {"gpt": "2 0.0090"}


def test_what_is_unknown_is_null_and_counted(store: Store, store_url: str) -> None:
    none = {"input_tokens": 0, "output_tokens": 0}
    store.add(
        encoded(
            record(cost_usd=None),
            record(cost_usd=Decimal("1.25"), estimated=True),
            record(cost_usd=None, status="server_error", **none),
            record(key=None, key_id=None),
        )
    )
    reader = reader_of(store_url, NOWHERE)
    total = reader.total(None)
    assert (total.calls, total.cost_usd, total.unpriced, total.estimated) == (
        4,
        Decimal("1.2545"),
        1,
        1,
    )
    assert {each.name for each in reader.sums("key", None)} == {None, "team-a/laptop"}
    assert [each.name for each in reader.sums("end-user", None)] == [None]
    assert [each.name for each in reader.sums("tag", None)] == [None]
    reader.close()


def test_sums_are_exact(store: Store, store_url: str) -> None:
    store.add(encoded(*(record(cost_usd=Decimal("0.0000000001")) for _ in range(1000))))
    store.add(encoded(record(cost_usd=Decimal("123456789.1"))))
    assert sums(store_url, "model") == {"gpt": "1001 123456789.1000001000"}


def test_since(store: Store, store_url: str) -> None:
    store.add(encoded(record(time=NOON - 86_400), record(), record(time=NOON + 86_400)))
    assert sums(store_url, "day", NOON) == {"2026-11-21": "1 0.0045", "2026-11-22": "1 0.0045"}
    assert sums(store_url, "day", NOON + 86_401) == {}


def test_a_total_of_nothing(store: Store, store_url: str) -> None:
    reader = reader_of(store_url, NOWHERE)
    assert reader.total(NOON) == (None, 0, 0, 0, 0, 0, 0, 0)
    reader.close()
    store.close()


def test_several_starters_make_the_tables_once(store_url: str) -> None:
    together = threading.Barrier(8)

    def start(_: int) -> None:
        store = store_of(store_url, NOWHERE)
        together.wait()
        store.open()
        store.add(encoded(record()))
        store.close()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(start, range(8)))
    assert sums(store_url, "model") == {"gpt": "8 0.0360"}


def test_open_again(store: Store, store_url: str) -> None:
    store.add(encoded(record()))
    store.close()
    store.open()
    store.add(encoded(record()))
    assert sums(store_url, "model") == {"gpt": "2 0.0090"}


def test_a_row_that_can_not_be_stored_is_refused_whole(store: Store, store_url: str) -> None:
    with pytest.raises(RowsRefused):
        store.add([*encoded(record()), b'["no record"]'])
    assert sums(store_url, "model") == {}
    store.add(encoded(record()))  # the connection is still good


def test_no_ledger_yet(store_url: str) -> None:
    with pytest.raises(NoLedger):
        reader_of(store_url, NOWHERE).sums("model", None)


def test_a_closed_store_is_unavailable(store: Store) -> None:
    store.close()
    with pytest.raises(StoreUnavailable):
        store.add(encoded(record()))


def test_nobody_listens() -> None:
    store = store_of("postgresql://me:hunter2@127.0.0.1:1/db", NOWHERE)
    with pytest.raises(StoreUnavailable) as caught:
        store.open()
    assert "hunter2" not in f"{caught.value} {store!r}"


def test_a_wrong_password_is_not_repeated(postgres: PostgresProcess) -> None:
    url = postgres.url().replace("word-of-the-tests", "wrong-word")
    with pytest.raises(StoreUnavailable, match="authentication") as caught:
        store_of(url, NOWHERE).open()
    assert "wrong-word" not in str(caught.value)


def test_a_role_without_rights_uses_tables_that_are_there(postgres: PostgresProcess) -> None:
    url = postgres.new_database()
    owner = store_of(url, NOWHERE)
    owner.open()
    owner.close()
    name = url.rpartition("/")[2]
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"CREATE ROLE writer_{name} LOGIN PASSWORD 'w'".encode())
        for right in ("SELECT, INSERT ON sluicegate_calls", "SELECT ON sluicegate_schema"):
            connection.execute(f"GRANT {right} TO writer_{name}".encode())
    store = store_of(url.replace("sluicegate:word-of-the-tests", f"writer_{name}:w"), NOWHERE)
    store.open()
    store.add(encoded(record()))
    store.close()
    assert sums(url, "model") == {"gpt": "1 0.0045"}


@pytest.mark.parametrize(
    "url", ["mysql://me:hunter2@host/db", "hunter2", "sqlite://relative/hunter2", "http://[hunter2"]
)
def test_a_url_that_can_not_be_meant(url: str) -> None:
    with pytest.raises(BadStoreUrl) as caught:
        store_of(url, NOWHERE)
    assert "hunter2" not in str(caught.value)


def test_a_url_that_postgresql_does_not_understand() -> None:
    store = store_of("postgresql://me:hunter2@host/db?what=ever", NOWHERE)
    with pytest.raises(StoreUnavailable) as caught:
        store.open()
    assert "hunter2" not in str(caught.value)


def test_the_file_is_made_with_its_folders(tmp_path: Path) -> None:
    store = store_of(None, tmp_path / "a" / "b")
    store.open()
    store.close()
    path = tmp_path / "a" / "b" / "ledger.sqlite3"
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    (tmp_path / "ledger.sqlite3").write_bytes(b"no database at all" * 100)
    with pytest.raises(StoreUnavailable):
        store_of(None, tmp_path).open()


def test_a_path_that_can_not_be_looked_at(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match=r"ledger\.sqlite3: File name too long$"):
        reader_of(None, tmp_path / ("a" * 300))


def test_a_disk_that_is_full_from_the_start(tmp_path: Path) -> None:
    store = store_of(None, tmp_path)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(StoreUnavailable, match="disk I/O error"):
            store.open()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    store.open()
    store.close()

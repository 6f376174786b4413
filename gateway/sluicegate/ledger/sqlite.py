"""The ledger in an SQLite file: one machine's gateways."""

from __future__ import annotations

import contextlib
import fcntl
import sqlite3
from collections.abc import Generator, Iterator, Sequence
from decimal import Decimal
from pathlib import Path

import msgspec

from sluicegate.ledger.schema import COLUMNS, SQLITE_MIGRATIONS, TABLE, sqlite_insert
from sluicegate.ledger.store import (
    GROUPS,
    NOTHING_SPENT,
    Grouping,
    NoLedger,
    Pairing,
    RowsRefused,
    Spend,
    StoreUnavailable,
    spend_of,
    sums_statement,
    time_condition,
)

_PATIENCE = 10.0  # seconds that a lock of another process is waited for
# KiB of memory. Rows come in the order of time, and so does what their indexes grow by: more pages
# than these would only be kept.
_CACHE = 512
# Rows of one statement, the most first. SQLite works on many without the interpreter's lock, which
# is taken for a tenth of a millisecond to hand it 64; with JSON functions a row takes three times
# as long (measured).
_AT_ONCE = (64, 8, 1)
_WIDTH = len(COLUMNS)
_TAGS_AT = COLUMNS.index("tags")
_decode = msgspec.json.Decoder(list[list[object]]).decode
_encode = msgspec.json.Encoder().encode
# What a row that no column takes raises: of the wrong form, type, length or size.
_REFUSED = (
    *(sqlite3.IntegrityError, sqlite3.DataError, sqlite3.InterfaceError),
    *(sqlite3.ProgrammingError, msgspec.DecodeError, UnicodeError, OverflowError),
)
_GROUPS = {**GROUPS, "day": "date(time, 'unixepoch')"}
_TAGS = f" LEFT JOIN json_each({TABLE}.tags) AS tag"


class SqliteStore:
    """See Store. The file and its folder are made where they are missing."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection: sqlite3.Connection | None = None

    def open(self) -> None:
        """See Store."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with _alone(self._path.with_suffix(".lock")):
                self._path.touch(mode=0o600)  # it names end users
                connection = sqlite3.connect(self._path, timeout=_PATIENCE, isolation_level=None)
                self._connection = connection
                # So that readers and the writer do not wait for one another.
                connection.execute("PRAGMA journal_mode = WAL")
                connection.execute("PRAGMA synchronous = NORMAL")
                connection.execute(f"PRAGMA cache_size = -{_CACHE}")
                self._migrate(connection)
        except (sqlite3.Error, OSError) as error:
            self.close()
            raise StoreUnavailable(f"{self._path}: {error}") from error

    @staticmethod
    def _migrate(connection: sqlite3.Connection) -> None:
        if _version(connection) >= len(SQLITE_MIGRATIONS):
            return
        connection.execute("BEGIN IMMEDIATE")
        try:
            for number, statements in enumerate(SQLITE_MIGRATIONS, 1):
                if number > _version(connection):
                    for statement in statements:
                        connection.execute(statement)
                    connection.execute(f"PRAGMA user_version = {number}")
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:  # SQLite has rolled back by itself where the disk is full
                connection.execute("ROLLBACK")
            raise

    def add(self, rows: Sequence[bytes]) -> None:
        """See Store."""
        if self._connection is None:
            raise StoreUnavailable(f"{self._path} is not open")
        try:
            with self._connection as connection:  # which commits, or rolls back
                connection.execute("BEGIN IMMEDIATE")
                for part in _parts(rows):
                    connection.execute(sqlite_insert(len(part)), _values(part))
        except _REFUSED as error:
            raise RowsRefused(str(error)) from error
        except sqlite3.Error as error:
            raise StoreUnavailable(f"{self._path}: {error}") from error

    def close(self) -> None:
        """See Store."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


class SqliteReader:
    """See Reader. Raises NoLedger where there is no file."""

    def __init__(self, path: Path) -> None:
        try:
            if not path.is_file():
                raise NoLedger(f"there is no ledger at {path} yet")
            self._connection = sqlite3.connect(path, timeout=_PATIENCE, isolation_level=None)
            self._connection.execute("PRAGMA query_only = ON")
        except OSError as error:
            raise StoreUnavailable(f"{path}: {error.strerror}") from error
        except sqlite3.Error as error:
            raise StoreUnavailable(f"{path}: {error}") from error
        self._connection.create_aggregate("decimal_sum", 1, _DecimalSum)  # pyright: ignore[reportArgumentType] # the stub knows sums of integers only
        self._path = path

    def sums(
        self, by: Grouping | Pairing, since: float | None, until: float | None = None
    ) -> list[Spend]:
        """See Reader."""
        return self._ask(_GROUPS[by], since, until, _TAGS if by == "tag" else "")

    def total(self, since: float | None) -> Spend:
        """See Reader."""
        found = self._ask("NULL", since)
        return found[0] if found else NOTHING_SPENT

    def _ask(
        self, group: str, since: float | None, until: float | None = None, source: str = ""
    ) -> list[Spend]:
        when, values = time_condition("?", since, until)
        statement = sums_statement(TABLE, group, "decimal_sum(cost_usd)", when, source)
        try:
            if not _version(self._connection):
                raise NoLedger(f"there is no ledger in {self._path} yet")
            rows = self._connection.execute(statement, values)
            return [spend_of(row) for row in rows.fetchall()]
        except sqlite3.Error as error:
            raise StoreUnavailable(f"{self._path}: {error}") from error

    def close(self) -> None:
        """See Reader."""
        self._connection.close()


def _parts(rows: Sequence[bytes]) -> Iterator[Sequence[bytes]]:
    at = 0
    for size in _AT_ONCE:
        while len(rows) - at >= size:
            yield rows[at : at + size]
            at += size


def _values(rows: Sequence[bytes]) -> list[object]:
    """Of all columns of encoded records, one row after another. Raises msgspec.DecodeError."""
    values: list[object] = []
    for row in _decode(b"[%b]" % b",".join(rows)):
        if len(row) != _WIDTH:
            # A later version appends fields: an older record lacks some, a newer one has more.
            row[_WIDTH:] = [None] * (_WIDTH - len(row))
        row[_TAGS_AT] = _encode(row[_TAGS_AT]).decode()
        values += row
    return values


@contextlib.contextmanager
def _alone(lock: Path) -> Generator[None]:
    """One starter at a time: a change of the journal's mode does not wait for another's."""
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


class _DecimalSum:
    """An exact sum of decimal text."""

    def __init__(self) -> None:
        self._sum = Decimal(0)

    def step(self, value: str | None) -> None:
        """One more number; NULL counts as none."""
        if value is not None:
            self._sum += Decimal(value)

    def finalize(self) -> str:
        """The sum."""
        return str(self._sum)

"""The ledger in PostgreSQL, for gateways on several machines. Imported only where it is used."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlsplit

import psycopg
from psycopg.rows import TupleRow

from sluicegate.ledger.schema import POSTGRES_INSERT, POSTGRES_MIGRATIONS, TABLE
from sluicegate.ledger.store import (
    GROUPS,
    NOTHING_SPENT,
    Grouping,
    NoLedger,
    Pairing,
    RowsRefused,
    Spend,
    StoreUnavailable,
    as_array,
    spend_of,
    sums_statement,
    time_condition,
)

_LOCK = 0x736C75696365  # any number that nobody else takes: "sluice"
_VERSIONS = "sluicegate_schema"
_PART = "ledger"
_CONNECT = 5  # seconds
_SILENCE = 15_000  # milliseconds until a server that is gone without a word is given up
_PATIENCE = b"SET LOCAL statement_timeout = '60s'"
_GROUPS = {**GROUPS, "day": "to_char(time AT TIME ZONE 'UTC', 'YYYY-MM-DD')"}
_TAGS = f" LEFT JOIN LATERAL jsonb_each_text({TABLE}.tags) AS tag ON true"


def _connect(url: str) -> psycopg.Connection[TupleRow]:
    """Raises StoreUnavailable."""
    try:
        return psycopg.connect(
            url,
            autocommit=True,
            connect_timeout=_CONNECT,
            application_name="sluicegate",
            tcp_user_timeout=_SILENCE,
            prepare_threshold=None,  # poolers between us and the server may not keep a session
        )
    except psycopg.Error as error:
        raise StoreUnavailable(_said(url, error)) from error


def _said(url: str, error: psycopg.Error) -> str:
    """What the server or the library says, without the password."""
    if isinstance(error, psycopg.ProgrammingError) and error.sqlstate is None:
        return "its URL is not one that PostgreSQL understands"
    text = " ".join(str(error).split())[:500] or type(error).__name__
    password = urlsplit(url).password
    return text.replace(password, "***") if password else text


class PostgresStore:
    """See Store."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._connection: psycopg.Connection[TupleRow] | None = None

    def __repr__(self) -> str:  # the URL may hold a password
        return "PostgresStore()"

    def open(self) -> None:
        """See Store."""
        self.close()
        connection = self._connection = _connect(self._url)
        try:
            self._migrate(connection)
        except psycopg.Error as error:
            self.close()
            raise StoreUnavailable(_said(self._url, error)) from error

    @staticmethod
    def _migrate(connection: psycopg.Connection[TupleRow]) -> None:
        if _version(connection) >= len(POSTGRES_MIGRATIONS):
            return  # and so a role that may not make tables can use them
        with connection.transaction():
            # One starter at a time; the others then find it done.
            connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
            connection.execute(
                "CREATE TABLE IF NOT EXISTS sluicegate_schema "
                "(part TEXT PRIMARY KEY, version INTEGER NOT NULL)"
            )
            done = _version(connection)
            for statements in POSTGRES_MIGRATIONS[done:]:
                for statement in statements:
                    connection.execute(statement.encode())
            connection.execute(
                "INSERT INTO sluicegate_schema VALUES (%s, %s) "
                "ON CONFLICT (part) DO UPDATE SET version = EXCLUDED.version",
                (_PART, max(done, len(POSTGRES_MIGRATIONS))),
            )

    def add(self, rows: Sequence[bytes]) -> None:
        """See Store."""
        if self._connection is None:
            raise StoreUnavailable("not connected")
        try:
            # Only of this transaction: a pooler may give the session to others.
            with self._connection.transaction():
                self._connection.execute(_PATIENCE)
                self._connection.execute(POSTGRES_INSERT.encode(), (as_array(rows),))
        except (psycopg.DataError, psycopg.IntegrityError, UnicodeDecodeError) as error:
            raise RowsRefused(" ".join(str(error).split())[:200]) from error
        except psycopg.Error as error:
            raise StoreUnavailable(_said(self._url, error)) from error

    def close(self) -> None:
        """See Store."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


class PostgresReader:
    """See Reader. Raises StoreUnavailable, NoLedger."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._connection = _connect(url)
        self._connection.read_only = True
        try:
            there = _version(self._connection)
        except psycopg.Error as error:
            self._connection.close()
            raise StoreUnavailable(_said(url, error)) from error
        if not there:
            self._connection.close()
            raise NoLedger("there is no ledger in this database yet")

    def sums(
        self, by: Grouping | Pairing, since: float | None, until: float | None = None
    ) -> list[Spend]:
        """See Reader."""
        return self._ask(_GROUPS[by], since, until, _TAGS if by == "tag" else "")

    def total(self, since: float | None) -> Spend:
        """See Reader."""
        found = self._ask("NULL::text", since)
        return found[0] if found else NOTHING_SPENT

    def _ask(
        self, group: str, since: float | None, until: float | None = None, source: str = ""
    ) -> list[Spend]:
        when, values = time_condition("to_timestamp(%s)", since, until)
        statement = sums_statement(TABLE, group, "SUM(cost_usd)", when, source)
        try:
            rows = self._connection.execute(statement.encode(), values)
            return [spend_of(row) for row in rows.fetchall()]
        except psycopg.Error as error:
            raise StoreUnavailable(_said(self._url, error)) from error

    def close(self) -> None:
        """See Reader."""
        self._connection.close()


def _version(connection: psycopg.Connection[TupleRow]) -> int:
    """Of the ledger's tables; 0 where there are none. Raises psycopg.Error."""
    found = connection.execute("SELECT to_regclass(%s)", (_VERSIONS,)).fetchone()
    if found is None or found[0] is None:
        return 0
    row = connection.execute(
        "SELECT version FROM sluicegate_schema WHERE part = %s", (_PART,)
    ).fetchone()
    return 0 if row is None else int(row[0])

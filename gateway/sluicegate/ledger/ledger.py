"""The ledger as the gateway sees it: two calls for each upstream call, and how it is doing."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

from sluicegate.ledger.record import CallRecord
from sluicegate.ledger.spool import Spool
from sluicegate.ledger.sqlite import SqliteReader, SqliteStore
from sluicegate.ledger.store import Reader, Store
from sluicegate.ledger.writer import Writer

_POSTGRES = ("postgresql", "postgres")


class BadStoreUrl(ValueError):
    """A store's URL that can't be meant. The message does not repeat it: it may hold a password."""


@dataclass(frozen=True, slots=True)
class LedgerSettings:
    """`store_url` None: an SQLite file in the state folder. `spool_bytes` bounds each spool."""

    state_dir: Path
    store_url: str | None = field(default=None, repr=False)
    spool_bytes: int = 256 * 1024 * 1024


class LedgerState(NamedTuple):
    """How the ledger is doing. `backlog` is in bytes, the others count rows."""

    problems: tuple[str, ...] = ()
    stored: int = 0
    lost: int = 0
    refused: int = 0
    backlog: int = 0


class Ledger:
    """Begin and end of each upstream call go to the spool; the thread carries rows on."""

    def __init__(self, settings: LedgerSettings) -> None:
        self._settings = settings
        root = settings.state_dir / "spool"
        self._spool = Spool(root, settings.spool_bytes)
        self._writer = Writer(root, self._spool, store_of(settings.store_url, settings.state_dir))

    def start(self, loop: asyncio.AbstractEventLoop | None = None) -> None:
        """Make the spool and start the thread. Blocking; what is wrong is in `state`.

        `loop` is where `begin`, `end` and `withdraw` are called. It is asked to try again after a
        write that failed; without it that waits for the next call.
        """
        self._spool.ready()
        self._writer.loop = loop
        self._writer.start()

    def begin(self, record: CallRecord) -> None:
        """A call is about to be sent: the row it gets if the gateway does not live to its end."""
        self._spool.begin(record)

    def end(self, record: CallRecord) -> None:
        """What came of it; before the last byte goes to the client."""
        self._spool.end(record)

    def withdraw(self, id_: str) -> None:
        """It has never been sent, so there is no row."""
        self._spool.withdraw(id_)

    @property
    def caught_up(self) -> bool:
        """Whether the database has what earlier gateways had left in the state folder."""
        return self._writer.caught_up

    def reader(self) -> Reader:
        """Reads this ledger. Blocking. Raises StoreUnavailable, NoLedger."""
        return reader_of(self._settings.store_url, self._settings.state_dir)

    @property
    def state(self) -> LedgerState:
        """Now."""
        spool, writer = self._spool, self._writer
        problems = tuple(each for each in (spool.problem, writer.problem) if each is not None)
        return LedgerState(problems, writer.stored, spool.lost, writer.refused, spool.backlog)

    def stop(self, seconds: float) -> None:
        """Write what there is, for at most so long; the rest waits in the spool. Blocking."""
        self._writer.stop(seconds)


def store_of(url: str | None, state_dir: Path) -> Store:
    """The database that a URL names. Raises BadStoreUrl."""
    path = _sqlite_path(url, state_dir)
    return _postgres("PostgresStore")(url) if path is None else SqliteStore(path)


def reader_of(url: str | None, state_dir: Path) -> Reader:
    """The same, to read. Raises BadStoreUrl, StoreUnavailable, NoLedger."""
    path = _sqlite_path(url, state_dir)
    return _postgres("PostgresReader")(url) if path is None else SqliteReader(path)


def _sqlite_path(url: str | None, state_dir: Path) -> Path | None:
    """Where the file is; None for PostgreSQL. Raises BadStoreUrl."""
    if url is None:
        return state_dir / "ledger.sqlite3"
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise BadStoreUrl("the store's URL can't be read") from error
    if parts.scheme in _POSTGRES:
        return None
    if parts.scheme == "sqlite" and not parts.netloc and parts.path.startswith("/"):
        return Path(unquote(parts.path))
    raise BadStoreUrl("the store's URL is postgresql://… or sqlite:///path/of/the/file")


def _postgres(name: str) -> Callable[..., Any]:
    """A class of `postgres.py`, whose driver takes memory and is an extra. Raises BadStoreUrl."""
    try:
        return getattr(importlib.import_module("sluicegate.ledger.postgres"), name)
    except ImportError as error:
        raise BadStoreUrl(
            "PostgreSQL needs the package psycopg: pip install 'sluicegate[postgres]'"
        ) from error

"""What was spent before this gateway began, counted from the ledger.

For budgets that are counted in memory, which a restart would otherwise begin at zero.
"""

from __future__ import annotations

import asyncio
import threading
from collections import defaultdict
from collections.abc import Callable, Generator, Mapping
from concurrent.futures import Future
from typing import NamedTuple, TypeVar

from sluicegate.config import Budget, ClientKey, Config, Deployment
from sluicegate.ledger import Ledger
from sluicegate.ledger.store import Grouping, NoLedger, Pairing, Spend, StoreUnavailable
from sluicegate.limits import Ceiling, Limiter, Settlement, ceiling_of, nano_usd
from sluicegate.limits.periods import Period, period_start
from sluicegate.limits.subjects import end_user_subject, key_subject, namespace_subject
from sluicegate.pipeline.live import LiveStore

_LOOK = 0.05  # seconds between looks whether the ledger has what an earlier gateway left
_RETRY = 1.0  # seconds after which a database that was away is asked again
_SLICE = 200  # groups between two chances for the event loop to serve requests

_T = TypeVar("_T")


class _Question(NamedTuple):
    by: Grouping | Pairing
    period: Period


def _questions(config: Config) -> dict[_Question, dict[str, Ceiling]]:
    """The budgets there are, by the sums that tell what was spent of them, then by whose they are.

    That is a key, or a deployment, as namespace/name.
    """
    found: dict[_Question, dict[str, Ceiling]] = defaultdict(dict)

    def note(by: Grouping | Pairing, whose: str, budget: Budget | None) -> None:
        ceiling = ceiling_of(None, budget)
        if ceiling is not None:
            found[_Question(by, ceiling.period)][whose] = ceiling

    for entry in config.entries.values():
        match entry:
            case ClientKey(namespace, name):
                label = f"{namespace}/{name}"
                note("key", label, entry.budget)
                if entry.end_users is not None:
                    note("key end-user", label, entry.end_users.budget)
            case Deployment(namespace, name) if entry.sharing.per_namespace is not None:
                label = f"{namespace}/{name}"
                note("namespace deployment", label, entry.sharing.per_namespace.budget)
            case _:
                pass
    return found


def _charges(
    question: _Question, ceilings: Mapping[str, Ceiling], sums: list[Spend]
) -> Generator[Settlement, None, None]:
    """What is to be counted: of each sum that is of a budget, whoever spent it."""
    for spend in sums:
        if spend.name is None or spend.cost_usd <= 0:
            continue
        key = whose = spend.name
        match question.by:
            case "key end-user":
                whose, _, end_user = spend.name.partition(" ")
                subject = end_user_subject(whose, end_user)
            case "namespace deployment":
                caller, _, whose = spend.name.partition(" ")
                if whose.startswith(f"{caller}/"):
                    continue  # its owner's own calls
                subject = namespace_subject(caller, whose)
            case _:
                subject = key_subject(key)
        ceiling = ceilings.get(whose)
        if ceiling is not None:
            forgettable = question.by == "key end-user"
            money = nano_usd(spend.cost_usd)
            yield Settlement(subject, ceiling, money=money, forgettable=forgettable)


async def count_earlier_spend(
    ledger: Ledger, limits: Limiter, store: LiveStore, clock: Callable[[], float]
) -> None:
    """Count what was spent in the running periods before there was a configuration to serve.

    Returns once it is counted, however long the database is away until then. What is spent
    meanwhile counts besides. `clock` gives Unix seconds.
    """
    while not store.current.published_at:  # noqa: ASYNC110 -- once in a process's life
        await asyncio.sleep(_LOOK)
    until = store.current.published_at
    questions = _questions(store.current.snapshot.config)
    if not questions:
        return
    while not ledger.caught_up:  # noqa: ASYNC110 -- its thread knows no event loop
        await asyncio.sleep(_LOOK)
    for question, ceilings in questions.items():
        start = period_start(question.period, int(until * 1000))
        sums = await _sums(ledger, question, start / 1000, until)
        if start != period_start(question.period, int(clock() * 1000)):
            continue  # the period is over, and nothing spent in it counts any more
        for number, charge in enumerate(_charges(question, ceilings, sums), 1):
            limits.charge(charge)
            if number % _SLICE == 0:
                await asyncio.sleep(0)


async def _sums(ledger: Ledger, question: _Question, since: float, until: float) -> list[Spend]:
    def ask() -> list[Spend]:
        reader = ledger.reader()
        try:
            return reader.sums(question.by, since, until)
        finally:
            reader.close()

    while True:
        try:
            return await _in_daemon(ask)
        except NoLedger:
            return []
        except StoreUnavailable:
            await asyncio.sleep(_RETRY)


async def _in_daemon(work: Callable[[], _T]) -> _T:
    """Do what blocks in a thread that a process which ends does not wait for."""
    done: Future[_T] = Future()

    def run() -> None:
        try:
            done.set_result(work())
        except Exception as error:  # noqa: BLE001 -- the thread's root: whoever waits raises it
            done.set_exception(error)

    done.set_running_or_notify_cancel()
    threading.Thread(target=run, name="earlier-spend", daemon=True).start()
    return await asyncio.wrap_future(done)

"""What was spent before a budget was counted, counted from the ledger.

For budgets that are counted in memory: those there are when a gateway starts, which a restart would
otherwise begin at zero, and those that a reload adds or gives another period.
"""

from __future__ import annotations

import asyncio
import threading
from collections import defaultdict
from collections.abc import Callable, Generator, Mapping
from concurrent.futures import Future
from typing import NamedTuple, TypeAlias, TypeVar, get_args

from sluicegate.config import Budget, ClientKey, Deployment, Entry, NamespaceCeiling, Sharing
from sluicegate.ledger import Ledger
from sluicegate.ledger.store import Grouping, NoLedger, Pairing, Spend, StoreUnavailable
from sluicegate.limits import Ceiling, Limiter, Subject, SubjectKind, ceiling_of, nano_usd
from sluicegate.limits.periods import Period, period_start
from sluicegate.limits.subjects import end_user_subject, key_subject, namespace_subject
from sluicegate.pipeline.live import LiveStore

_LOOK = 0.05  # seconds between looks whether something has come
_RETRY = 1.0  # seconds after which a database that was away is asked again
_SLICE = 200  # groups between two chances for the event loop to serve requests
_CARRIED = 2.0  # seconds after which the database has the rows of calls that have ended

_T = TypeVar("_T")
_By: TypeAlias = Grouping | Pairing


class _Question(NamedTuple):
    """Sums of calls that began in these bounds (Unix seconds), for budgets of this period."""

    by: _By
    period: Period
    since: float
    until: float


# Whose budgets (a key's, a deployment's, as namespace/name), and what they are.
_Asked: TypeAlias = Mapping[_Question, Mapping[str, Ceiling]]


def _budgets(entry: Entry | None) -> dict[tuple[_By, Period], Ceiling]:
    """The budgets of an entry, by the sums that tell what was spent of them, and in which period.

    Each period has a count of its own.
    """
    budgets: dict[_By, Budget | None] = {}
    match entry:
        case ClientKey(budget=budget, end_users=end_users):
            budgets["key"] = budget
            budgets["key end-user"] = None if end_users is None else end_users.budget
        case Deployment(sharing=Sharing(per_namespace=NamespaceCeiling(budget=budget))):
            budgets["namespace deployment"] = budget
        case _:
            pass
    found: dict[tuple[_By, Period], Ceiling] = {}
    for by, budget in budgets.items():
        ceiling = ceiling_of(None, budget)
        if ceiling is not None:
            found[by, ceiling.period] = ceiling
    return found


class _Watch:
    """Notices budgets of which memory has no count."""

    def __init__(self) -> None:
        self._before: Mapping[str, Entry] = {}
        # When one that was counted went away, as long as that is within a present period.
        self._gone: dict[tuple[_By, Period, str], float] = {}
        self._oldest = 0.0

    def look(self, entries: Mapping[str, Entry], at: float) -> _Asked:
        """What is to be asked now that these serve, since `at` (Unix seconds)."""
        self._forget(at)
        before, self._before = self._before, entries
        ids = [id_ for id_, entry in entries.items() if before.get(id_) is not entry]
        asked: dict[_Question, dict[str, Ceiling]] = defaultdict(dict)
        for id_ in (*ids, *(before.keys() - entries.keys())):
            name = id_.partition("/")[2]
            was, now = _budgets(before.get(id_)), _budgets(entries.get(id_))
            for by, period in was.keys() - now.keys():
                self._gone[by, period, name] = at
            for by, period in now.keys() - was.keys():
                start = period_start(period, int(at * 1000)) / 1000
                since = max(start, self._gone.pop((by, period, name), start))
                asked[_Question(by, period, since, at)][name] = now[by, period]
        return asked

    def _forget(self, at: float) -> None:
        """What went away before every present period makes no difference any more."""
        oldest = min(period_start(period, int(at * 1000)) for period in get_args(Period)) / 1000
        if oldest > self._oldest:
            self._oldest = oldest
            self._gone = {budget: gone for budget, gone in self._gone.items() if gone > oldest}


def _charges(
    question: _Question, ceilings: Mapping[str, Ceiling], sums: list[Spend]
) -> Generator[tuple[Subject, int], None, None]:
    """What is to be counted, in nano-USD: of each sum that is of a budget, whoever spent it."""
    for spend in sums:
        if spend.name is None or spend.cost_usd <= 0:
            continue
        whose = spend.name
        match question.by:
            case "key end-user":
                whose, _, end_user = spend.name.partition(" ")
                kind, id_ = SubjectKind.END_USER, end_user_subject(whose, end_user)
            case "namespace deployment":
                caller, _, whose = spend.name.partition(" ")
                if whose.startswith(f"{caller}/"):
                    continue  # its owner's own calls
                kind, id_ = SubjectKind.NAMESPACE, namespace_subject(caller, whose)
            case _:
                kind, id_ = SubjectKind.KEY, key_subject(whose)
        ceiling = ceilings.get(whose)
        if ceiling is not None:
            yield Subject(id_, ceiling, kind), nano_usd(spend.cost_usd)


async def count_earlier_spend(
    ledger: Ledger,
    limits: Limiter,
    store: LiveStore,
    clock: Callable[[], float],
    counted: asyncio.Event,
) -> None:
    """Count what was spent of each budget in its period before it served; until cancelled.

    Sets `counted` once that is known of the first configuration, however long the database is away
    until then. What is spent meanwhile counts besides. `clock` gives Unix seconds.
    """
    watch = _Watch()
    # Also a configuration that was never published, because there is nothing in it, is the first.
    published_at, first = -1.0, True
    async with asyncio.TaskGroup() as tasks:
        while True:
            while store.current.published_at == published_at:  # noqa: ASYNC110 -- whoever publishes tells nobody
                await asyncio.sleep(_LOOK)
            published_at = store.current.published_at
            asked = watch.look(store.current.snapshot.config.entries, published_at)
            if first:
                tasks.create_task(_first(ledger, limits, clock, asked, counted))
                first = False
            elif asked:
                tasks.create_task(_later(ledger, limits, clock, asked))


async def _first(
    ledger: Ledger,
    limits: Limiter,
    clock: Callable[[], float],
    asked: _Asked,
    counted: asyncio.Event,
) -> None:
    while asked and not ledger.caught_up:  # noqa: ASYNC110 -- its thread knows no event loop
        await asyncio.sleep(_LOOK)
    await _count(ledger, limits, clock, asked)
    counted.set()


async def _later(
    ledger: Ledger, limits: Limiter, clock: Callable[[], float], asked: _Asked
) -> None:
    await asyncio.sleep(_CARRIED)
    while not ledger.caught_up or ledger.state.problems:  # noqa: ASYNC110 -- as above
        await asyncio.sleep(_LOOK)
    await _count(ledger, limits, clock, asked)


async def _count(
    ledger: Ledger, limits: Limiter, clock: Callable[[], float], asked: _Asked
) -> None:
    for question, ceilings in asked.items():
        sums = await _sums(ledger, question)
        if question.since < period_start(question.period, int(clock() * 1000)) / 1000:
            continue  # the period is over, and nothing spent in it counts any more
        charges = _charges(question, ceilings, sums)
        for number, (subject, money) in enumerate(charges, 1):
            limits.charge(subject, money)
            if number % _SLICE == 0:
                await asyncio.sleep(0)


async def _sums(ledger: Ledger, question: _Question) -> list[Spend]:
    def ask() -> list[Spend]:
        reader = ledger.reader()
        try:
            return reader.sums(question.by, question.since, question.until)
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

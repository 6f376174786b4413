"""How deployments are doing, as their attempts have shown, and which of them get requests.

Mutable, and kept by the process from one configuration to the next. Everything is told the time
(seconds of one clock that never goes back), so that the same code runs on a virtual clock.

A deployment is *in rotation* until it is *ejected*: by failures in a row, by the share of failures
among its latest attempts, at once where waiting alone mends nothing (a refused credential, an
unknown model), or for as long as it asked for. When its time is over a single request probes it;
the others go elsewhere until that one has been answered. `hearsay` adds what other gateways have
found out.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Container, Hashable
from dataclasses import dataclass, field
from functools import partial

from sluicegate.config import Cooldown
from sluicegate.routing.attempts import Outcome

WINDOW = 10.0  # seconds; counts reach back so far at least, and twice as far at most
LEAST_ATTEMPTS = 20  # in the window, before a share of failures says anything
WORST_SHARE = 0.5  # of failures in the window: as much takes a deployment out
LONGEST_EJECTION = 60.0  # seconds; a longer `cooldown.duration` is its own bound
LONGEST_WAIT = 300.0  # seconds; a Retry-After keeps a deployment out no longer
FORGIVEN_AFTER = 120.0  # seconds in rotation, and an ejection is the first again
LATENCY_MEMORY = 5.0  # seconds after which a measurement counts a third
RETRY_SHARE = 0.2  # of a pool's requests in the window may be tried again
LEAST_RETRIES = 10  # in the window, however few requests there are
CHOSEN_FOR = 1.0  # seconds in which a probe that was chosen has to begin, or another is
DOUBTED_FOR = 60.0  # seconds: others whose word has proved wrong are not listened to


class Recent:
    """Two counts over the last window or two."""

    __slots__ = ("_ends", "_first", "_old_first", "_old_second", "_second")

    def __init__(self) -> None:
        self._ends = -math.inf
        self.clear()

    def clear(self) -> None:
        """Forget all of it."""
        self._first = self._second = self._old_first = self._old_second = 0

    def add(self, now: float, first: int, second: int) -> None:
        """Count."""
        if now >= self._ends:
            self._turn(now)
        self._first += first
        self._second += second

    def counts(self, now: float) -> tuple[int, int]:
        """What has been counted."""
        if now >= self._ends:
            self._turn(now)
        return self._first + self._old_first, self._second + self._old_second

    def _turn(self, now: float) -> None:
        if now < self._ends + WINDOW:
            self._old_first, self._old_second = self._first, self._second
        else:
            self._old_first = self._old_second = 0
        self._first = self._second = 0
        self._ends = now + WINDOW


@dataclass(slots=True, eq=False)
class Latency:
    """Seconds until an answer begins (or has come whole), as a mean in which old ones fade."""

    seconds: float = math.inf  # unknown: worse than any that is known
    measured_at: float = -math.inf
    waiting: int = 0  # attempts without an answer yet
    since: float = 0.0  # when the latest answer came, or the first of those began to wait

    def measure(self, now: float, seconds: float) -> None:
        """Take in one measurement; after a long silence it counts for almost everything."""
        if self.measured_at == -math.inf:
            self.seconds = seconds
        else:
            kept = math.exp((self.measured_at - now) / LATENCY_MEMORY)
            self.seconds = seconds + (self.seconds - seconds) * kept
        self.measured_at = self.since = now

    def expected(self, now: float) -> float:
        """Seconds that an attempt has to expect: a silence that lasts longer is a measurement."""
        return max(self.seconds, now - self.since) if self.waiting else self.seconds


@dataclass(slots=True, eq=False)
class Hearsay:
    """What other gateways' words have done to a deployment, and how far they are believed."""

    out_since: float = math.inf  # since when their word, and no attempt, keeps it out
    back_at: float = -math.inf  # when their word has brought it back
    probed_until: float = -math.inf  # one of them probes it; nothing heard by then, it has gone
    doubted_until: float = -math.inf  # its own attempts have shown the contrary


def _nobody() -> None:
    pass


@dataclass(slots=True, eq=False)
class DeploymentState:
    """What one deployment's attempts have shown.

    An attempt is told to `begin`, then `answered` once there is output, `succeeded` or `failed` by
    its end, and at last to `end`. A probe is `chosen` before; what does not begin soon is
    forgotten. `report` is called whenever attempts have taken it out or brought it back, and when a
    probe begins or ends without a verdict.
    """

    report: Callable[[], None] = _nobody
    in_flight: int = 0
    failures: int = 0  # in a row
    recent: Recent = field(default_factory=Recent)  # attempts, failures
    out: bool = False  # ejected, and nothing has been answered since
    until: float = 0.0  # when its ejection ends and a request may probe it
    cause: Outcome = Outcome.OK  # of its ejection
    ejections: int = 0  # one after another
    since: float = -math.inf  # when it was ejected or restored: earlier attempts show nothing
    probing: bool = False
    chosen_until: float = -math.inf  # a request is on its way to probe it
    back_by: float = -math.inf  # when the probe began that has brought it back, until one ends well
    hearsay: Hearsay = field(default_factory=Hearsay)
    streamed: Latency = field(default_factory=Latency)  # to the first event with output
    whole: Latency = field(default_factory=Latency)  # to the whole answer
    turn: float = 0.0  # of smooth weighted round robin: how much it is owed, in requests
    costs: dict[Hashable, float] = field(default_factory=dict[Hashable, float])  # USD, by shape

    def due(self, now: float) -> bool:
        """Whether a request should probe it."""
        free_at = max(self.until, self.chosen_until, self.hearsay.probed_until)
        return self.out and not self.probing and now >= free_at

    def chosen(self, now: float) -> None:
        """A request is to be the probe: no other is, unless this one does not begin soon."""
        self.chosen_until = now + CHOSEN_FOR

    def begin(self, now: float, *, streamed: bool) -> None:
        """An attempt begins; where a probe is due, it is the probe."""
        self.in_flight += 1
        latency = self.streamed if streamed else self.whole
        if not latency.waiting:
            latency.since = now
        latency.waiting += 1
        if self.out and now >= self.until:
            self.probing = True
            self.chosen_until = -math.inf
            self.report()

    def answered(self, now: float, began: float, *, streamed: bool) -> None:
        """There is output: who was ejected is back."""
        latency = self.streamed if streamed else self.whole
        latency.waiting -= 1
        latency.measure(now, now - began)
        if self.out and began >= self.since:
            self._restore(now)
            self.back_by = began

    def succeeded(self, now: float, began: float) -> None:
        """An attempt has ended well."""
        if began >= self.since or began == self.back_by:
            self.back_by = -math.inf
            self.failures = 0
            self.recent.add(now, 1, 0)

    def failed(
        self,
        now: float,
        began: float,
        cooldown: Cooldown,
        cause: Outcome,
        *,
        wait: float | None = None,
    ) -> None:
        """An attempt has failed by the deployment's own fault.

        `wait`: it asked to be left alone for so many seconds.
        """
        breaks_off = began == self.back_by  # the probe, whose answer has brought it back too soon
        if (began < self.since and not breaks_off) or (self.out and now < self.until):
            return  # what began before its ejection, or was a last resort during it
        self.failures += 1
        self.recent.add(now, 1, 1)
        if wait is not None:
            self._eject(now, min(wait, LONGEST_WAIT), cause)
        elif cause.lasting or self.out or breaks_off or self.failures >= cooldown.failures:
            self._eject(now, self.next_ejection(now, cooldown.duration), cause)
        else:
            attempts, failures = self.recent.counts(now)
            if attempts >= LEAST_ATTEMPTS and failures >= WORST_SHARE * attempts:
                self._eject(now, self.next_ejection(now, cooldown.duration), cause)

    def end(self, began: float, *, streamed: bool, answered: bool) -> None:
        """An attempt is over, however it went."""
        self.in_flight -= 1
        if not answered:
            (self.streamed if streamed else self.whole).waiting -= 1
        if self.probing and began >= self.until and began >= self.since:
            self.probing = False
            self.report()

    def _eject(self, now: float, seconds: float, cause: Outcome) -> None:
        if cause is not Outcome.RATE_LIMITED and now - self.hearsay.back_at < WINDOW:
            self.hearsay.doubted_until = now + DOUBTED_FOR
        self.hearsay.out_since = math.inf
        self.take_out(now, seconds, cause)
        self.report()

    def _restore(self, now: float) -> None:
        if self.hearsay.out_since <= now:
            self.hearsay.doubted_until = now + DOUBTED_FOR
        self.bring_back(now)
        self.report()

    # --- for hearsay, too -------------------------------------------------------------------------

    def next_ejection(self, now: float, duration: float) -> float:
        """Seconds: twice as long each time, up to a bound, until it has been well for a while."""
        if not self.out and now - self.until > FORGIVEN_AFTER:
            self.ejections = 0
        longest = max(duration, LONGEST_EJECTION)
        seconds = min(duration * 2.0 ** min(self.ejections, 32), longest)
        self.ejections += 1
        return seconds

    def take_out(self, now: float, seconds: float, cause: Outcome) -> None:
        """Out of rotation for so long, whatever is under way."""
        self.out = True
        self.until = now + seconds
        self.cause = cause
        self._turn_over(now)

    def bring_back(self, now: float) -> None:
        """Into rotation."""
        self.out = False
        self.hearsay.out_since = math.inf
        self._turn_over(now)

    def _turn_over(self, now: float) -> None:
        self.since = now
        self.probing = False
        self.back_by = -math.inf
        self.chosen_until = self.hearsay.probed_until = -math.inf
        self.failures = 0
        self.recent.clear()


@dataclass(slots=True, eq=False)
class RetryBudget:
    """How many of a pool's attempts may be repetitions, so that they can't multiply an outage."""

    recent: Recent = field(default_factory=Recent)  # requests, repetitions

    def request(self, now: float) -> None:
        """A request has come."""
        self.recent.add(now, 1, 0)

    def left(self, now: float) -> bool:
        """Whether another repetition is allowed."""
        requests, repetitions = self.recent.counts(now)
        return repetitions < LEAST_RETRIES + RETRY_SHARE * requests

    def repeat(self, now: float) -> None:
        """A repetition begins."""
        self.recent.add(now, 0, 1)


class States:
    """The states of all deployments and pools of a process, by entry id.

    `told` hears the id of a deployment whose state has something to `report`.
    """

    def __init__(self) -> None:
        self.told: Callable[[str], None] | None = None
        self._deployments: dict[str, DeploymentState] = {}
        self._budgets: dict[str, RetryBudget] = {}

    def deployment(self, id_: str) -> DeploymentState:
        """The one of a deployment, new where there is none yet."""
        state = self._deployments.get(id_)
        if state is None:
            state = self._deployments[id_] = DeploymentState(partial(self._report, id_))
        return state

    def anew(self, id_: str) -> DeploymentState:
        """A deployment calls another place or has another credential: nothing is known of it.

        What is still under way at the old one is booked there, where nobody hears of it.
        """
        old = self._deployments.pop(id_, None)
        if old is not None:
            old.report = _nobody
        return self.deployment(id_)

    def budget(self, id_: str) -> RetryBudget:
        """The one of a pool."""
        return self._budgets.setdefault(id_, RetryBudget())

    def keep(self, ids: Container[str]) -> None:
        """Forget all that are not among these."""
        for kept in (self._deployments, self._budgets):
            for id_ in [id_ for id_ in kept if id_ not in ids]:
                del kept[id_]

    def _report(self, id_: str) -> None:
        if self.told is not None:
            self.told(id_)

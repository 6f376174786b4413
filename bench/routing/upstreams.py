"""Modelled upstreams: how long they take, how many they stand, and what goes wrong when.

Times are in seconds of the virtual clock.
"""

import math
import random
from dataclasses import dataclass
from enum import StrEnum

from sluicegate.routing.attempts import Outcome

_QUICK = 0.02  # a refusal


class Trouble(StrEnum):
    """What goes wrong for a while."""

    ERRORS = "errors"  # 500 at once, for a share of the requests
    REFUSED = "refused"  # nothing listens
    HANGS = "hangs"  # connects, and then says nothing
    SLOW = "slow"  # takes `amount` times as long


@dataclass(frozen=True, slots=True)
class Phase:
    """Something goes wrong between two times. `amount`: a share, or a factor for SLOW."""

    trouble: Trouble
    start: float
    end: float
    amount: float = 1.0


@dataclass(frozen=True, slots=True)
class Profile:
    """How an upstream behaves.

    The time to the first event is log-normal with this median and sigma; the rest of the answer
    takes `generation` on average. With more than `capacity` requests under way all take longer in
    proportion. It takes `per_second` requests (in windows of `window` seconds), and says with 429
    how long to stay away if `says_when`.
    """

    name: str
    median: float = 0.5
    sigma: float = 0.4
    generation: float = 3.0
    capacity: float = math.inf
    per_second: float = math.inf
    window: float = 10.0
    says_when: bool = True
    usd: float = 0.001  # a request
    weight: int = 1
    phases: tuple[Phase, ...] = ()

    def in_trouble(self, now: float) -> bool:
        """Whether something is wrong with it."""
        return any(phase.start <= now < phase.end for phase in self.phases)


@dataclass(frozen=True, slots=True)
class Reply:
    """What becomes of an attempt: known after `first` seconds, over after `whole`."""

    outcome: Outcome
    first: float
    whole: float
    retry_after: float | None = None


class Upstream:
    """One upstream, which all gateways share."""

    def __init__(self, profile: Profile, seed: str) -> None:
        self.profile = profile
        self._random = random.Random(seed)
        self.under_way = 0
        self._window_ends = -math.inf
        self._taken = 0

    def ask(self, now: float, first_byte: float) -> Reply:
        """An attempt begins; `leave` must follow when it is over."""
        profile = self.profile
        self.under_way += 1
        # Drawn for every attempt, so that what is drawn next does not hang on what happens to it.
        latency = profile.median * math.exp(profile.sigma * self._random.gauss(0.0, 1.0))
        generation = self._random.expovariate(1.0 / profile.generation)
        die = self._random.random()
        stretch = max(1.0, self.under_way / profile.capacity)
        for phase in profile.phases:
            if not phase.start <= now < phase.end:
                continue
            match phase.trouble:
                case Trouble.ERRORS:
                    if die < phase.amount:
                        return Reply(Outcome.SERVER_ERROR, _QUICK, _QUICK)
                case Trouble.REFUSED:
                    return Reply(Outcome.CONNECT, _QUICK, _QUICK)
                case Trouble.HANGS:
                    return Reply(Outcome.TIMEOUT, first_byte, first_byte)
                case Trouble.SLOW:
                    stretch *= phase.amount
        if self._is_too_much(now):
            wait = self._window_ends - now if profile.says_when else None
            return Reply(Outcome.RATE_LIMITED, _QUICK, _QUICK, wait)
        latency *= stretch
        if latency > first_byte:
            return Reply(Outcome.TIMEOUT, first_byte, first_byte)
        return Reply(Outcome.OK, latency, latency + generation * stretch)

    def leave(self) -> None:
        """An attempt is over."""
        self.under_way -= 1

    def _is_too_much(self, now: float) -> bool:
        profile = self.profile
        if profile.per_second == math.inf:
            return False
        if now >= self._window_ends:
            self._window_ends = now + profile.window
            self._taken = 0
        self._taken += 1
        return self._taken > profile.per_second * profile.window

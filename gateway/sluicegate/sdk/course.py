"""One call's way through its targets, sans-IO: what follows a failed attempt.

The same rules as the gateway's (routing/attempts.py); the loops beside this module only wait and
send.
"""

from __future__ import annotations

import math
import random
from typing import NamedTuple

from sluicegate.routing.attempts import pause_before_repeat
from sluicegate.sdk.failures import AttemptFailed
from sluicegate.sdk.plan import Target


class Step(NamedTuple):
    """What to try after `pause` seconds."""

    target: Target
    pause: float


class Course:
    """Of one call."""

    def __init__(self, targets: tuple[Target, ...]) -> None:
        self._targets = targets
        self._at = 0
        self._tried = 0  # the target's attempts so far

    @property
    def target(self) -> Target:
        """What is tried first, or now."""
        return self._targets[self._at]

    def after(self, failed: AttemptFailed) -> Step:
        """What follows the failure of an attempt at `target`.

        Raises the openai exception that the caller gets where nothing is left to try.
        """
        self._tried += 1
        if failed.outcome.cause is None:  # the request itself is refused, or nobody waits
            raise failed.error
        last = self._at + 1 == len(self._targets)
        pause = pause_before_repeat(
            self.target.retry,
            self._tried,
            failed.outcome,
            failed.retry_after,
            math.inf,
            random.random(),  # noqa: S311 - it spreads retries, and hides nothing
            last=last,
        )
        if pause is not None:
            return Step(self.target, pause)
        if last:
            raise failed.error
        self._at += 1
        self._tried = 0
        return Step(self.target, 0.0)

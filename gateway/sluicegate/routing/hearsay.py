"""What gateways tell each other of a deployment, and how far they believe it.

A word is what a gateway's own attempts have shown. The others act on it as if it were theirs, but
within bounds, whoever has written it: at first it is out for `cooldown.duration` at most (a
Retry-After: as long as it says), and once it has been out for LONGEST_EJECTION on words alone, a
request of their own has to show it. A gateway whose own attempts show the contrary does not listen
for DOUBTED_FOR. So neither a gateway with a broken network nor garbage in the store can take from
the others what works for them.

Words hold durations, never times: the clocks of gateways differ.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

from sluicegate.config import Cooldown
from sluicegate.routing.attempts import Outcome
from sluicegate.routing.health import LONGEST_EJECTION, LONGEST_WAIT, DeploymentState

PROBED_FOR = 5.0  # seconds that another gateway's probe is waited for
_NEAR = 1.0  # seconds before the end of an ejection in which a word may make it longer
_LONGEST_FIELD = 32  # bytes
_CAUSES = {outcome.value: outcome for outcome in Outcome if outcome.blames}


class Word(NamedTuple):
    """How a deployment is doing. `seconds` are left of its ejection."""

    out: bool
    seconds: float = 0.0
    cause: Outcome = Outcome.OK
    probing: bool = False

    def fields(self) -> dict[str, str]:
        """The same as text."""
        if not self.out:
            return {"state": "ok"}
        return {
            "state": "probing" if self.probing else "cooldown",
            "seconds": f"{self.seconds:.3f}",
            "cause": self.cause,
        }


def word_of(state: DeploymentState, now: float) -> Word:
    """What to tell the others."""
    if not state.out:
        return Word(out=False)
    seconds = max(state.until - now, 0.0)
    return Word(out=True, seconds=seconds, cause=state.cause, probing=state.probing)


def read_word(fields: Mapping[bytes, bytes]) -> Word | None:
    """The word that these fields are, None where they are not one."""
    if any(len(value) > _LONGEST_FIELD for value in fields.values()):
        return None
    state = fields.get(b"state")
    if state == b"ok":
        return Word(out=False)
    if state not in {b"cooldown", b"probing"}:
        return None
    try:
        seconds, cause = float(fields[b"seconds"]), _CAUSES[fields[b"cause"].decode()]
    except (KeyError, ValueError):
        return None
    if not 0 <= seconds < math.inf:
        return None
    return Word(out=True, seconds=seconds, cause=cause, probing=state == b"probing")


def hear(
    state: DeploymentState,
    now: float,
    word: Word,
    cooldown: Cooldown,
    *,
    age: float = 0.0,
    grace: float = 0.0,
) -> None:
    """Act on another gateway's word, `age` seconds old.

    An ejection ends `grace` seconds later than for who has told of it, who so is the first to
    probe, and is heard of before the others do.
    """
    hearsay = state.hearsay
    if now < hearsay.doubted_until:
        return
    if not word.out:
        if state.out:
            state.bring_back(now)
            hearsay.back_at = now
        return
    if not state.out or word.seconds > age:
        _keep_out(state, now, word._replace(seconds=max(word.seconds - age, 0.0)), cooldown, grace)
    if state.out and not word.probing:
        hearsay.probed_until = -math.inf
    elif state.out and now < state.until + LONGEST_EJECTION:
        hearsay.probed_until = now - age + PROBED_FOR


def _keep_out(
    state: DeploymentState, now: float, word: Word, cooldown: Cooldown, grace: float
) -> None:
    """Take it out, or keep it out for longer."""
    hearsay = state.hearsay
    # By its end: others that have found out at the same time tell the same.
    if state.out and (now < state.until - _NEAR or now - hearsay.out_since > LONGEST_EJECTION):
        return
    if word.cause is Outcome.RATE_LIMITED:
        longest = LONGEST_WAIT
    elif state.out:
        longest = state.next_ejection(now, cooldown.duration)
    else:
        longest = cooldown.duration
        state.ejections = max(state.ejections, 1)
    until = now + min(word.seconds, longest) + grace
    if state.out and until <= state.until:
        return
    hearsay.out_since = min(hearsay.out_since, now)
    state.take_out(now, until - now, word.cause)

"""The gateways, as their Leases tell it.

A Lease is judged by the operator's own clock: what counts is when a change of it was last seen, so
that clocks that differ between machines have no effect. Time in which nothing could be heard, be it
that the API server was away or the operator itself was frozen, is nobody's silence.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple, TypeAlias

from msgspec import Struct

# A gateway renews every 10 s; after three missed renewals it is not heard from (seconds).
SILENCE = 35.0
# Between two looks; what is longer was a pause of the operator itself (seconds).
_LONGEST_LOOK = 10.0
# No operator publishes so often; a gateway that tells more must not use up the numbers.
_HIGHEST = 2**52

# `unconfirmed`: the Lease was there when the operator started, and has not been renewed since.
Voice: TypeAlias = Literal["live", "unconfirmed", "silent"]


class Report(Struct, frozen=True, gc=False):
    """What a Lease says. `stamp` changes with every renewal.

    `sequence` is 0 where the gateway serves no configuration yet, and counts within its epoch;
    `error` says why it refuses the newest one. `refused`: of what it serves, the entries that it
    can't call, and why.
    """

    name: str
    stamp: str
    sequence: int = 0
    error: str = ""
    epoch: str = ""
    refused: Mapping[str, str] = {}


class Gateway(Struct, frozen=True, gc=False):
    """One gateway at one moment.

    `sequence` is what it has acknowledged of the present epoch; `outdated`: it serves a
    configuration of an earlier one, from a copy, or one that was lost. `refused`: see Report.
    """

    name: str
    sequence: int
    error: str = ""
    voice: Voice = "live"
    outdated: bool = False
    refused: Mapping[str, str] = {}


class Fleet(Struct, frozen=True, gc=False):
    """All gateways at one moment, by name.

    `replicas`: how many there should be, where the operator was told which Deployment to ask.
    """

    gateways: tuple[Gateway, ...] = ()
    replicas: int | None = None

    @property
    def serving(self) -> tuple[Gateway, ...]:
        """Those that have a configuration."""
        return tuple(one for one in self.gateways if one.sequence > 0 or one.outdated)


class _Heard(NamedTuple):
    report: Report
    at: float  # by a clock that stands still while nothing can be heard
    confirmed: bool


class FleetWatch:
    """Follows the Leases. `now` is a monotonic clock's, in seconds."""

    def __init__(self, silence: float = SILENCE) -> None:
        self._silence = silence
        self._heard: dict[str, _Heard] = {}
        self._listened: float | None = None
        self._deaf = 0.0  # seconds in which nothing could be heard
        self.replicas: int | None = None
        self.epoch: str | None = None  # of what stands; None: not known yet
        self.sequence: int | None = None  # of what stands; None: not known yet

    def listen(self, now: float, *, hears: bool) -> None:
        """Told every few seconds whether Leases are followed at present."""
        if self._listened is not None:
            passed = now - self._listened
            if not hears or passed > _LONGEST_LOOK:
                self._deaf += passed
        self._listened = now

    def hear(self, report: Report, now: float, *, first_list: bool = False) -> None:
        """Take what a Lease says now. `first_list`: it was there when the operator started."""
        before = self._heard.get(report.name)
        if before is None:
            self._heard[report.name] = _Heard(report, now - self._deaf, not first_list)
        elif before.report != report:
            self._heard[report.name] = _Heard(report, now - self._deaf, confirmed=True)

    def gone(self, name: str) -> None:
        """A Lease was deleted."""
        self._heard.pop(name, None)

    def at(self, now: float) -> Fleet:
        """The gateways as they stand."""
        gateways = (self._gateway(name, heard, now) for name, heard in sorted(self._heard.items()))
        return Fleet(tuple(gateways), self.replicas)

    def _gateway(self, name: str, heard: _Heard, now: float) -> Gateway:
        report, voice = heard.report, self._voice(heard, now)
        other_epoch = bool(report.sequence and report.epoch and report.epoch != self.epoch)
        if other_epoch or (self.sequence is not None and report.sequence > self.sequence):
            return Gateway(name, 0, report.error, voice, outdated=True)
        return Gateway(name, report.sequence, report.error, voice, refused=report.refused)

    def next_due(self, now: float) -> float | None:
        """When the next gateway falls silent if nothing is heard, None if none can."""
        ends = (heard.at + self._deaf + self._silence for heard in self._heard.values())
        return min((end for end in ends if end > now), default=None)

    @property
    def highest_sequence(self) -> int:
        """The highest sequence that any gateway has, if it can be true."""
        told = (heard.report.sequence for heard in self._heard.values())
        return max((sequence for sequence in told if sequence < _HIGHEST), default=0)

    def _voice(self, heard: _Heard, now: float) -> Voice:
        if now - self._deaf >= heard.at + self._silence:
            return "silent"
        return "live" if heard.confirmed else "unconfirmed"

"""How the cluster source is doing, for `/readyz`, the metrics and the log."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, Protocol, TypeAlias

from sluicegate.bundle import Index
from sluicegate.source.cluster_lease import ClusterPlace
from sluicegate.telemetry.logs import log

# What may be wrong. With the first one, what serves is not what was published last.
Topic: TypeAlias = Literal["bundle", "lease", "copy"]


class Link(Protocol):
    """The connection that brings news; the reflector is one."""

    @property
    def failure(self) -> str | None:
        """What is wrong with it now."""
        ...

    @property
    def last_sign_of_life(self) -> float:
        """When it was last heard of, on the monotonic clock."""
        ...


@dataclass(frozen=True, slots=True)
class ClusterStatus:
    """One moment. `ok`: what was published last is what serves, as far as can be known."""

    ok: bool
    loaded: bool
    problems: tuple[str, ...]
    origin: Mapping[str, str]
    longest_slice: float  # seconds that a load has held the event loop at most, while serving


class ClusterBoard:
    """Keeps what the status is made of, and logs what is new about it."""

    def __init__(self, place: ClusterPlace, clock: Callable[[], float]) -> None:
        self._place = place
        self._clock = clock
        self._problems: dict[Topic, str] = {}
        self._serves: Index | None = None
        self._longest_slice = 0.0
        self.link: Link | None = None

    @property
    def serves(self) -> Index | None:
        """The bundle that serves."""
        return self._serves

    @property
    def status(self) -> ClusterStatus:
        """This moment."""
        problems = list(self._problems.values())
        silent = self._silence()
        if silent:
            problems.insert(0, silent)
        if self._serves is None and not problems:
            problems = ["no bundle has been loaded yet"]
        return ClusterStatus(
            ok=self._serves is not None and not silent and "bundle" not in self._problems,
            loaded=self._serves is not None,
            problems=tuple(problems),
            origin={
                "source": "cluster",
                "bundle": f"{self._place.namespace}/{self._place.config_name}",
                "epoch": self._serves.epoch if self._serves is not None else "",
            },
            longest_slice=self._longest_slice,
        )

    def tell(self, topic: Topic, problem: str | None) -> None:
        """What is wrong now with a topic; None: nothing."""
        if problem == self._problems.get(topic):
            return
        if problem is None:
            del self._problems[topic]
            log(logging.INFO, f"the {topic} of {self._place} is all right again")
        else:
            self._problems[topic] = problem
            log(logging.ERROR if topic == "bundle" else logging.WARNING, problem)

    def served(self, index: Index) -> None:
        """A bundle serves from now on."""
        self._serves = index
        log(
            logging.INFO,
            "bundle loaded",
            {
                "sequence": index.sequence,
                "revision": index.revision,
                "epoch": index.epoch,
                "age_seconds": round(self._clock() - index.published_at, 3),
            },
        )

    def held(self, seconds: float) -> None:
        """A load has held the event loop for that long; nobody was held up before there was one."""
        if self._serves is not None:
            self._longest_slice = max(self._longest_slice, seconds)

    def begin_serving(self) -> None:
        """The first load is over; what was held until now held up nobody."""
        self._longest_slice = 0.0

    def _silence(self) -> str:
        """What there is to say of an API server that is away."""
        link = self.link
        if link is None or link.failure is None:
            return ""
        since = self._clock() - (time.monotonic() - link.last_sign_of_life)
        when = datetime.fromtimestamp(since, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return f"no news from the API server since {when}: {link.failure}"

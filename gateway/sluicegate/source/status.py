"""How the folder source is doing, for `/readyz`, the metrics and the log."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from sluicegate.source.report import Report
from sluicegate.telemetry.logs import log

_SHOWN = 20  # problems that a status spells out


@dataclass(frozen=True, slots=True)
class SourceStatus:
    """One moment of a source. Times are Unix seconds.

    `ok`: everything that the folder says is what serves. Where it is not, each problem says what
    becomes of its object; the rest is served. `problems` are the first few, each with its file
    and line: first what makes it not `ok`, then what is referred to and is not there (a Secret, an
    environment variable), then the fields that have no effect in this version; these two do not.
    """

    ok: bool = False
    since: float = 0.0  # when `ok` became what it is
    problems: tuple[str, ...] = ("the manifests have not been loaded yet",)
    problem_count: int = 1
    loads: int = 0  # configurations that were published
    loaded_at: float | None = None
    load_seconds: float = 0.0  # what the last load took, its waits included
    files: int = 0
    objects: int = 0
    ignored: int = 0  # objects of other kinds
    longest_slice: float = 0.0  # seconds that a load has held the event loop at most, while serving
    origin: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def loaded(self) -> bool:
        """Whether any configuration has been published."""
        return self.loads > 0


class StatusBoard:
    """Keeps the status, and logs one line when the problems are others than before."""

    def __init__(self, clock: Callable[[], float], source: str = "manifests") -> None:
        self._clock = clock
        self.status = SourceStatus(since=clock(), origin={"source": source})
        self._told = Report((), ())

    def loaded(self, *, seconds: float, changed: int, files: int) -> None:
        """A configuration has been published: `changed` entries, because of `files` read files."""
        status = self.status
        self.status = replace(
            status, loads=status.loads + 1, loaded_at=self._clock(), load_seconds=seconds
        )
        log(
            logging.INFO,
            "manifests loaded",
            {
                "load": self.status.loads,
                "files_read": files,
                "entries_changed": changed,
                "seconds": round(seconds, 4),
            },
        )

    def count(self, *, files: int, objects: int, ignored: int) -> None:
        """What the folder holds."""
        self.status = replace(self.status, files=files, objects=objects, ignored=ignored)

    def held(self, seconds: float) -> None:
        """A load has held the event loop for that long."""
        if seconds > self.status.longest_slice:
            self.status = replace(self.status, longest_slice=seconds)

    def begin_serving(self) -> None:
        """The first load is over; what was held until now held up nobody."""
        self.status = replace(self.status, longest_slice=0.0)

    def judge(self, report: Report) -> None:
        """What is wrong now, if anything is."""
        ok = not report.failures
        problems = report.failures + report.unresolved
        self.status = replace(
            self.status,
            ok=ok,
            since=self.status.since if ok == self.status.ok else self._clock(),
            problems=problems[:_SHOWN],
            problem_count=len(problems),
        )
        before, self._told = self._told, report
        if report.failures != before.failures:
            self._tell(logging.ERROR, report.failures, self._consequence())
        if report.unresolved != before.unresolved:
            self._tell(logging.WARNING, report.unresolved, "left out until that is there")
        if report.doubtful and report.doubtful != before.doubtful:
            self._tell(logging.WARNING, report.doubtful, "served as it is written")

    def _consequence(self) -> str:
        if not self.status.loaded:
            return "nothing is served until there is something to load"
        return "all else still serves"

    def _tell(self, level: int, problems: tuple[str, ...], consequence: str) -> None:
        if not problems:
            what = (
                "manifests are all good again" if level == logging.ERROR else "nothing is missing"
            )
            log(logging.INFO, what)
            return
        first, *others = problems
        more = f" (and {len(others)} more)" if others else ""
        log(
            level,
            f"manifests: {first}{more}; {consequence}",
            {"problems": list(problems[:_SHOWN]), "problem_count": len(problems)},
        )

"""How the folder source is doing, for `/readyz`, the metrics and the log."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from sluicegate.telemetry.logs import log

_SHOWN = 20  # problems that a status spells out


@dataclass(frozen=True, slots=True)
class SourceStatus:
    """One moment of a source. Times are Unix seconds.

    `ok`: everything that the folder says is what serves. Where it is not, what was good before
    still does. `problems` are the first few, each with its file and line.
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

    @property
    def loaded(self) -> bool:
        """Whether any configuration has been published."""
        return self.loads > 0


class StatusBoard:
    """Keeps the status, and logs one line when the problems are others than before."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.status = SourceStatus(since=clock())
        self._told: tuple[str, ...] = ()

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

    def judge(self, problems: Sequence[str]) -> None:
        """What is wrong now; nothing, if `problems` is empty."""
        found = tuple(problems)
        ok = not found
        since = self.status.since if ok == self.status.ok else self._clock()
        self.status = replace(
            self.status,
            ok=ok,
            since=since,
            problems=found[:_SHOWN],
            problem_count=len(found),
        )
        if found == self._told:
            return
        told, self._told = self._told, found
        if not found:
            log(logging.INFO, "manifests are all good again", {"were": len(told)})
            return
        first, *others = found
        more = f" (and {len(others)} more)" if others else ""
        log(
            logging.ERROR,
            f"manifests: {first}{more}; what was good before still serves",
            {"problems": list(found[:_SHOWN]), "problem_count": len(found)},
        )

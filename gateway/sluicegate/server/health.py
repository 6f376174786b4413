"""Whether this process lives and whether it should get traffic."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from sluicegate.pipeline.live import LiveStore


class LoadState(Protocol):
    """How a configuration's source is doing."""

    @property
    def loaded(self) -> bool:
        """Whether any configuration has been published."""
        ...

    @property
    def ok(self) -> bool:
        """Whether everything that the source says is what serves."""
        ...

    @property
    def longest_slice(self) -> float:
        """Seconds that a load has held the event loop at most, since requests are served."""
        ...

    @property
    def origin(self) -> Mapping[str, str]:
        """Where the configuration comes from: `source`, and what else names it."""
        ...

    @property
    def problems(self) -> tuple[str, ...]:
        """What is wrong, the most telling first."""
        ...


@dataclass(slots=True)
class Health:
    """Answers of /healthz and /readyz."""

    store: LiveStore
    load_state: Callable[[], LoadState]
    away: Callable[[], tuple[str, ...]]  # what serves on without something that it should have
    listening: bool = False  # the public port takes connections
    draining: bool = False

    def live(self) -> tuple[int, dict[str, object]]:
        """Status and body of /healthz: the event loop runs, or nobody would answer."""
        return 200, {"status": "ok"}

    def ready(self, *, detail: bool) -> tuple[int, dict[str, object]]:
        """Status and body of /readyz.

        A failed load leaves the last good configuration serving, so the gateway stays ready and
        says so. `detail` adds where it comes from and the error's text, which name files and
        objects and so are for the admin port only.
        """
        snapshot = self.store.current.snapshot
        state = self.load_state()
        config: dict[str, object] = {
            "ok": state.ok,
            "sequence": snapshot.sequence,
            "revision": snapshot.revision,
        }
        if detail:
            config |= state.origin
        problems = (*state.problems, *snapshot.problems)
        if detail and problems:
            config["problems"] = list(problems)
        if self.draining:
            return 503, {"status": "draining", "config": config}
        if not (state.loaded and self.listening):
            return 503, {"status": "loading", "config": config}
        away = self.away()
        if away:
            return 200, {"status": "degraded", "degraded": list(away), "config": config}
        return 200, {"status": "ok" if state.ok else "degraded", "config": config}

"""What the harness has to know of a server to start it and to send it work."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from bench.calls import Call, Workload


@dataclass(frozen=True, slots=True)
class Site:
    """What a server is given."""

    folder: Path  # its own, empty; for configuration and state
    port: int  # where it shall listen
    admin_port: int  # a second one, for those that have one
    mock_port: int  # where the upstream listens


@dataclass(frozen=True, slots=True)
class Launch:
    """How a server is started and when it is ready: GET `ready_path` answers 200."""

    argv: tuple[str, ...]
    ready_port: int
    ready_path: str
    env: Mapping[str, str] | None = None
    cwd: Path | None = None
    start_seconds: float = field(default=60.0)  # give up after this


class Peer(Protocol):
    """A server that can be measured."""

    @property
    def name(self) -> str:
        """The word it goes by in options and results."""
        ...

    @property
    def version(self) -> str:
        """What exactly was measured."""
        ...

    def launch(self, site: Site) -> Launch:
        """Writes its configuration into the site's folder and says how to start it."""
        ...

    def call(self, workload: Workload, site: Site) -> Call | None:
        """The workload's request; None where the server can't do it."""
        ...

"""How those who speak this dialect differ."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from sluicegate.wires import terms


@dataclass(frozen=True, slots=True)
class Dialect:
    """How one of those who serve the Messages API differs from the others.

    `provider` tags sealed reasoning. `body_version` goes into the body as `anthropic_version`,
    where the model is then not named. `sampling` False: the version refuses it for every model.
    """

    provider: str
    body_version: str | None = None
    sampling: bool = True
    inline_system: bool = True  # messages of role system, where the model takes them
    url_sources: bool = True  # images and documents by URL
    service_tiers: bool = True


Terms: TypeAlias = terms.Terms[Dialect]

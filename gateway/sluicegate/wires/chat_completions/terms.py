"""How those who speak this dialect differ."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from sluicegate.wires import terms


@dataclass(frozen=True, slots=True)
class Dialect:
    """Who answers. `provider` tags sealed reasoning.

    `own`: OpenAI's own service, which knows every parameter of its definition and wants the newer
    ones. Those who imitate it know a part, and some refuse a request that has more.
    """

    provider: str
    own: bool


Terms: TypeAlias = terms.Terms[Dialect]

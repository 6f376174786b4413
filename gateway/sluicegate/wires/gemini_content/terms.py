"""How those who speak this dialect differ."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from sluicegate.wires import terms


@dataclass(frozen=True, slots=True)
class Dialect:
    """How the two who serve `generateContent` differ. `provider` tags sealed reasoning.

    `tier_in_body`: the service tier is named in the body, not in headers. `mixed_tools_flag`:
    search beside functions has to be asked for. `excluded_domains`: a search can leave some out.
    `web_addresses`: images and files are fetched by URL for every model. `call_ids`: a call in the
    history may carry its id; else results find their calls by their order.
    """

    provider: str
    tier_in_body: bool
    mixed_tools_flag: bool
    excluded_domains: bool
    web_addresses: bool
    call_ids: bool


Terms: TypeAlias = terms.Terms[Dialect]

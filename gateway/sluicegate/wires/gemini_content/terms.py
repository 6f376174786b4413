"""What holds for every request of one deployment."""

from __future__ import annotations

from dataclasses import dataclass

from sluicegate.config import Deployment, ModelInfo, Parameters


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


@dataclass(frozen=True, slots=True)
class Terms:
    """A deployment's part of a translation. `label` names it in errors."""

    dialect: Dialect
    label: str
    model_info: ModelInfo
    drop_parameters: bool
    drop_tools: bool
    parameters: Parameters | None  # None: none are set

    @classmethod
    def of(cls, deployment: Deployment, dialect: Dialect) -> Terms:
        """The terms of a deployment."""
        return cls(
            dialect=dialect,
            label=f"{deployment.namespace}/{deployment.name}",
            model_info=deployment.model_info,
            drop_parameters=deployment.unsupported_parameters == "Drop",
            drop_tools=deployment.unsupported_tools == "Drop",
            parameters=deployment.parameters if deployment.parameters != Parameters() else None,
        )

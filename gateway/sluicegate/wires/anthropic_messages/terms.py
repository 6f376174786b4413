"""What holds for every request of one deployment."""

from __future__ import annotations

from dataclasses import dataclass

from sluicegate.config import Deployment, ModelInfo, Parameters


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

"""What holds for every request of one deployment."""

from __future__ import annotations

from dataclasses import dataclass

from sluicegate.config import Deployment, ModelInfo, Parameters


@dataclass(frozen=True, slots=True)
class Dialect:
    """Who answers. `provider` tags sealed reasoning.

    `own`: OpenAI's own service, which knows every parameter of its definition and wants the newer
    ones. Those who imitate it know a part, and some refuse a request that has more.
    """

    provider: str
    own: bool


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

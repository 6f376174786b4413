"""What holds for every request of one deployment, whatever its dialect."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from sluicegate.config import Deployment, ModelInfo, Parameters

DialectT = TypeVar("DialectT")


@dataclass(frozen=True, slots=True)
class Terms(Generic[DialectT]):
    """A deployment's part of a translation. `label` names it in errors.

    `dialect`: how one of those who speak it differs from the others.
    """

    dialect: DialectT
    label: str
    model_info: ModelInfo
    drop_parameters: bool
    drop_tools: bool
    parameters: Parameters | None  # None: none are set

    @classmethod
    def of(cls, deployment: Deployment, dialect: DialectT) -> Terms[DialectT]:
        """The terms of a deployment."""
        return cls(
            dialect=dialect,
            label=f"{deployment.namespace}/{deployment.name}",
            model_info=deployment.model_info,
            drop_parameters=deployment.unsupported_parameters == "Drop",
            drop_tools=deployment.unsupported_tools == "Drop",
            parameters=deployment.parameters if deployment.parameters != Parameters() else None,
        )

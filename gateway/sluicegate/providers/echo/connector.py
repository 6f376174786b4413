"""An echo deployment made ready."""

from __future__ import annotations

from collections.abc import Mapping

from sluicegate.api.request import ResponsesRequest
from sluicegate.config import Credential, Deployment, EchoUpstream, Parameters
from sluicegate.providers.echo.events import EchoTranslator


class EchoConnector:
    """One deployment."""

    __slots__ = ("_parameters", "_upstream")

    provider = "echo"

    def __init__(self, upstream: EchoUpstream, parameters: Parameters) -> None:
        self._upstream = upstream
        self._parameters = parameters if parameters != Parameters() else None

    def translator(self, request: ResponsesRequest, model: str) -> EchoTranslator:
        """A translator that makes the whole answer. `model` is what the answer names."""
        return EchoTranslator(request, model, self._upstream, self._parameters)


class _Echo:
    def connector(
        self,
        deployment: Deployment,
        credential: Credential,  # noqa: ARG002 - nobody asks for one
        environ: Mapping[str, str],  # noqa: ARG002 - as the credential
    ) -> EchoConnector:
        upstream = deployment.upstream
        if not isinstance(upstream, EchoUpstream):
            raise TypeError(f"not an echo deployment: {deployment.id}")
        return EchoConnector(upstream, deployment.parameters)


PROVIDER = _Echo()

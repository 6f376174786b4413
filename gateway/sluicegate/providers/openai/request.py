"""What is sent to an upstream that speaks `/responses`.

The client's body with the upstream's model name.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from sluicegate.api.request import ResponsesRequest, merge_parameters, replace_model
from sluicegate.config import (
    AmbientCredential,
    Credential,
    Deployment,
    OpenAIUpstream,
    Parameters,
    SecretCredential,
)
from sluicegate.providers.contract import UpstreamCall
from sluicegate.providers.openai.events import PassthroughTranslator
from sluicegate.routing.snapshot import Unavailable

_ENVIRONMENT = "OPENAI_API_KEY"
_JSON = (b"content-type", b"application/json")


class OpenAIConnector:
    """One deployment: its address and the headers that never change."""

    __slots__ = ("_headers", "_label", "_parameters", "_target", "base_url")

    provider = "openai"

    def __init__(self, deployment: Deployment, upstream: OpenAIUpstream, key: str) -> None:
        self.base_url = upstream.base_url
        self._target = urlsplit(upstream.base_url).path.rstrip("/") + "/responses"
        self._headers = _headers(deployment, upstream, key)
        self._parameters = deployment.parameters if deployment.parameters != Parameters() else None
        self._label = f"{deployment.namespace}/{deployment.name}"

    def translator(self, request: ResponsesRequest, model: str) -> PassthroughTranslator:
        """A translator that sends the client's own bytes."""
        body = request.body
        if self._parameters is not None:
            body = merge_parameters(body, self._parameters.defaults, self._parameters.overrides)
        if model != request.model:
            body = replace_model(body, model)
        call = UpstreamCall(self.base_url, "POST", self._target, self._headers, body)
        return PassthroughTranslator(call, self._label)


def _headers(
    deployment: Deployment, upstream: OpenAIUpstream, key: str
) -> tuple[tuple[bytes, bytes], ...]:
    # Azure OpenAI takes the key in `api-key`, everybody else as a bearer token.
    credential = (
        (b"api-key", key.encode())
        if upstream.auth == "ApiKey"
        else (b"authorization", b"Bearer " + key.encode())
    )
    optional = (
        (b"openai-organization", upstream.organization),
        (b"openai-project", upstream.project),
    )
    return (
        _JSON,
        credential,
        *((name, value.encode()) for name, value in optional if value is not None),
        *((name.lower().encode(), value.encode()) for name, value in deployment.headers),
    )


class _OpenAI:
    def connector(
        self, deployment: Deployment, credential: Credential, environ: Mapping[str, str]
    ) -> OpenAIConnector:
        upstream = deployment.upstream
        if not isinstance(upstream, OpenAIUpstream):
            raise TypeError(f"not an OpenAI deployment: {deployment.id}")
        if upstream.api != "Responses":
            raise Unavailable(f"api: {upstream.api} is not supported yet; use api: Responses")
        match credential:
            case SecretCredential(value=key):
                return OpenAIConnector(deployment, upstream, key)
            case AmbientCredential():
                ambient = environ.get(_ENVIRONMENT)
                if not ambient:
                    raise Unavailable(
                        "has no credentials: set spec.credentials, "
                        f"or {_ENVIRONMENT} in the gateway's environment"
                    )
                return OpenAIConnector(deployment, upstream, ambient)
            case _:
                raise Unavailable("its credential is not a single key")


PROVIDER = _OpenAI()

"""What is sent to an upstream that speaks `/responses`.

The client's body with the upstream's model name.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from sluicegate.api.request import ResponsesRequest, merge_parameters, replace_model
from sluicegate.api.sealed import without_sealed
from sluicegate.config import Credential, Deployment, OpenAIUpstream, Parameters
from sluicegate.providers.contract import UpstreamCall
from sluicegate.providers.openai.chat import ChatConnector
from sluicegate.providers.openai.events import PassthroughTranslator
from sluicegate.providers.openai.headers import headers_of, key_of


class OpenAIConnector:
    """One deployment: its address and the headers that never change."""

    __slots__ = ("_headers", "_label", "_parameters", "_target", "base_url")

    provider = "openai"

    def __init__(self, deployment: Deployment, upstream: OpenAIUpstream, key: str) -> None:
        self.base_url = upstream.base_url
        self._target = urlsplit(upstream.base_url).path.rstrip("/") + "/responses"
        self._headers = headers_of(deployment, upstream, key)
        self._parameters = deployment.parameters if deployment.parameters != Parameters() else None
        self._label = f"{deployment.namespace}/{deployment.name}"

    def translator(self, request: ResponsesRequest, model: str) -> PassthroughTranslator:
        """A translator that sends the client's own bytes, but what only others can read."""
        body = without_sealed(request.body)
        if self._parameters is not None:
            body = merge_parameters(body, self._parameters.defaults, self._parameters.overrides)
        if model != request.model:
            body = replace_model(body, model)
        call = UpstreamCall(self.base_url, "POST", self._target, self._headers, body)
        return PassthroughTranslator(call, self._label)


class _OpenAI:
    def connector(
        self, deployment: Deployment, credential: Credential, environ: Mapping[str, str]
    ) -> OpenAIConnector | ChatConnector:
        upstream = deployment.upstream
        if not isinstance(upstream, OpenAIUpstream):
            raise TypeError(f"not an OpenAI deployment: {deployment.id}")
        key = key_of(credential, environ)
        if upstream.api == "ChatCompletions":
            return ChatConnector(deployment, upstream, key)
        return OpenAIConnector(deployment, upstream, key)


PROVIDER = _OpenAI()

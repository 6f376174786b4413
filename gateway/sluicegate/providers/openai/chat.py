"""Where a chat completion goes, for upstreams that have no `/responses`."""

from __future__ import annotations

from urllib.parse import urlsplit

from sluicegate.api.request import ResponsesRequest
from sluicegate.config import Deployment, OpenAIUpstream
from sluicegate.providers.contract import UpstreamCall
from sluicegate.providers.openai.headers import headers_of
from sluicegate.wires.chat_completions import CompletionTranslator, Dialect, Terms

_PATH = "/chat/completions"
_OWN_HOSTS = (".openai.com", ".openai.azure.com", ".openai.azure.us")
_OTHER_MODELS = ".ai.azure.com"  # Azure's service for models of others has OpenAI's form of a key


class ChatTranslator(CompletionTranslator):
    """One attempt."""

    def __init__(self, connector: ChatConnector, request: ResponsesRequest, model: str) -> None:
        super().__init__(request, model, connector.terms, connector.secrets)
        self._connector = connector

    def request(self) -> UpstreamCall:
        """What to send. Raises ApiError (400)."""
        connector = self._connector
        return UpstreamCall(
            connector.base_url, "POST", connector.target, connector.headers, self.body()
        )


class ChatConnector:
    """One deployment: its address and the headers that never change."""

    __slots__ = ("base_url", "headers", "secrets", "target", "terms")

    provider = "openai"

    def __init__(self, deployment: Deployment, upstream: OpenAIUpstream, key: str) -> None:
        address = urlsplit(upstream.base_url)
        self.base_url = upstream.base_url
        self.target = address.path.rstrip("/") + _PATH
        self.headers = headers_of(deployment, upstream, key)
        self.secrets = (key,)
        own = _is_own(f".{address.hostname}", upstream)
        self.terms = Terms.of(deployment, Dialect(self.provider, own=own))

    def __repr__(self) -> str:  # it holds the key
        return f"ChatConnector({self.terms.label})"

    def translator(self, request: ResponsesRequest, model: str) -> ChatTranslator:
        """A fresh translator; `model` is the upstream's name of the model."""
        return ChatTranslator(self, request, model)


def _is_own(host: str, upstream: OpenAIUpstream) -> bool:
    """Whether OpenAI's own service is behind it, perhaps Azure's behind a name of one's own."""
    azure = upstream.auth == "ApiKey" and not host.endswith(_OTHER_MODELS)
    return azure or host.endswith(_OWN_HOSTS)

"""What is sent to Vertex AI: one connector per publisher, one credential for both."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from sluicegate.api.request import ResponsesRequest
from sluicegate.config import (
    AmbientCredential,
    Credential,
    Deployment,
    GoogleCredential,
    SecretCredential,
    VertexAIUpstream,
)
from sluicegate.model import ApiError
from sluicegate.providers.contract import GoogleToken, UpstreamCall
from sluicegate.providers.vertex_ai.address import base_url, location_path, model_path
from sluicegate.routing.snapshot import Unavailable
from sluicegate.wires import anthropic_messages, gemini_content
from sluicegate.wires.anthropic_messages import MessagesTranslator
from sluicegate.wires.gemini_content import ContentTranslator

_Headers: TypeAlias = tuple[tuple[bytes, bytes], ...]

_PROVIDER = "vertex_ai"
_CONTENT = gemini_content.Dialect(
    _PROVIDER,
    tier_in_body=False,
    mixed_tools_flag=False,
    excluded_domains=True,
    web_addresses=True,
    call_ids=False,
)
# Vertex AI takes neither the model nor a header for the version, and fetches nothing for Claude.
_MESSAGES = anthropic_messages.Dialect(
    _PROVIDER,
    body_version="vertex-2023-10-16",
    inline_system=False,
    url_sources=False,
    service_tiers=False,
)
# Vertex AI, "Flex PayGo" and "Priority PayGo".
_TIERS: Mapping[str, _Headers] = {
    tier: (
        (b"x-vertex-ai-llm-request-type", b"shared"),
        (b"x-vertex-ai-llm-shared-request-type", tier.encode()),
    )
    for tier in ("flex", "priority")
}


class _Deployment:
    """What both publishers' connectors hold: address, headers, credential."""

    __slots__ = ("authorization", "base_url", "headers", "path", "publisher", "secrets")

    provider = _PROVIDER

    def __init__(
        self,
        deployment: Deployment,
        upstream: VertexAIUpstream,
        credential: GoogleToken | SecretCredential,
    ) -> None:
        self.base_url = base_url(upstream)
        self.path = location_path(upstream)
        self.publisher = upstream.publisher
        headers = {name.lower(): value for name, value in deployment.headers}
        headers["content-type"] = "application/json"
        self.authorization = credential if isinstance(credential, GoogleToken) else None
        self.secrets: tuple[str, ...] = ()
        if isinstance(credential, SecretCredential):
            headers["authorization"] = f"Bearer {credential.value}"
            self.secrets = (credential.value,)
        self.headers = tuple((name.encode(), value.encode()) for name, value in headers.items())

    def call(self, model: str, verb: str, body: bytes, more: _Headers = ()) -> UpstreamCall:
        """A call of the model's method `verb`."""
        target = f"{self.path}/{model_path(self.publisher, model)}:{verb}"
        headers = (*self.headers, *more)
        return UpstreamCall(self.base_url, "POST", target, headers, body, self.authorization)


# ----------------------------------------------------------------------------------------- Gemini


class VertexContentTranslator(ContentTranslator):
    """One attempt at a model of Google's."""

    def __init__(
        self, connector: VertexContentConnector, request: ResponsesRequest, model: str
    ) -> None:
        super().__init__(request, model, connector.terms, connector.secrets)
        self._connector = connector
        self._name = model
        self._verb = "streamGenerateContent?alt=sse" if request.stream else "generateContent"

    def request(self) -> UpstreamCall:
        """What to send. Raises ApiError (400)."""
        body = self.body()
        tier = _TIERS.get(self.tier or "", ())
        return self._connector.call(self._name, self._verb, body, tier)


class VertexContentConnector(_Deployment):
    """One deployment of a model of Google's."""

    __slots__ = ("terms",)

    def __init__(
        self,
        deployment: Deployment,
        upstream: VertexAIUpstream,
        credential: GoogleToken | SecretCredential,
    ) -> None:
        super().__init__(deployment, upstream, credential)
        self.terms = gemini_content.Terms.of(deployment, _CONTENT)

    def __repr__(self) -> str:  # it may hold a token
        return f"VertexContentConnector({self.terms.label})"

    def translator(self, request: ResponsesRequest, model: str) -> VertexContentTranslator:
        """A fresh translator; `model` is Vertex AI's name of the model."""
        return VertexContentTranslator(self, request, model)


# ----------------------------------------------------------------------------------------- Claude


class VertexMessagesTranslator(MessagesTranslator):
    """One attempt at a model of Anthropic's."""

    def __init__(
        self, connector: VertexMessagesConnector, request: ResponsesRequest, model: str
    ) -> None:
        super().__init__(request, model, connector.terms, connector.secrets)
        self._connector = connector
        self._name = model
        self._verb = "streamRawPredict" if request.stream else "rawPredict"

    def request(self) -> UpstreamCall:
        """What to send. Raises ApiError (400)."""
        return self._connector.call(self._name, self._verb, self.body())

    def error(self, status: int, headers: Mapping[str, str], body: bytes) -> ApiError:
        """The client's error: Vertex AI's own are in Google's form, the model's in Anthropic's."""
        if gemini_content.is_status(body):
            connector = self._connector
            return gemini_content.http_error(
                connector.terms.label, status, headers, body, connector.secrets
            )
        return super().error(status, headers, body)


class VertexMessagesConnector(_Deployment):
    """One deployment of a model of Anthropic's."""

    __slots__ = ("terms",)

    def __init__(
        self,
        deployment: Deployment,
        upstream: VertexAIUpstream,
        credential: GoogleToken | SecretCredential,
    ) -> None:
        super().__init__(deployment, upstream, credential)
        self.terms = anthropic_messages.Terms.of(deployment, _MESSAGES)

    def __repr__(self) -> str:  # it may hold a token
        return f"VertexMessagesConnector({self.terms.label})"

    def translator(self, request: ResponsesRequest, model: str) -> VertexMessagesTranslator:
        """A fresh translator; `model` is Vertex AI's name of the model."""
        return VertexMessagesTranslator(self, request, model)


class _VertexAI:
    def connector(
        self,
        deployment: Deployment,
        credential: Credential,
        environ: Mapping[str, str],  # noqa: ARG002 - ambient credentials take I/O: see auth/
    ) -> VertexContentConnector | VertexMessagesConnector:
        upstream = deployment.upstream
        if not isinstance(upstream, VertexAIUpstream):
            raise TypeError(f"not a Vertex AI deployment: {deployment.id}")
        match credential:
            case GoogleCredential() | AmbientCredential():
                presented = GoogleToken(credential)
            case SecretCredential(value=token):  # an access token that somebody else renews
                if not (token.isascii() and token.isprintable()):
                    raise Unavailable("its token has characters that no header can hold")
                presented = credential
            case _:
                raise Unavailable("its credential is not Google's")
        if upstream.publisher == "anthropic":
            return VertexMessagesConnector(deployment, upstream, presented)
        return VertexContentConnector(deployment, upstream, presented)


PROVIDER = _VertexAI()

"""Where a Messages request goes at Anthropic, and what it is signed with."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from sluicegate.api.request import ResponsesRequest
from sluicegate.config import (
    AmbientCredential,
    AnthropicUpstream,
    Credential,
    Deployment,
    SecretCredential,
)
from sluicegate.providers.contract import UpstreamCall
from sluicegate.routing.snapshot import Unavailable
from sluicegate.wires.anthropic_messages import Dialect, MessagesTranslator, Terms

_ENVIRONMENT = "ANTHROPIC_API_KEY"
_PATH = "/v1/messages"
# From this version on temperature and top_p are refused, whatever the model.
_NO_SAMPLING_SINCE = "2026-10-21"


class AnthropicTranslator(MessagesTranslator):
    """One attempt."""

    def __init__(
        self, connector: AnthropicConnector, request: ResponsesRequest, model: str
    ) -> None:
        super().__init__(request, model, connector.terms, connector.secrets)
        self._connector = connector

    def request(self) -> UpstreamCall:
        """What to send. Raises ApiError (400)."""
        connector = self._connector
        return UpstreamCall(
            connector.base_url, "POST", connector.target, connector.headers, self.body()
        )


class AnthropicConnector:
    """One deployment: its address and the headers that never change."""

    __slots__ = ("base_url", "headers", "secrets", "target", "terms")

    provider = "anthropic"

    def __init__(self, deployment: Deployment, upstream: AnthropicUpstream, key: str) -> None:
        self.base_url = upstream.base_url
        self.target = urlsplit(upstream.base_url).path.rstrip("/") + _PATH
        self.headers = _headers(deployment, upstream, key)
        self.secrets = (key,)
        dialect = Dialect(self.provider, sampling=upstream.version < _NO_SAMPLING_SINCE)
        self.terms = Terms.of(deployment, dialect)

    def __repr__(self) -> str:  # it holds the key
        return f"AnthropicConnector({self.terms.label})"

    def translator(self, request: ResponsesRequest, model: str) -> AnthropicTranslator:
        """A fresh translator; `model` is Anthropic's name of the model."""
        return AnthropicTranslator(self, request, model)


def _headers(
    deployment: Deployment, upstream: AnthropicUpstream, key: str
) -> tuple[tuple[bytes, bytes], ...]:
    headers = {"anthropic-version": upstream.version}
    headers |= {name.lower(): value for name, value in deployment.headers}
    betas = (*upstream.betas, *filter(None, (headers.get("anthropic-beta"),)))
    if betas:
        headers["anthropic-beta"] = ",".join(betas)
    headers |= {"content-type": "application/json", "x-api-key": key}
    return tuple((name.encode(), value.encode()) for name, value in headers.items())


class _Anthropic:
    def connector(
        self, deployment: Deployment, credential: Credential, environ: Mapping[str, str]
    ) -> AnthropicConnector:
        upstream = deployment.upstream
        if not isinstance(upstream, AnthropicUpstream):
            raise TypeError(f"not an Anthropic deployment: {deployment.id}")
        match credential:
            case SecretCredential(value=key):
                pass
            case AmbientCredential():
                key = environ.get(_ENVIRONMENT, "")
                if not key:
                    raise Unavailable(
                        "has no credentials: set spec.credentials, "
                        f"or {_ENVIRONMENT} in the gateway's environment"
                    )
            case _:
                raise Unavailable("its credential is not a single key")
        if not (key.isascii() and key.isprintable()):
            raise Unavailable("its key has characters that no header can hold")
        return AnthropicConnector(deployment, upstream, key)


PROVIDER = _Anthropic()

"""Where a request goes at the Gemini API, and the key that goes with it."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote, urlsplit

from sluicegate.api.request import ResponsesRequest
from sluicegate.config import (
    AmbientCredential,
    Credential,
    Deployment,
    GeminiUpstream,
    SecretCredential,
)
from sluicegate.providers.contract import UpstreamCall
from sluicegate.routing.snapshot import Unavailable
from sluicegate.wires.gemini_content import ContentTranslator, Dialect, Terms

_ENVIRONMENT = ("GEMINI_API_KEY", "GOOGLE_API_KEY")  # the first that is set
_VERSION = "/v1beta"
_COLLECTIONS = ("models/", "tunedModels/")
_DIALECT = Dialect(
    "gemini",
    tier_in_body=True,
    mixed_tools_flag=True,
    excluded_domains=False,
    web_addresses=False,
    call_ids=True,
)


class GeminiTranslator(ContentTranslator):
    """One attempt."""

    def __init__(self, connector: GeminiConnector, request: ResponsesRequest, model: str) -> None:
        super().__init__(request, model, connector.terms, connector.secrets)
        self._connector = connector
        self._stream = request.stream
        self._name = model

    def request(self) -> UpstreamCall:
        """What to send. Raises ApiError (400)."""
        connector = self._connector
        verb = ":streamGenerateContent?alt=sse" if self._stream else ":generateContent"
        target = f"{connector.path}/{_resource(self._name)}{verb}"
        return UpstreamCall(connector.base_url, "POST", target, connector.headers, self.body())


class GeminiConnector:
    """One deployment: its address and the headers that never change."""

    __slots__ = ("base_url", "headers", "path", "secrets", "terms")

    provider = "gemini"

    def __init__(self, deployment: Deployment, upstream: GeminiUpstream, key: str) -> None:
        self.base_url = upstream.base_url
        self.path = urlsplit(upstream.base_url).path.rstrip("/") + _VERSION
        self.headers = _headers(deployment, key)
        self.secrets = (key,)
        self.terms = Terms.of(deployment, _DIALECT)

    def __repr__(self) -> str:  # it holds the key
        return f"GeminiConnector({self.terms.label})"

    def translator(self, request: ResponsesRequest, model: str) -> GeminiTranslator:
        """A fresh translator; `model` is the API's name of the model."""
        return GeminiTranslator(self, request, model)


def _resource(model: str) -> str:
    """The model's path. A name may come from a client: it names one segment, whatever is in it."""
    collection = next((each for each in _COLLECTIONS if model.startswith(each)), "")
    name = quote(model.removeprefix(collection), safe="@")
    return f"{collection or _COLLECTIONS[0]}{name}"


def _headers(deployment: Deployment, key: str) -> tuple[tuple[bytes, bytes], ...]:
    headers = {name.lower(): value for name, value in deployment.headers}
    headers |= {"content-type": "application/json", "x-goog-api-key": key}
    return tuple((name.encode(), value.encode()) for name, value in headers.items())


class _Gemini:
    def connector(
        self, deployment: Deployment, credential: Credential, environ: Mapping[str, str]
    ) -> GeminiConnector:
        upstream = deployment.upstream
        if not isinstance(upstream, GeminiUpstream):
            raise TypeError(f"not a Gemini deployment: {deployment.id}")
        match credential:
            case SecretCredential(value=key):
                pass
            case AmbientCredential():
                key = next((environ[name] for name in _ENVIRONMENT if environ.get(name)), "")
                if not key:
                    raise Unavailable(
                        "has no credentials: set spec.credentials, "
                        f"or {_ENVIRONMENT[0]} in the gateway's environment"
                    )
            case _:
                raise Unavailable("its credential is not a single key")
        if not (key.isascii() and key.isprintable()):
            raise Unavailable("its key has characters that no header can hold")
        return GeminiConnector(deployment, upstream, key)


PROVIDER = _Gemini()

"""A Bedrock deployment made ready: address, path and the way it proves who calls."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from urllib.parse import quote, urlsplit

from sluicegate.api.request import ResponsesRequest
from sluicegate.config import (
    AmbientCredential,
    AwsCredential,
    BedrockUpstream,
    Credential,
    Deployment,
    SecretCredential,
)
from sluicegate.model import ApiError
from sluicegate.providers.bedrock.errors import Source
from sluicegate.providers.bedrock.translator import BedrockTranslator
from sluicegate.providers.contract import AwsSigning, UpstreamCall
from sluicegate.routing.snapshot import Unavailable

# The AWS SDKs' own names. A bearer token goes before every other credential there, too.
_BEARER = "AWS_BEARER_TOKEN_BEDROCK"
_ENDPOINT = "AWS_ENDPOINT_URL_BEDROCK_RUNTIME"
_SERVICE = "bedrock"  # as signatures name it, not bedrock-runtime
_ARN = re.compile(r"arn:aws[a-z-]*:[a-z]+:(?P<region>[a-z]{2,4}(?:-[a-z]+)+-[0-9]+):.*")
_JSON = (b"content-type", b"application/json")
_DOTS = frozenset({".", ".."})


class BedrockConnector:
    """One deployment."""

    __slots__ = (
        "_authorization",
        "_deployment",
        "_headers",
        "_prefix",
        "_source",
        "base_url",
    )

    provider = "bedrock"

    def __init__(
        self, deployment: Deployment, base_url: str, region: str, key: str | _SignedBy
    ) -> None:
        self.base_url = base_url
        self._prefix = urlsplit(base_url).path.rstrip("/")
        self._deployment = deployment
        bearer = key if isinstance(key, str) else None
        self._authorization = (
            AwsSigning(key, region, _SERVICE) if not isinstance(key, str) else None
        )
        self._source = Source(f"{deployment.namespace}/{deployment.name}", _secrets(key))
        self._headers = (
            _JSON,
            *(((b"authorization", b"Bearer " + bearer.encode()),) if bearer else ()),
            *((name.lower().encode(), value.encode()) for name, value in deployment.headers),
        )

    def translator(self, request: ResponsesRequest, model: str) -> BedrockTranslator:
        """A translator of this request."""
        operation = "converse-stream" if request.stream else "converse"

        def call(body: bytes) -> UpstreamCall:
            return UpstreamCall(
                self.base_url,
                "POST",
                f"{self._prefix}/model/{_path_segment(model)}/{operation}",
                self._headers,
                body,
                self._authorization,
            )

        return BedrockTranslator(request, model, self._deployment, self._source, call)


_SignedBy = AwsCredential | AmbientCredential


@lru_cache(maxsize=1024)
def _path_segment(model: str) -> str:
    """The model in the path, where `:` and `/` are quoted, as the AWS SDKs do. Raises ApiError."""
    if model in _DOTS:
        raise ApiError(
            400,
            f"The requested model '{model}' does not exist.",
            code="model_not_found",
            param="model",
        )
    return quote(model, safe="")


def _secrets(key: str | _SignedBy) -> tuple[str, ...]:
    match key:
        case str():
            return (key,)
        case AwsCredential(secret_access_key=secret, session_token=token):
            return tuple(value for value in (secret, token) if value)
        case AmbientCredential():
            return ()


class _Bedrock:
    def connector(
        self, deployment: Deployment, credential: Credential, environ: Mapping[str, str]
    ) -> BedrockConnector:
        upstream = deployment.upstream
        if not isinstance(upstream, BedrockUpstream):
            raise TypeError(f"not a Bedrock deployment: {deployment.id}")
        region = _region(upstream)
        base_url = upstream.base_url or environ.get(_ENDPOINT) or _endpoint(region)
        if not base_url.startswith(("https://", "http://")):
            raise Unavailable(f"{_ENDPOINT} must be an http or https URL")
        match credential:
            case SecretCredential(value=key):
                return BedrockConnector(deployment, base_url, region, key)
            case AwsCredential():
                return BedrockConnector(deployment, base_url, region, credential)
            case AmbientCredential():
                bearer = environ.get(_BEARER)
                return BedrockConnector(deployment, base_url, region, bearer or credential)
            case _:
                raise Unavailable("its credential is neither AWS credentials nor a single key")


def _region(upstream: BedrockUpstream) -> str:
    """The deployment's, but a model's ARN says where the model is."""
    arn = _ARN.fullmatch(upstream.model)
    return arn["region"] if arn is not None else upstream.region


def _endpoint(region: str) -> str:
    suffix = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
    return f"https://bedrock-runtime.{region}.{suffix}"


PROVIDER = _Bedrock()

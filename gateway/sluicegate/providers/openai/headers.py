"""The headers of a deployment's calls, and the key that is in them; the same for both APIs."""

from __future__ import annotations

from collections.abc import Mapping

from sluicegate.config import (
    AmbientCredential,
    Credential,
    Deployment,
    OpenAIUpstream,
    SecretCredential,
)
from sluicegate.routing.snapshot import Unavailable

_ENVIRONMENT = "OPENAI_API_KEY"
_JSON = (b"content-type", b"application/json")


def key_of(credential: Credential, environ: Mapping[str, str]) -> str:
    """The key. Raises Unavailable where there is none."""
    match credential:
        case SecretCredential(value=key):
            return key
        case AmbientCredential():
            ambient = environ.get(_ENVIRONMENT)
            if not ambient:
                raise Unavailable(
                    "has no credentials: set spec.credentials, "
                    f"or {_ENVIRONMENT} in the gateway's environment"
                )
            return ambient
        case _:
            raise Unavailable("its credential is not a single key")


def headers_of(
    deployment: Deployment, upstream: OpenAIUpstream, key: str
) -> tuple[tuple[bytes, bytes], ...]:
    """Names are in lower case."""
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

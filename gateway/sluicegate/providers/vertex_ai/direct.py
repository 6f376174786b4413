"""Vertex AI without a deployment: project, location and a Google identity.

The identity is `vertex_credentials`, else an access token (`api_key`), else application default
credentials.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal

import msgspec

from sluicegate.config import (
    AmbientCredential,
    Credential,
    GoogleCredential,
    SecretCredential,
    VertexAIUpstream,
)
from sluicegate.providers.direct import (
    DirectOptions,
    NotConfigured,
    first,
    matching,
    sendable,
)

# They become part of a host and a path.
_PROJECT = re.compile(r"[a-z0-9][a-z0-9.:-]{0,127}", re.ASCII)
_LOCATION = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*", re.ASCII)
# LiteLLM's names go first, then those of Google's own SDK.
_PROJECT_VARIABLES = ("VERTEXAI_PROJECT", "GOOGLE_CLOUD_PROJECT")
_LOCATION_VARIABLES = ("VERTEXAI_LOCATION", "GOOGLE_CLOUD_LOCATION")
_BASE_URL_VARIABLES: Mapping[str, str] = {
    "google": "GOOGLE_VERTEX_BASE_URL",
    "anthropic": "ANTHROPIC_VERTEX_BASE_URL",
}
_ANTHROPIC = "claude-"  # how the names of Anthropic's models begin in the Model Garden


class _File(msgspec.Struct):
    """What a credential file says of the project it belongs to."""

    project_id: str | None = None


_file = msgspec.json.Decoder(_File)


class _VertexAI:
    name = "vertex_ai"
    credentials_from = (
        "pass vertex_credentials (or an access token as api_key), set "
        "GOOGLE_APPLICATION_CREDENTIALS, or log in: gcloud auth application-default login"
    )

    def resolve(
        self, model: str, options: DirectOptions, environ: Mapping[str, str]
    ) -> tuple[VertexAIUpstream, Credential]:
        project = first(
            options.vertex_project,
            *(environ.get(name) for name in _PROJECT_VARIABLES),
            _project_of(options.google_credentials),
        )
        location = first(
            options.vertex_location, *(environ.get(name) for name in _LOCATION_VARIABLES)
        )
        if project is None:
            raise NotConfigured("no project: pass vertex_project, or set VERTEXAI_PROJECT")
        if location is None:
            raise NotConfigured("no location: pass vertex_location, or set VERTEXAI_LOCATION")
        publisher: Literal["google", "anthropic"] = (
            "anthropic" if model.startswith(_ANTHROPIC) else "google"
        )
        base_url = first(options.base_url, environ.get(_BASE_URL_VARIABLES[publisher]))
        upstream = VertexAIUpstream(
            model,
            project=matching("vertex_project", project, _PROJECT),
            location=matching("vertex_location", location, _LOCATION),
            publisher=publisher,
            base_url=base_url,
        )
        return upstream, _credential(options)


def _credential(options: DirectOptions) -> Credential:
    if options.google_credentials:
        return GoogleCredential(options.google_credentials)
    if options.api_key:
        return SecretCredential(sendable("the access token", options.api_key))
    return AmbientCredential()


def _project_of(credentials: str | None) -> str | None:
    if not credentials:
        return None
    try:
        return _file.decode(credentials).project_id
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None  # what is wrong with it is told where it is used


DIRECT = _VertexAI()

"""OpenAI without a deployment: the keywords and variables of OpenAI's own SDK."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

from sluicegate.config import OpenAIUpstream, SecretCredential
from sluicegate.providers.direct import (
    DirectOptions,
    NotConfigured,
    first,
    key_from,
    sendable,
    single_key,
)

_KEY = "OPENAI_API_KEY"
_BASE_URL = "https://api.openai.com/v1"

_APIS: Mapping[str, Literal["Responses", "ChatCompletions"]] = MappingProxyType(
    {"responses": "Responses", "chat_completions": "ChatCompletions"}
)


class _OpenAI:
    name = "openai"
    credentials_from = key_from(_KEY)

    def resolve(
        self, model: str, options: DirectOptions, environ: Mapping[str, str]
    ) -> tuple[OpenAIUpstream, SecretCredential]:
        organization = first(options.organization, environ.get("OPENAI_ORG_ID"))
        project = first(options.project, environ.get("OPENAI_PROJECT_ID"))
        upstream = OpenAIUpstream(
            model,
            base_url=first(options.base_url, environ.get("OPENAI_BASE_URL")) or _BASE_URL,
            organization=organization and sendable("organization", organization),
            project=project and sendable("project", project),
            api=_api(options.api),
        )
        return upstream, single_key(options, environ, _KEY)


def _api(given: str | None) -> Literal["Responses", "ChatCompletions"]:
    api = _APIS.get(given or "responses")
    if api is None:
        raise NotConfigured(f"api must be one of {', '.join(_APIS)}")
    return api


DIRECT = _OpenAI()

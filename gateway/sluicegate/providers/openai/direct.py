"""OpenAI without a deployment: the keywords and variables of OpenAI's own SDK."""

from __future__ import annotations

from collections.abc import Mapping

from sluicegate.config import OpenAIUpstream, SecretCredential
from sluicegate.providers.direct import DirectOptions, first, sendable, single_key

_BASE_URL = "https://api.openai.com/v1"


class _OpenAI:
    name = "openai"

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
        )
        return upstream, single_key(options, environ, "OPENAI_API_KEY")


DIRECT = _OpenAI()

"""Anthropic without a deployment: the keywords and variables of Anthropic's own SDK."""

from __future__ import annotations

from collections.abc import Mapping

from sluicegate.config import AnthropicUpstream, SecretCredential
from sluicegate.providers.direct import DirectOptions, first, single_key

_BASE_URL = "https://api.anthropic.com"


class _Anthropic:
    name = "anthropic"

    def resolve(
        self, model: str, options: DirectOptions, environ: Mapping[str, str]
    ) -> tuple[AnthropicUpstream, SecretCredential]:
        base_url = first(options.base_url, environ.get("ANTHROPIC_BASE_URL")) or _BASE_URL
        credential = single_key(options, environ, "ANTHROPIC_API_KEY")
        return AnthropicUpstream(model, base_url=base_url), credential


DIRECT = _Anthropic()

"""Anthropic without a deployment: the keywords and variables of Anthropic's own SDK."""

from __future__ import annotations

from collections.abc import Mapping

from sluicegate.config import AnthropicUpstream, SecretCredential
from sluicegate.providers.direct import DirectOptions, first, key_from, single_key

_KEY = "ANTHROPIC_API_KEY"
_BASE_URL = "https://api.anthropic.com"


class _Anthropic:
    name = "anthropic"
    credentials_from = key_from(_KEY)

    def resolve(
        self, model: str, options: DirectOptions, environ: Mapping[str, str]
    ) -> tuple[AnthropicUpstream, SecretCredential]:
        base_url = first(options.base_url, environ.get("ANTHROPIC_BASE_URL")) or _BASE_URL
        credential = single_key(options, environ, _KEY)
        return AnthropicUpstream(model, base_url=base_url), credential


DIRECT = _Anthropic()

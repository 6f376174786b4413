"""The Gemini API without a deployment: the keywords and variables of Google's own SDK."""

from __future__ import annotations

from collections.abc import Mapping

from sluicegate.config import GeminiUpstream, SecretCredential
from sluicegate.providers.direct import DirectOptions, first, key_from, single_key

_KEY = "GEMINI_API_KEY"
_BASE_URL = "https://generativelanguage.googleapis.com"


class _Gemini:
    name = "gemini"
    credentials_from = key_from(_KEY)

    def resolve(
        self, model: str, options: DirectOptions, environ: Mapping[str, str]
    ) -> tuple[GeminiUpstream, SecretCredential]:
        base_url = first(options.base_url, environ.get("GOOGLE_GEMINI_BASE_URL")) or _BASE_URL
        credential = single_key(options, environ, _KEY, "GOOGLE_API_KEY")
        return GeminiUpstream(model, base_url=base_url), credential


DIRECT = _Gemini()

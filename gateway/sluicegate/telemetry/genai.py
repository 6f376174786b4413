"""Names of the OpenTelemetry semantic conventions for generative AI, and our own beside them.

Source: open-telemetry/semantic-conventions-genai, as of the conventions' version 1.40.
"""

from __future__ import annotations

from types import MappingProxyType

# What a call of the Responses API is: the conventions have no name of its own for it.
OPERATION = "chat"
# Well-known values of gen_ai.provider.name, where they differ from ours.
_PROVIDERS = MappingProxyType(
    {"bedrock": "aws.bedrock", "gemini": "gcp.gemini", "vertex_ai": "gcp.vertex_ai"}
)
WILDCARD = "*"  # an upstream model that the client names


def provider_name(provider: str) -> str:
    """The conventions' name of a provider, ours where they have none."""
    return _PROVIDERS.get(provider, provider)

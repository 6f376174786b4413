"""The table of providers. A new provider is a folder beside this file and one line here."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from sluicegate.config import (
    AnthropicUpstream,
    BedrockUpstream,
    EchoUpstream,
    GeminiUpstream,
    OpenAIUpstream,
    Upstream,
    VertexAIUpstream,
)
from sluicegate.providers import anthropic, bedrock, echo, gemini, openai, vertex_ai
from sluicegate.providers.contract import Provider

_TABLE: dict[type[Upstream], Provider] = {
    OpenAIUpstream: openai.PROVIDER,
    AnthropicUpstream: anthropic.PROVIDER,
    BedrockUpstream: bedrock.PROVIDER,
    GeminiUpstream: gemini.PROVIDER,
    VertexAIUpstream: vertex_ai.PROVIDER,
    EchoUpstream: echo.PROVIDER,
}
PROVIDERS: Mapping[type[Upstream], Provider] = MappingProxyType(_TABLE)

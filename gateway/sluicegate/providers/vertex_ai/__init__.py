"""Vertex AI: Google's models, and Anthropic's (`publisher: anthropic`).

What is said is in `wires/gemini_content` and `wires/anthropic_messages`.
"""

from sluicegate.providers.vertex_ai.request import PROVIDER
from sluicegate.providers.vertex_ai.support import (
    ANTHROPIC_CONTENT_SUPPORT,
    ANTHROPIC_SUPPORT,
    CONTENT_SUPPORT,
    SUPPORT,
)

__all__ = [
    "ANTHROPIC_CONTENT_SUPPORT",
    "ANTHROPIC_SUPPORT",
    "CONTENT_SUPPORT",
    "PROVIDER",
    "SUPPORT",
]

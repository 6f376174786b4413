"""Vertex AI: Google's models, and Anthropic's (`publisher: anthropic`).

What is said is in `wires/gemini_content` and `wires/anthropic_messages`.
"""

from sluicegate.providers.vertex_ai.request import PROVIDER
from sluicegate.wires.gemini_content import SUPPORT

__all__ = ["PROVIDER", "SUPPORT"]

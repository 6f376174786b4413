"""Anthropic's own Messages API. What is said there is in `wires/anthropic_messages`."""

from sluicegate.providers.anthropic.request import PROVIDER
from sluicegate.wires.anthropic_messages import CONTENT_SUPPORT, SUPPORT

__all__ = ["CONTENT_SUPPORT", "PROVIDER", "SUPPORT"]

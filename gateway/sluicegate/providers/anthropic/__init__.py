"""Anthropic's own Messages API. What is said there is in `wires/anthropic_messages`."""

from sluicegate.providers.anthropic.request import PROVIDER
from sluicegate.wires.anthropic_messages import SUPPORT

__all__ = ["PROVIDER", "SUPPORT"]

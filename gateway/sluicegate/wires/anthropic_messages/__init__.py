"""The Messages API: the dialect of Claude, at Anthropic and at others who serve it.

Providers bring address, headers and credential; what is said is translated here.
"""

from __future__ import annotations

from sluicegate.wires.anthropic_messages.capabilities import Capabilities, capabilities
from sluicegate.wires.anthropic_messages.support import CONTENT_SUPPORT, SUPPORT
from sluicegate.wires.anthropic_messages.terms import Dialect, Terms
from sluicegate.wires.anthropic_messages.translator import MessagesTranslator

__all__ = [
    "CONTENT_SUPPORT",
    "SUPPORT",
    "Capabilities",
    "Dialect",
    "MessagesTranslator",
    "Terms",
    "capabilities",
]

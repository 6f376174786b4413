"""`generateContent`: the dialect of Gemini, at the Gemini API and at Vertex AI.

Providers bring address, headers and credential; what is said is translated here.
"""

from __future__ import annotations

from sluicegate.wires.gemini_content.errors import http_error, is_status
from sluicegate.wires.gemini_content.support import CONTENT_SUPPORT, SUPPORT
from sluicegate.wires.gemini_content.terms import Dialect, Terms
from sluicegate.wires.gemini_content.translator import ContentTranslator

__all__ = [
    "CONTENT_SUPPORT",
    "SUPPORT",
    "ContentTranslator",
    "Dialect",
    "Terms",
    "http_error",
    "is_status",
]

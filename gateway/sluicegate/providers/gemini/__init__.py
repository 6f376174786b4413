"""Google's Gemini API. What is said there is in `wires/gemini_content`."""

from sluicegate.providers.gemini.request import PROVIDER
from sluicegate.wires.gemini_content import CONTENT_SUPPORT, SUPPORT

__all__ = ["CONTENT_SUPPORT", "PROVIDER", "SUPPORT"]

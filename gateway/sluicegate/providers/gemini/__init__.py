"""Google's Gemini API. What is said there is in `wires/gemini_content`."""

from sluicegate.providers.gemini.request import PROVIDER
from sluicegate.wires.gemini_content import SUPPORT

__all__ = ["PROVIDER", "SUPPORT"]

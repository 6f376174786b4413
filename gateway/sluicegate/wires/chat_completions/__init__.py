"""Chat completions: the dialect of OpenAI's older API, which most model servers imitate.

Providers bring address, headers and credential; what is said is translated here.
"""

from __future__ import annotations

from sluicegate.wires.chat_completions.support import CONTENT_SUPPORT, SUPPORT
from sluicegate.wires.chat_completions.terms import Dialect, Terms
from sluicegate.wires.chat_completions.translator import CompletionTranslator

__all__ = ["CONTENT_SUPPORT", "SUPPORT", "CompletionTranslator", "Dialect", "Terms"]

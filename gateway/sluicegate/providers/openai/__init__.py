"""OpenAI and every upstream that speaks `/responses` itself.

Bytes pass through, only `model` is replaced.
"""

from sluicegate.providers.openai.request import PROVIDER

__all__ = ["PROVIDER"]

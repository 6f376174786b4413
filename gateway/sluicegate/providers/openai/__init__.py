"""OpenAI and the servers that imitate it.

Those that speak `/responses` get the client's bytes, only `model` is replaced; for the others a
request becomes a chat completion (`CHAT_SUPPORT` says what of it).
"""

from sluicegate.providers.openai.request import PROVIDER
from sluicegate.wires.chat_completions import CONTENT_SUPPORT as CHAT_CONTENT_SUPPORT
from sluicegate.wires.chat_completions import SUPPORT as CHAT_SUPPORT

__all__ = ["CHAT_CONTENT_SUPPORT", "CHAT_SUPPORT", "PROVIDER"]

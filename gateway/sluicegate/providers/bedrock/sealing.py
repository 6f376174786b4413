"""Reasoning that goes out to the client sealed, and comes back to the model that wrote it."""

from __future__ import annotations

import msgspec

from sluicegate.api.items import Reasoning
from sluicegate.api.sealed import seal, unseal
from sluicegate.providers.bedrock.models import Model
from sluicegate.providers.bedrock.wire import ReasoningBlock, ReasoningContent, ReasoningText

PROVIDER = "bedrock"


class _Sealed(msgspec.Struct, omit_defaults=True):
    """The text too: a client may shorten the summary, and the signature is over all of it."""

    text: str = ""
    signature: str = ""
    redacted: str = ""  # base64


_sealed = msgspec.json.Decoder(_Sealed)


def sealed_text(model: Model, text: str, signature: str) -> str:
    """`encrypted_content` of signed reasoning."""
    return seal(PROVIDER, model.name, msgspec.json.encode(_Sealed(text, signature)))


def sealed_redacted(model: Model, redacted: str) -> str:
    """`encrypted_content` of reasoning that the provider itself has encrypted (base64)."""
    return seal(PROVIDER, model.name, msgspec.json.encode(_Sealed(redacted=redacted)))


def opened(item: Reasoning, model: Model) -> ReasoningBlock | None:
    """The block that this model wrote; None for another's reasoning, or one without a signature."""
    payload = unseal(item.encrypted_content, PROVIDER, model.name)
    if payload is None:
        return None
    try:
        content = _sealed.decode(payload)
    except (msgspec.DecodeError, UnicodeError):
        return None
    if content.redacted:
        return ReasoningBlock(ReasoningContent(redacted_content=content.redacted))
    if not content.signature:
        return None
    text = ReasoningText(content.text, content.signature)
    return ReasoningBlock(ReasoningContent(reasoning_text=text))

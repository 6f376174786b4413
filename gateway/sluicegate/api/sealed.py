"""The envelope in which a reasoning item carries what only its maker can use.

A signature is bound to the provider and the model that wrote it: to any other it is noise at best
and a refused request at worst. So `encrypted_content` says whose it is, and what is another's is
left out. The envelope hides nothing and proves nothing; the upstream judges what is inside.

Reasoning that nobody signed has no envelope; the item's id says that it was made here.
"""

from __future__ import annotations

import base64
import binascii

import msgspec
from msgspec import Raw, Struct

from sluicegate.api.members import decode_members, merge_parameters

REASONING_ID = "rs_sg1"  # how ids of reasoning items begin
_MARK = "sg1."  # the version: another layout gets another mark


class _Envelope(msgspec.Struct, frozen=True, array_like=True):
    provider: str
    model: str


_envelope = msgspec.json.Decoder(_Envelope)
_QUOTED_MARKS = (f'"{_MARK}'.encode(), f'"{REASONING_ID}'.encode())


class _Item(Struct):
    type: object = None
    id: object = None
    encrypted_content: object = None


_items = msgspec.json.Decoder(list[Raw])
_item = msgspec.json.Decoder(_Item)


def seal(provider: str, model: str, payload: bytes) -> str:
    """`payload` for `encrypted_content`, tagged with its provider and the upstream's model."""
    tag = msgspec.json.encode(_Envelope(provider, model))
    return f"{_MARK}{_text(tag)}.{_text(payload)}"


def unseal(content: str | None, provider: str, model: str) -> bytes | None:
    """The payload, or None where `content` was not sealed for this provider and model."""
    if content is None or not content.startswith(_MARK):
        return None
    tag, dot, payload = content[len(_MARK) :].partition(".")
    if not dot:
        return None
    try:
        envelope = _envelope.decode(base64.b64decode(tag, validate=True))
        if (envelope.provider, envelope.model) != (provider, model):
            return None
        return base64.b64decode(payload, validate=True)
    except (binascii.Error, ValueError):  # msgspec's errors and bad UTF-8 are ValueErrors
        return None


def without_sealed(body: bytes) -> bytes:
    """A request's body without reasoning that was told here, for an upstream that keeps its own.

    It can't read what is sealed, and looks the rest up by its id, which it does not know. A body
    that has none is returned as it is.
    """
    if not any(mark in body for mark in _QUOTED_MARKS):
        return body
    input_ = decode_members(body).get("input", Raw())
    if not bytes(input_).startswith(b"["):
        return body
    items = _items.decode(input_)
    kept = [item for item in items if not _is_own(item)]
    if len(kept) == len(items):
        return body
    return merge_parameters(body, {}, {"input": Raw(msgspec.json.encode(kept))})


def _is_own(raw: Raw) -> bool:
    if not bytes(raw).startswith(b"{"):
        return False
    item = _item.decode(raw)
    return item.type == "reasoning" and (
        (isinstance(item.encrypted_content, str) and item.encrypted_content.startswith(_MARK))
        or (isinstance(item.id, str) and item.id.startswith(REASONING_ID))
    )


def _text(value: bytes) -> str:
    return base64.b64encode(value).decode("ascii")

"""The envelope in which a reasoning item carries what only its maker can use.

A signature is bound to the provider and the model that wrote it: to any other it is noise at best
and a refused request at worst. So `encrypted_content` says whose it is, and what is another's is
left out. The envelope hides nothing and proves nothing; the upstream judges what is inside.
"""

from __future__ import annotations

import base64
import binascii

import msgspec

_MARK = "sg1."  # the version: another layout gets another mark


class _Envelope(msgspec.Struct, frozen=True, array_like=True):
    provider: str
    model: str


_envelope = msgspec.json.Decoder(_Envelope)


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


def _text(value: bytes) -> str:
    return base64.b64encode(value).decode("ascii")

"""The form of a client key: minting, checking, hashing.

A minted key is `sk-sg-<id>-<secret>-<checksum>`, every part in base62 (`0-9A-Za-z`):

* id: 8 characters, random, not secret. It names the key in logs and answers.
* secret: 43 characters of the operating system's randomness, 256 bits.
* checksum: 6 characters, the CRC-32 (IEEE 802.3) of everything before the last hyphen, in base62,
  most significant digit first, padded with `0`. It tells a typing error or a truncated copy, and
  lets a scanner for leaked secrets confirm a find offline. It protects nothing: only the digest
  does.

A key that was made elsewhere may be any 16 to 512 printable ASCII characters. Of each key only the
SHA-256 of all its characters is kept. One round is enough for a secret of 256 bits; a key of one's
own choosing is as hard to guess from its hash as it is long and random.
"""

from __future__ import annotations

import hashlib
import os
import re
import zlib

PREFIX = "sk-sg-"
MIN_LENGTH = 16
MAX_LENGTH = 512

_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_ID_LENGTH = 8
_SECRET_LENGTH = 43  # 62**43 > 2**256
_CHECKSUM_LENGTH = 6  # 62**6 > 2**32
# Bytes from here up are thrown away, so that every character is as likely as any other.
_UNBIASED = 256 - 256 % len(_ALPHABET)
_MINTED = re.compile(
    rf"{PREFIX}(?P<id>[0-9A-Za-z]{{{_ID_LENGTH}}})"
    rf"-[0-9A-Za-z]{{{_SECRET_LENGTH}}}-(?P<checksum>[0-9A-Za-z]{{{_CHECKSUM_LENGTH}}})"
)


def mint() -> str:
    """A new key."""
    body = f"{PREFIX}{_random(_ID_LENGTH)}-{_random(_SECRET_LENGTH)}"
    return f"{body}-{_checksum(body)}"


def key_id(key: str) -> str | None:
    """The id of a minted key, fit for a log; None for any other text or a wrong checksum."""
    match = _MINTED.fullmatch(key)
    if match is None or _checksum(key[: -_CHECKSUM_LENGTH - 1]) != match["checksum"]:
        return None
    return match["id"]


def is_mistyped(key: str) -> bool:
    """Whether `key` sets out to be a minted key and is not one."""
    return key.startswith(PREFIX) and key_id(key) is None


def is_admissible(key: str) -> bool:
    """Whether `key` may be a client key: 16 to 512 printable ASCII characters.

    No space at its ends, where a header would lose it.
    """
    fits = MIN_LENGTH <= len(key) <= MAX_LENGTH and key.strip() == key
    return fits and all(" " <= char <= "~" for char in key)


def digest(key: str | bytes) -> bytes:
    """SHA-256 of the whole key, 32 bytes.

    Text that is not ASCII is hashed as UTF-8; it is no admissible key, so its digest is never
    found.
    """
    if isinstance(key, str):
        key = key.encode("utf-8", "surrogatepass")
    return hashlib.sha256(key).digest()


def key_hash(key: str) -> str:
    """What `spec.client.keyHash` holds: `sha256:` and 64 hex digits."""
    return f"sha256:{digest(key).hex()}"


def _checksum(body: str) -> str:
    value = zlib.crc32(body.encode("ascii"))
    digits: list[str] = []
    for _ in range(_CHECKSUM_LENGTH):
        value, digit = divmod(value, len(_ALPHABET))
        digits.append(_ALPHABET[digit])
    return "".join(reversed(digits))


def _random(length: int) -> str:
    characters: list[str] = []
    while len(characters) < length:
        characters += [
            _ALPHABET[byte % len(_ALPHABET)]
            for byte in os.urandom(length - len(characters))
            if byte < _UNBIASED
        ]
    return "".join(characters)

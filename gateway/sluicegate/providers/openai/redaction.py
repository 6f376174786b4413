"""Takes secrets out of what an upstream says, however its JSON spells them."""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec

_REDACTED = "[redacted]"
# A string with an escape, and before it what holds none: other strings, and what is between them.
_ESCAPED = re.compile(
    rb'((?:[^"]++|"[^"\\]*+")*+)("[^"\\]*+(?:\\.[^"\\]*+)++")',
    re.DOTALL,
)
_string = msgspec.json.Decoder(str)


def redacted(data: bytes, secrets: Sequence[bytes]) -> bytes:
    r"""`data`, JSON or the lines of an event, without the secrets; else not a byte is changed.

    A secret is also found where its string is escaped, as `\/` or `\u0073`; that string is then
    written anew. What is not JSON is searched for the plain bytes.
    """
    for secret in secrets:
        data = data.replace(secret, _REDACTED.encode())
    if not secrets or b"\\" not in data:
        return data
    texts = [secret.decode("latin-1") for secret in secrets]
    # No string of JSON goes over a line's end, so a line that is not JSON can't hide the next one.
    return b"".join(_unescaped(line, texts) for line in data.splitlines(keepends=True))


def _unescaped(line: bytes, secrets: Sequence[str]) -> bytes:
    def judged(match: re.Match[bytes]) -> bytes:
        try:
            text = cleaned = _string.decode(match[2])
        except (msgspec.DecodeError, UnicodeDecodeError):
            return match[0]  # nobody else can read it either
        for secret in secrets:
            cleaned = cleaned.replace(secret, _REDACTED)
        return match[0] if cleaned == text else match[1] + msgspec.json.encode(cleaned)

    return _ESCAPED.sub(judged, line)

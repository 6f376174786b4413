"""The text of a custom tool's call, out of the JSON arguments of the function that stood in for it.

An upstream that knows only functions is given `{"input": "<text>"}` to fill (see toolset.py). The
text is taken out as it streams in.
"""

from __future__ import annotations

import re
from typing import cast

import msgspec

INPUT = "input"
_HEAD = re.compile(r'\s*\{\s*"input"\s*:\s*"')
# A prefix of what _HEAD matches: more may still make it match.
_HEAD_BEGUN = re.compile(r'\s*(?:\{\s*(?:"(?:i(?:n(?:p(?:u(?:t(?:"\s*(?::\s*)?)?)?)?)?)?)?)?)?')
_PLAIN = re.compile(r'[^"\\]*')
_ESCAPE = re.compile(r'\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})')
_ESCAPE_BEGUN = re.compile(r"(?:\\(?:u[0-9a-fA-F]{0,3})?)?")
_HIGH = re.compile(r"\\u[dD][89abAB][0-9a-fA-F]{2}")
_string = msgspec.json.Decoder(str)


class CustomInput:
    """One call. What is not of the expected form is held back and given out whole at the end."""

    __slots__ = ("_form", "_pending", "_whole")

    def __init__(self) -> None:
        self._form = "head"  # head, text, tail; other: not of that form
        self._pending = ""
        self._whole: list[str] = []

    def feed(self, fragment: str) -> str:
        """The text that this piece of the arguments completes."""
        if self._form == "other":
            self._whole.append(fragment)
            return ""
        self._pending += fragment
        if self._form == "head" and not self._begin():
            return ""
        return self._text() if self._form == "text" else ""

    def close(self) -> str:
        """The rest of the text, once the arguments are whole."""
        if self._form in {"text", "tail"}:
            return ""
        arguments = self._pending + "".join(self._whole)
        return _unwrapped(arguments)

    def _begin(self) -> bool:
        head = _HEAD.match(self._pending)
        if head is not None:
            self._pending = self._pending[head.end() :]
            self._form = "text"
            return True
        if _HEAD_BEGUN.fullmatch(self._pending) is None:
            self._form = "other"
            self._whole, self._pending = [self._pending], ""
        return False

    def _text(self) -> str:
        """Whole characters of the pending string; a cut escape waits for the rest."""
        pieces: list[str] = []
        pending, at = self._pending, 0
        while True:
            plain = _PLAIN.match(pending, at)
            end = plain.end() if plain is not None else at
            if end > at:
                pieces.append(_decoded(pending[at:end]))
                at = end
            if at == len(pending):
                break
            if pending[at] == '"':
                self._form = "tail"
                at = len(pending)
                break
            escape = _escape(pending, at)
            if escape is None:
                break
            pieces.append(_decoded(escape))
            at += len(escape)
        self._pending = pending[at:]
        return "".join(pieces)


def _escape(text: str, at: int) -> str | None:
    """The escape that begins at `at`, with its other half where it is a surrogate.

    None while it is cut.
    """
    found = _ESCAPE.match(text, at)
    if found is None:
        # Not an escape (no model should send one): its backslash stands for itself.
        return None if _ESCAPE_BEGUN.fullmatch(text, at) else text[at]
    if _HIGH.fullmatch(found[0]) is None:
        return found[0]
    low = _ESCAPE.match(text, found.end())
    if low is not None:
        return found[0] + low[0] if low[0].startswith("\\u") else found[0]
    return None if _ESCAPE_BEGUN.fullmatch(text, found.end()) else found[0]


def _decoded(piece: str) -> str:
    """A piece of a JSON string; what JSON forbids there stands for itself."""
    if "\\" not in piece:
        return piece
    try:
        return _string.decode(f'"{piece}"')
    except (msgspec.DecodeError, UnicodeError):
        return piece


def _unwrapped(arguments: str) -> str:
    try:
        value = msgspec.json.decode(arguments)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return arguments
    if isinstance(value, dict):
        text = cast("dict[str, object]", value).get(INPUT)
        if isinstance(text, str):
            return text
    return value if isinstance(value, str) else arguments

"""Plain YAML scalars as kubectl reads them (go-yaml v2).

YAML 1.1 words and numbers, but JSON's types only.
"""

from __future__ import annotations

import math
import re
from typing import TypeAlias

JsonScalar: TypeAlias = bool | int | float | str | None

_WORDS: dict[str, bool | None] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("y", "Y", "yes", "Yes", "YES", "on", "On", "ON"), True),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("n", "N", "no", "No", "NO", "off", "Off", "OFF"), False),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_NOT_NUMBERS = frozenset(
    f"{sign}{word}"
    for sign in ("", "+", "-")
    for word in (".inf", ".Inf", ".INF", ".nan", ".NaN", ".NAN")
)
_INTEGERS = (
    (re.compile(r"[-+]?(0|[1-9][0-9]*)", re.ASCII), 10),
    (re.compile(r"[-+]?0[xX][0-9a-fA-F]+", re.ASCII), 16),
    (re.compile(r"[-+]?0[oO]?[0-7]+", re.ASCII), 8),
    (re.compile(r"[-+]?0[bB][01]+", re.ASCII), 2),
)
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", re.ASCII)
_NUMBER_STARTS = frozenset("+-.0123456789")
_LARGEST = 2**63 - 1
# Far beyond 64 bits; also the bound below Python's own on decimal digits.
_MAX_DIGITS = 64


class ScalarError(ValueError):
    """The scalar has no JSON value; the message says what to write."""


def plain_scalar(text: str) -> JsonScalar:
    """The value of an unquoted scalar.

    Raises ScalarError for NaN, infinities and numbers that no computer holds.
    """
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in _NUMBER_STARTS:
        return text
    if text in _NOT_NUMBERS:
        raise ScalarError("NaN and infinity are no JSON numbers; put the value in quotes")
    return _number(text)


def _number(text: str) -> JsonScalar:
    digits = text.replace("_", "")
    if len(digits) > _MAX_DIGITS:
        return text
    for pattern, base in _INTEGERS:
        if pattern.fullmatch(digits):
            return _integer(digits, base)
    if _FLOAT.fullmatch(digits) is None:
        return text
    return _float(digits)


def _float(digits: str) -> int | float:
    """A float, or the integer that kubectl sends in its place."""
    number = float(digits)
    if not math.isfinite(number):
        raise ScalarError("the number is too large; put it in quotes if it is text")
    return int(number) if number.is_integer() and abs(number) < _LARGEST else number


def _integer(digits: str, base: int) -> int | float:
    body = digits.lstrip("+-")
    # Octal may be written 017 and 0o17; int() knows only the latter with a prefix.
    number = int(body.lower().removeprefix("0o"), 8) if base == 8 else int(body, base)
    number = -number if digits.startswith("-") else number
    if not -_LARGEST - 1 <= number <= _LARGEST:
        if base != 10:
            raise ScalarError("the integer does not fit into 64 bits; put it in quotes")
        return float(body) * (-1 if digits.startswith("-") else 1)
    return number

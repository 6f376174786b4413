"""Model patterns of a client key: `*` is any run of characters, all else stands for itself."""

from __future__ import annotations

from functools import lru_cache


@lru_cache(maxsize=8192)
def allows(patterns: tuple[str, ...], model: str) -> bool:
    """Whether one of `patterns` matches the whole of `model`, which is a pool's public name.

    Remembered, because pools and sets of patterns are few and requests are many.
    """
    return any(_matches(pattern, model) for pattern in patterns)


def _matches(pattern: str, text: str) -> bool:
    # Not a regular expression: tenants write patterns, and backtracking over many `*` would hold
    # every request.
    first, *rest = pattern.split("*")
    if not rest:
        return text == pattern
    *middle, last = rest
    if len(text) < len(first) + len(last):
        return False
    if not (text.startswith(first) and text.endswith(last)):
        return False
    position, end = len(first), len(text) - len(last)
    for part in middle:  # the leftmost find leaves most room for the parts that follow
        found = text.find(part, position, end)
        if found < 0:
            return False
        position = found + len(part)
    return True

"""Caches of what is made of a configuration's deployments, pools and client keys.

They hold what they are asked by, and with a deployment its credential: so they are emptied when
another configuration serves. What a request that began before makes once more goes the next time.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import ParamSpec, TypeVar, cast

_P = ParamSpec("_P")
_T = TypeVar("_T")

_KNOWN = 1024  # answers of each function
_emptied: list[Callable[[], None]] = []


def configured(make: Callable[_P, _T]) -> Callable[_P, _T]:
    """`make`, asked once while one configuration serves. Its arguments can be hashed."""
    known = lru_cache(maxsize=_KNOWN)(make)
    _emptied.append(known.cache_clear)
    return cast("Callable[_P, _T]", known)


def forget() -> None:
    """Another configuration serves."""
    for empty in _emptied:
        empty()

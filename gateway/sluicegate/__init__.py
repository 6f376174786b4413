"""Sluicegate: one gateway, and one Python call, for the Responses API of five providers.

`import sluicegate` loads nothing else: the calls come with their first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sluicegate.sdk import (
        AsyncResponseStream,
        ResponseStream,
        aresponses,
        cost_usd,
        responses,
    )

__all__ = ["AsyncResponseStream", "ResponseStream", "aresponses", "cost_usd", "responses"]


def __getattr__(name: str) -> object:
    """PEP 562. Raises ImportError where the extra `sdk` is not installed."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module("sluicegate.sdk"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

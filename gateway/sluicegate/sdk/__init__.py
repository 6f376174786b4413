"""The five providers as Python calls: the gateway's provider code behind `openai`'s types.

`sluicegate.responses` and the other names of the package's root load it on first use. Nothing of
the gateway imports it.
"""

from __future__ import annotations

from importlib.util import find_spec

if find_spec("openai") is None or find_spec("httpx2") is None:
    raise ImportError(
        "sluicegate's Python calls need the packages of its extra `sdk`: "
        "pip install 'sluicegate[sdk]'"
    )

from sluicegate.sdk.answers import cost_usd
from sluicegate.sdk.calls import aresponses, responses
from sluicegate.sdk.streams import AsyncResponseStream, ResponseStream

__all__ = ["AsyncResponseStream", "ResponseStream", "aresponses", "cost_usd", "responses"]

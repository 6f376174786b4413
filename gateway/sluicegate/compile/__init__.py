"""Compile: resources to one configuration, with what there is to say about each.

Pure; see `incremental`.
"""

from sluicegate.compile.compilation import Compilation, MintRequest
from sluicegate.compile.findings import Condition, Finding
from sluicegate.compile.incremental import compile_all, compile_steps
from sluicegate.compile.minting import Rotation, WantedKey, wanted_key
from sluicegate.compile.settings import Settings

__all__ = [
    "Compilation",
    "Condition",
    "Finding",
    "MintRequest",
    "Rotation",
    "Settings",
    "WantedKey",
    "compile_all",
    "compile_steps",
    "wanted_key",
]

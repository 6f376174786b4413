"""The vendor's own definition of a request, made strict.

The SDK's parameters are TypedDicts, which check nothing at run time; validated by pydantic they
still let unknown members pass and leave lists unread. Here neither passes.
"""

import functools
import importlib
import pkgutil
from collections.abc import Mapping
from typing import Any, NamedTuple, cast

import pytest
from pydantic import ConfigDict, TypeAdapter
from typing_extensions import is_typeddict

from event_grammar import JsonObject

# Those that say themselves that they are open: a JSON Schema may have any member.
_OPEN = frozenset({"InputSchemaTyped"})
# The SDK has left them out since it speaks version 2026-10-21; 2023-06-01 has them.
_OLDER = frozenset({"temperature", "top_p"})
_STRICT = ConfigDict(extra="forbid", arbitrary_types_allowed=True)  # it takes open files too


class _Judge(NamedTuple):
    request: TypeAdapter[Any]
    # Message content may also be models of the SDK, which let any member pass; here it may not.
    content: TypeAdapter[Any]


@functools.cache
def _judge() -> _Judge:
    types: Any = pytest.importorskip("anthropic.types", reason="the anthropic SDK is not installed")
    for module in pkgutil.iter_modules(types.__path__):
        if not module.ispkg and module.name.endswith(("_param", "_params")):
            for value in vars(importlib.import_module(f"anthropic.types.{module.name}")).values():
                if is_typeddict(value) and value.__name__ not in _OPEN:
                    value.__pydantic_config__ = _STRICT
    return _Judge(TypeAdapter(types.MessageCreateParams), TypeAdapter(types.ContentBlockParam))


def check_params(body: JsonObject) -> None:
    """Raise pydantic's ValidationError where the vendor's definition does not allow the body.

    Skips the test where the SDK is not installed.
    """
    judge = _judge()
    known = {key: value for key, value in body.items() if key not in _OLDER}
    _read(judge.request.validate_python(known))
    for message in body["messages"]:
        for block in message["content"]:
            _read(judge.content.validate_python(block))


def _read(value: object) -> None:
    """Read every list to its end: pydantic validates an Iterable as it is read."""
    if isinstance(value, Mapping):
        for entry in cast("Mapping[str, object]", value).values():
            _read(entry)
    elif hasattr(value, "__iter__") and not isinstance(value, str):
        for entry in cast("list[object]", value):
            _read(entry)

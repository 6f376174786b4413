"""OpenAI's own definition of a chat completion request, made strict.

The SDK's parameters are TypedDicts, which check nothing at run time; validated by pydantic they
still let unknown members pass and leave lists unread. Here neither passes.
"""

import functools
import importlib
import pkgutil
from collections.abc import Iterable, Mapping
from typing import Any, cast

import openai.types.chat
import openai.types.shared_params
from pydantic import ConfigDict, TypeAdapter
from typing_extensions import is_typeddict

from event_grammar import JsonObject

# What servers that show their reasoning take back is not in OpenAI's definition.
_BEYOND = frozenset({"reasoning_content", "reasoning"})
_STRICT = ConfigDict(extra="forbid")


@functools.cache
def _judge() -> TypeAdapter[Any]:
    for package in (openai.types.chat, openai.types.shared_params):
        for module in pkgutil.iter_modules(package.__path__):
            loaded = importlib.import_module(f"{package.__name__}.{module.name}")
            for value in vars(loaded).values():
                if is_typeddict(value):
                    value.__pydantic_config__ = _STRICT
    return TypeAdapter(openai.types.chat.CompletionCreateParams)


def check_params(body: JsonObject) -> None:
    """Raise pydantic's ValidationError where OpenAI's definition does not allow the body."""
    messages = [
        {key: value for key, value in message.items() if key not in _BEYOND}
        if message["role"] == "assistant"
        else message
        for message in body["messages"]
    ]
    _read(_judge().validate_python({**body, "messages": messages}))


def _read(value: object) -> None:
    """Read every list to its end: pydantic validates an Iterable as it is read."""
    if isinstance(value, Mapping):
        for entry in cast("Mapping[str, object]", value).values():
            _read(entry)
    elif isinstance(value, Iterable) and not isinstance(value, str):
        for entry in cast("Iterable[object]", value):
            _read(entry)

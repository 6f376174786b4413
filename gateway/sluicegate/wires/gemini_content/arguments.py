"""A call's arguments that arrive value by value (Vertex AI, `streamFunctionCallArguments`).

Each piece names its place by a path as `$.stops[0].city`. They are put together and told whole:
JSON text can't be written in the order of the pieces.
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TypeAlias, cast

import msgspec

from sluicegate.model import UpstreamStreamError
from sluicegate.wires.gemini_content.said import PartialArg

_STEP = re.compile(r"\.(?P<name>[^.\[\]]+)|\[(?P<index>\d{1,4})\]|\['(?P<quoted>[^']*)'\]")
_DEEPEST = 64
_MOST_VALUES = 100_000

_Value: TypeAlias = "str | float | bool | dict[str, _Value] | list[_Value] | None"
_Key: TypeAlias = str | int


class PartialArguments:
    """Of one call."""

    __slots__ = ("_left", "_open", "_place", "_root", "_text")

    def __init__(self) -> None:
        self._root: dict[str, _Value] = {}
        self._open: str | None = None  # the path whose text goes on
        self._text: list[str] = []  # its pieces
        self._place: tuple[dict[str, _Value] | list[_Value], _Key] = (self._root, "")
        self._left = _MOST_VALUES

    def take(self, piece: PartialArg) -> None:
        """Add a piece. Raises UpstreamStreamError where its path leads nowhere."""
        if self._open is not None and self._open == piece.json_path:
            self._text.append(piece.string_value or "")
            if not piece.will_continue:
                self._end_text()
            return
        self._end_text()
        keys = _keys(piece.json_path)
        holder: dict[str, _Value] | list[_Value] = self._root
        for key, following in pairwise(keys):
            holder = self._inner(holder, key, list_wanted=isinstance(following, int))
        value = _value(piece)
        self._put(holder, keys[-1], value)
        if piece.will_continue and isinstance(value, str):
            self._open, self._text = piece.json_path, [value]
            self._place = (holder, keys[-1])

    def _end_text(self) -> None:
        if self._open is not None:
            holder, key = self._place
            self._put(holder, key, "".join(self._text))
            self._open = None

    def json(self) -> str:
        """The whole object."""
        self._end_text()
        return msgspec.json.encode(self._root).decode()

    def _inner(
        self, holder: dict[str, _Value] | list[_Value], key: _Key, *, list_wanted: bool
    ) -> dict[str, _Value] | list[_Value]:
        found = _get(holder, key)
        if isinstance(found, list if list_wanted else dict):
            return cast("dict[str, _Value] | list[_Value]", found)
        made: dict[str, _Value] | list[_Value] = [] if list_wanted else {}
        self._put(holder, key, made)
        return made

    def _put(self, holder: dict[str, _Value] | list[_Value], key: _Key, value: _Value) -> None:
        if isinstance(holder, dict):
            self._spend(1)
            holder[str(key)] = value
        else:
            index = int(key)
            self._spend(max(index + 1 - len(holder), 0))
            holder.extend([None] * (index + 1 - len(holder)))
            holder[index] = value

    def _spend(self, values: int) -> None:
        self._left -= values
        if self._left < 0:
            raise UpstreamStreamError("the upstream sent a call with too many arguments")


def _keys(path: str) -> list[_Key]:
    keys: list[_Key] = []
    at = 1
    while at < len(path):
        step = _STEP.match(path, at)
        if step is None or len(keys) >= _DEEPEST:
            break
        name = step["name"] if step["name"] is not None else step["quoted"]
        keys.append(name if name is not None else int(step["index"]))
        at = step.end()
    if not path.startswith("$") or at < len(path) or not keys or isinstance(keys[0], int):
        raise UpstreamStreamError("the upstream sent an argument whose place can't be read")
    return keys


def _get(holder: dict[str, _Value] | list[_Value], key: _Key) -> _Value:
    if isinstance(holder, dict):
        return holder.get(str(key))
    index = int(key)
    return holder[index] if index < len(holder) else None


def _value(piece: PartialArg) -> _Value:
    if piece.string_value is not None:
        return piece.string_value
    if piece.bool_value is not None:
        return piece.bool_value
    number = piece.number_value
    if number is not None:
        return int(number) if number.is_integer() and abs(number) < 2**53 else number
    return None

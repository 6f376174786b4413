"""What a server holds of one type, as far as it has told: lists replace, watches amend.

Pure: `reflector` does the talking. A list becomes visible all at once, when it is whole; an object
that it lacks is gone, whatever a watch has or has not said (a watch that was broken tells no
deletes).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Generic, NamedTuple, TypeVar

import msgspec

from sluicegate.cluster.errors import GarbledAnswer, status_error
from sluicegate.cluster.values import ObjectKey

T = TypeVar("T")
V = TypeVar("V")


class _Event(msgspec.Struct):
    type: str
    object: msgspec.Raw


class _PeekedMeta(msgspec.Struct, rename="camel"):
    name: str = ""
    namespace: str = ""
    resource_version: str = ""


class _Peeked(msgspec.Struct):
    metadata: _PeekedMeta


_event = msgspec.json.Decoder(_Event)
_peeked = msgspec.json.Decoder(_Peeked)


@dataclass(frozen=True, slots=True)
class _Undecodable:
    """Why the hook could not read an object."""

    fault: str


class _Told(NamedTuple, Generic[T]):
    """An object as it arrived, and the mark of its octets."""

    mark: int
    value: T | _Undecodable


class Reflection(Generic[T]):
    """A set of objects, kept equal to the server's.

    `decode` reads one object's JSON and is called only when these octets differ from the last ones
    of that object: the mark that is compared is a hash of all of them, because a resourceVersion
    says another thing after etcd was restored from a backup.
    """

    def __init__(self, decode: Callable[[bytes], T]) -> None:
        self._decode = decode
        self._objects: dict[ObjectKey, T] = {}
        self._marks: dict[ObjectKey, int] = {}
        self._faults: dict[ObjectKey, str] = {}
        self._seen: set[ObjectKey] = set()
        self._staged: dict[ObjectKey, _Told[T]] = {}
        self.objects: Mapping[ObjectKey, T] = MappingProxyType(self._objects)
        self.undecodable: Mapping[ObjectKey, str] = MappingProxyType(self._faults)
        self.resource_version = ""
        self.synced = False

    def begin_list(self) -> None:
        """Forget what a list that was not finished has brought."""
        self._seen = set()
        self._staged = {}

    def listed(self, item: bytes) -> None:
        """One object of the list. Raises ClusterError where it is none."""
        meta = _read_as(_peeked, item).metadata
        key = ObjectKey(meta.namespace, meta.name)
        self._seen.add(key)
        told = self._read(key, item)
        if told is not None:
            self._staged[key] = told

    def end_list(self, resource_version: str) -> frozenset[ObjectKey]:
        """Make the list what is held; the keys that were added, changed or are gone."""
        gone = self._marks.keys() - self._seen
        for key in gone:
            self._drop(key)
        for key, told in self._staged.items():
            self._take(key, told)
        changed = gone.union(self._staged)
        self.resource_version = resource_version
        self.synced = True
        self.begin_list()
        return frozenset(changed)

    def told(self, line: bytes) -> ObjectKey | None:
        """One line of a watch; the key that it changed, if any.

        Raises ClusterError for an ERROR event (Gone where the version is too old) and for what is
        no event: either way only a list can go on.
        """
        event = _read_as(_event, line)
        if event.type == "ERROR":
            raise status_error(event.object)
        meta = _read_as(_peeked, event.object).metadata
        self.resource_version = meta.resource_version
        key = ObjectKey(meta.namespace, meta.name)
        match event.type:
            case "ADDED" | "MODIFIED":
                told = self._read(key, bytes(event.object))
                if told is not None:
                    self._take(key, told)
                    return key
            case "DELETED":
                if self._drop(key):
                    return key
            case "BOOKMARK":
                pass
            case other:
                raise GarbledAnswer(f"a watch event of the type {other!r:.40}")
        return None

    def _read(self, key: ObjectKey, item: bytes) -> _Told[T] | None:
        """Decode it, unless it is what is held already."""
        mark = hash(item)
        if self._marks.get(key) == mark:
            return None
        try:
            return _Told(mark, self._decode(item))
        except (ValueError, msgspec.DecodeError) as error:
            return _Told(mark, _Undecodable(str(error)))

    def _take(self, key: ObjectKey, told: _Told[T]) -> None:
        self._drop(key)
        self._marks[key] = told.mark
        if isinstance(told.value, _Undecodable):
            self._faults[key] = told.value.fault
        else:
            self._objects[key] = told.value

    def _drop(self, key: ObjectKey) -> bool:
        self._objects.pop(key, None)
        self._faults.pop(key, None)
        return self._marks.pop(key, None) is not None


def _read_as(decoder: msgspec.json.Decoder[V], text: bytes | msgspec.Raw) -> V:
    try:
        return decoder.decode(text)
    except msgspec.DecodeError as error:
        raise GarbledAnswer(str(error)) from None

"""What a server holds of one type, as far as it has told: lists replace, watches amend.

Pure: `reflector` does the talking. A list becomes visible all at once, when it is whole; an object
that it lacks is gone, whatever a watch has or has not said (a watch that was broken tells no
deletes).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Generic, TypeVar

import msgspec

from sluicegate.cluster.errors import GarbledAnswer, status_error
from sluicegate.cluster.shallow import members, text_of
from sluicegate.cluster.values import ObjectKey

T = TypeVar("T")


class _Event(msgspec.Struct):
    type: str
    object: msgspec.Raw


class _PeekedMeta(msgspec.Struct):
    name: str = ""
    namespace: str = ""


class _Peeked(msgspec.Struct):
    metadata: _PeekedMeta


_event = msgspec.json.Decoder(_Event)
_peeked = msgspec.json.Decoder(_Peeked)


class _Held(Generic[T]):
    """Objects, the faults of those that could not be read, and the marks of both."""

    def __init__(self) -> None:
        self.objects: dict[ObjectKey, T] = {}
        self.faults: dict[ObjectKey, str] = {}
        self.marks: dict[ObjectKey, int] = {}

    def drop(self, key: ObjectKey) -> bool:
        """Whether it was there."""
        self.objects.pop(key, None)
        self.faults.pop(key, None)
        return self.marks.pop(key, None) is not None

    def update(self, newer: _Held[T]) -> None:
        """Take over what the other has, in the time that a few dictionary updates need."""
        for key in self.faults.keys() & newer.objects.keys():
            del self.faults[key]
        for key in self.objects.keys() & newer.faults.keys():
            del self.objects[key]
        self.objects.update(newer.objects)
        self.faults.update(newer.faults)
        self.marks.update(newer.marks)


class Reflection(Generic[T]):
    """A set of objects, kept equal to the server's.

    `decode` reads one object's JSON and is called only when these octets differ from the last ones
    of that object: the mark that is compared is a hash of them, because a resourceVersion says
    another thing after etcd was restored from a backup.
    """

    def __init__(self, decode: Callable[[bytes], T]) -> None:
        self._decode = decode
        self._held: _Held[T] = _Held()
        self._listed: _Held[T] = _Held()
        self._missing: set[ObjectKey] = set()
        self.objects: Mapping[ObjectKey, T] = MappingProxyType(self._held.objects)
        self.undecodable: Mapping[ObjectKey, str] = MappingProxyType(self._held.faults)
        self.resource_version = ""

    def begin_list(self) -> None:
        """A list starts; what an unfinished one has brought is forgotten."""
        self._missing = set(self._held.marks)
        self._listed = _Held()

    def listed(self, item: bytes) -> None:
        """One object of the list. Raises ClusterError where it is none."""
        key = _peek(item)
        self._missing.discard(key)
        self._read(key, item, self._listed)

    def end_list(self, resource_version: str) -> frozenset[ObjectKey]:
        """Make the list what is held; the keys that were added, changed or are gone."""
        for key in self._missing:
            self._held.drop(key)
        self._held.update(self._listed)
        changed = frozenset(self._missing).union(self._listed.marks)
        self.resource_version = resource_version
        self._missing, self._listed = set(), _Held()
        return changed

    def told(self, line: bytes) -> ObjectKey | None:
        """One line of a watch that began at the last list; the key that it changed, if any.

        Raises ClusterError for an ERROR event (Gone where the version is too old) and for what is
        no event: either way only a list can go on.
        """
        event = _read_event(line)
        if event.type == "ERROR":
            raise status_error(event.object)
        key = _peek(event.object)
        match event.type:
            case "ADDED" | "MODIFIED":
                changed = _Held[T]()
                if self._read(key, bytes(event.object), changed):
                    self._held.update(changed)
                    return key
            case "DELETED":
                if self._held.drop(key):
                    return key
            case "BOOKMARK":
                pass
            case other:
                raise GarbledAnswer(f"a watch event of the type {other!r:.40}")
        return None

    def _read(self, key: ObjectKey, item: bytes, into: _Held[T]) -> bool:
        """Decode it, unless these octets are held already. Whether they are not."""
        mark = _mark(item)
        if self._held.marks.get(key) == mark:
            return False
        into.marks[key] = mark
        try:
            into.objects[key] = self._decode(item)
        except (ValueError, msgspec.DecodeError, RecursionError) as error:
            into.faults[key] = str(error)
        return True


def _mark(item: bytes) -> int:
    """What tells two states of an object apart.

    A list leaves out `kind` and `apiVersion`, which a watch has in front of `metadata`.
    """
    return hash(item[max(item.find(b'"metadata":'), 0) :])


def _read_event(line: bytes) -> _Event:
    try:
        return _event.decode(line)
    except RecursionError:
        found = members(line)
        return _Event(text_of(found.get("type")), msgspec.Raw(found.get("object", b"")))
    except msgspec.DecodeError as error:
        raise GarbledAnswer(str(error)) from None


def _peek(item: bytes | msgspec.Raw) -> ObjectKey:
    try:
        meta = _peeked.decode(item).metadata
    except RecursionError:  # managedFields are as deep as the object
        found = members(members(bytes(item)).get("metadata", b""))
        return ObjectKey(text_of(found.get("namespace")), text_of(found.get("name")))
    except msgspec.DecodeError as error:
        raise GarbledAnswer(str(error)) from None
    return ObjectKey(meta.namespace, meta.name)

"""Since which sequence the bundle holds each entry as it is now. No I/O."""

from __future__ import annotations

from collections.abc import Collection, Iterable


class Holding:
    """Which sequence a gateway must have acknowledged to serve an entry as it is."""

    def __init__(self, sequence: int) -> None:
        """`sequence`: that of the bundle that was read back; it holds all that it holds."""
        self._base = sequence
        self._inherits = True
        self._since: dict[str, int] = {}
        self._unpublished: set[str] = set()

    def changed(self, ids: Iterable[str]) -> None:
        """These entries are not published as they are now."""
        self._unpublished.update(ids)

    def published(self, sequence: int, entries: Collection[str]) -> frozenset[str]:
        """All of them are published now. Answers the ids that were not before.

        `entries`: the ids that there are.
        """
        news = frozenset(self._unpublished)
        self._unpublished.clear()
        for entry_id in news:
            if entry_id in entries:
                self._since[entry_id] = sequence
            else:
                self._since.pop(entry_id, None)
        return news

    def begin_anew(self, sequence: int) -> None:
        """Nothing that was acknowledged before this sequence says anything."""
        self._base = sequence
        self._inherits = False
        self._since.clear()

    def inherited(self, entry_id: str) -> bool:
        """Whether the entry is as it was in the bundle that was read back at first."""
        return self._inherits and entry_id not in self._since and entry_id not in self._unpublished

    def since(self, entry_id: str) -> int | None:
        """The sequence; None while it is not published."""
        if entry_id in self._unpublished:
            return None
        return self._since.get(entry_id, self._base)

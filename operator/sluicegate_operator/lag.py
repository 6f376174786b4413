"""What one watch has told and the other has not."""

from __future__ import annotations

from collections.abc import Callable

from sluicegate.resources import ResourceRef
from sluicegate_operator.versions import is_older


class Lag:
    """Objects of which the second watch has seen a newer version than the reflector.

    `held` answers the version that the reflector has of an object, None where it has none. `now`
    is a monotonic clock's, in seconds.
    """

    def __init__(self, held: Callable[[ResourceRef], str | None], *, selective: bool) -> None:
        """`selective`: the reflector looks at some objects only, so a missing one says nothing."""
        self._held = held
        self._selective = selective
        self._ahead: dict[ResourceRef, tuple[str, float]] = {}

    def seen(self, ref: ResourceRef, version: str, now: float) -> None:
        """The second watch has seen this version."""
        if self._is_behind(ref, version):
            self._ahead.setdefault(ref, (version, now))

    def gone(self, ref: ResourceRef) -> None:
        """The second watch has seen that it was deleted."""
        self._ahead.pop(ref, None)

    def oldest(self, now: float) -> float:
        """For how many seconds the reflector has been behind; 0 where it is not."""
        for ref, (version, _) in list(self._ahead.items()):
            if not self._is_behind(ref, version):
                del self._ahead[ref]
        return max((now - since for _, since in self._ahead.values()), default=0.0)

    def forgive(self) -> None:
        """All has been listed anew: what is still missing is gone."""
        self._ahead.clear()

    def _is_behind(self, ref: ResourceRef, version: str) -> bool:
        held = self._held(ref)
        if held is None:
            return not self._selective
        return is_older(held, version)

"""What a translated request leaves out of what the client asked for."""

from __future__ import annotations

from sluicegate.api.support import unsupported


class Omissions:
    """Of one request. `drop`: what the upstream can't do is left out instead of refused."""

    def __init__(self, *, drop: bool) -> None:
        self._drop = drop
        self._names: dict[str, None] = {}

    def unsupported(self, param: str, why: str | None = None) -> None:
        """The upstream can't do it. Raises ApiError (400) unless such parameters are dropped."""
        if not self._drop:
            raise unsupported(param, why)
        self._names[param] = None

    def leave_out(self, *names: str) -> None:
        """It is left out whatever the policy, and said."""
        for name in names:
            self._names[name] = None

    def names(self) -> tuple[str, ...]:
        """In the order in which they were found."""
        return tuple(self._names)

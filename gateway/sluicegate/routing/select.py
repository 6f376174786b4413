"""The order in which the deployments of a pool are asked for one request."""

from __future__ import annotations

from typing import Generic, NamedTuple, TypeVar

from sluicegate.routing.attempts import Cause, Skip
from sluicegate.routing.snapshot import Route, Target
from sluicegate.routing.strategies import PICKERS, Asked, Picker, nearest, passed

ConnectorT = TypeVar("ConnectorT")


class PassedOver(NamedTuple, Generic[ConnectorT]):
    """A deployment that is not asked, and why."""

    target: Target[ConnectorT]
    reason: Skip

    @property
    def cause(self) -> Cause:
        """The cause of a fallback that it is."""
        match self.reason:
            case Skip.FULL:
                return "RateLimited"
            case Skip.TOO_LONG:
                return "ContextWindow"
            case Skip.COOLDOWN:
                return self.target.state.cause.cause or "Error"


class Order(NamedTuple, Generic[ConnectorT]):
    """Which deployments would be asked, in which order, and why the others would not."""

    targets: tuple[Target[ConnectorT], ...]
    passed_over: tuple[PassedOver[ConnectorT], ...]


class Selection(Generic[ConnectorT]):
    """The deployments of a pool that may serve a request, one at a time, the best first.

    Priority by priority; within one by affinity, else by strategy. Who is out of rotation is passed
    over, but where a probe is due: that comes first, or at its place where there is an affinity.
    """

    __slots__ = (
        "_affine",
        "_asked",
        "_books",
        "_done",
        "_left",
        "_picker",
        "_real",
        "_route",
        "_tier",
    )

    def __init__(
        self,
        route: Route[ConnectorT],
        asked: Asked,
        done: Target[ConnectorT] | None = None,
        *,
        books: bool = True,
    ) -> None:
        """`done` has been asked already.

        `books`: what is given is really asked, so that the next selection goes on from there.
        """
        self._affine = asked.affinity is not None
        self._picker: Picker = nearest if self._affine else PICKERS[route.pool.strategy]
        self._real = books
        self._books = books and self._picker is PICKERS["Weighted"]
        self._route = route
        self._asked = asked
        self._done = done
        self._tier = 0
        self._left: list[Target[ConnectorT]] = []  # of the tiers that have been begun

    def next(
        self, now: float, passed_over: list[PassedOver[ConnectorT]]
    ) -> Target[ConnectorT] | None:
        """The next one to ask, None where there is none left.

        Those that it passes over on the way are added to `passed_over`.
        """
        while True:
            ready = [target for target in self._left if not target.state.out]
            if len(ready) < len(self._left):
                probe = self._sort_out(ready, now, passed_over)
                if probe is not None:
                    return self._chosen(probe, now)
            if ready:
                picked = self._picker(ready, self._asked, now)
                if self._books:
                    passed(ready, picked)
                ready.remove(picked)
                self._left = ready
                return self._chosen(picked, now) if picked.state.out else picked
            if self._tier == len(self._route.tiers):
                return None
            self._open(passed_over)

    def _chosen(self, probe: Target[ConnectorT], now: float) -> Target[ConnectorT]:
        if self._real:
            probe.state.chosen(now)  # what comes until the probe has begun goes elsewhere
        return probe

    def _open(self, passed_over: list[PassedOver[ConnectorT]]) -> None:
        """Begin with the next tier."""
        tier = self._route.tiers[self._tier]
        self._tier += 1
        namespace, fits = self._asked.namespace, self._asked.fits
        if namespace == self._route.pool.namespace and fits is None and self._done is None:
            self._left = list(tier)
            return
        self._left = []
        for target in tier:
            if target is self._done or not target.admits(namespace):
                continue
            if fits is None or fits(target):
                self._left.append(target)
            else:
                passed_over.append(PassedOver(target, Skip.TOO_LONG))

    def _sort_out(
        self,
        ready: list[Target[ConnectorT]],
        now: float,
        passed_over: list[PassedOver[ConnectorT]],
    ) -> Target[ConnectorT] | None:
        """Leave those out of rotation behind; answers one that is to be probed."""
        probe: Target[ConnectorT] | None = None
        for target in self._left:
            if not target.state.out:
                continue
            if self._affine and target.state.due(now):
                ready.append(target)
            elif probe is None and target.state.due(now):
                probe = target
            else:
                passed_over.append(PassedOver(target, Skip.COOLDOWN))
        self._left = ready
        return probe


def order(route: Route[ConnectorT], asked: Asked, now: float) -> Order[ConnectorT]:
    """The whole order for a request that is not made; nothing is changed by asking."""
    selection = Selection(route, asked, books=False)
    targets: list[Target[ConnectorT]] = []
    passed_over: list[PassedOver[ConnectorT]] = []
    while (target := selection.next(now, passed_over)) is not None:
        targets.append(target)
    return Order(tuple(targets), tuple(passed_over))


def least_bad(
    passed_over: list[PassedOver[ConnectorT]],
) -> PassedOver[ConnectorT] | None:
    """Of those out of rotation the one whose time is over soonest: the last resort."""
    out = (each for each in passed_over if each.reason is Skip.COOLDOWN)
    return min(out, key=lambda each: each.target.state.until, default=None)


def upstream_model(route: Route[ConnectorT], target: Target[ConnectorT], name: str) -> str:
    """The model name to send upstream for the public `name`.

    A deployment of a prefix pool (`openai/*`) whose upstream model is `*` passes on what the `*`
    stood for.
    """
    model = target.deployment.upstream.model
    return model if model != "*" else name[len(route.prefix or "") :]

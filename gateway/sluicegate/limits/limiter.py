"""The store that a gateway asks, and what it does while the shared one is away."""

from __future__ import annotations

from enum import StrEnum

from sluicegate.limits.memory import MemoryStore
from sluicegate.limits.reservations import Amount, Refusal, Reservation, Subject
from sluicegate.limits.shared import SharedStore, StoreUnavailable


class OnFailure(StrEnum):
    """While the shared store is away: count in this process alone, or refuse what is limited."""

    LOCAL = "local"
    REJECT = "reject"


class Limiter:
    """Counts in memory or, where there is one, in the store that gateways share.

    While that is away, the counts in memory go on from what it said last, and the money that is
    spent meanwhile is told to it afterwards.
    """

    __slots__ = ("_local", "_on_failure", "_shared")

    def __init__(
        self,
        local: MemoryStore,
        shared: SharedStore | None = None,
        on_failure: OnFailure = OnFailure.LOCAL,
    ) -> None:
        self._local = local
        self._shared = shared
        self._on_failure = on_failure

    @property
    def shared(self) -> bool:
        """Whether limits are to be counted with other gateways."""
        return self._shared is not None

    @property
    def degraded(self) -> bool:
        """Whether there is a shared store, and it is away."""
        return self._shared is not None and not self._shared.available

    @property
    def failures(self) -> int:
        """How often the shared store was lost, or could not be found."""
        return 0 if self._shared is None else self._shared.failures

    @property
    def lost(self) -> int:
        """Settlements that the shared store will never hear of."""
        return 0 if self._shared is None else self._shared.lost

    async def run(self) -> None:
        """Talk to the shared store, where there is one; until cancelled."""
        if self._shared is not None:
            await self._shared.run()

    async def found(self, seconds: float) -> None:
        """Wait until the shared store has been found, for so long at most."""
        if self._shared is not None:
            await self._shared.found(seconds)

    async def finish(self, seconds: float) -> None:
        """Let the shared store hear what it has not heard yet, for so long at most."""
        if self._shared is not None:
            await self._shared.finish(seconds)

    def reserve_now(
        self, subjects: tuple[Subject, ...], amount: Amount
    ) -> Reservation | Refusal | None:
        """As `reserve`, where nobody has to be waited for; None: somebody has."""
        return self._local.reserve(subjects, amount) if self._shared is None else None

    async def reserve(self, subjects: tuple[Subject, ...], amount: Amount) -> Reservation | Refusal:
        """Take `amount` of each of the subjects, or nothing. No subject is named twice.

        Raises StoreUnavailable where that is the policy.
        """
        if self._shared is None:
            return self._local.reserve(subjects, amount)
        try:
            found = await self._shared.reserve(subjects, amount)
        except StoreUnavailable:
            if self._on_failure is OnFailure.REJECT:
                raise
            return self._local.reserve(subjects, amount)
        self._local.learn(zip(found.subjects, found.standings, strict=True))
        return found

    def charge(self, subject: Subject, money: int) -> None:
        """Count in memory money that nobody reserved. The shared store is not told."""
        self._local.charge(subject, money)

    def settle(self, reservation: Reservation, tokens: int | None, money: int | None) -> None:
        """Count what was really used in place of what was reserved, and free the slots.

        To be called once for each reservation. None: what was reserved is as good as what is known.
        Never waits.
        """
        if self._shared is None:
            self._local.settle(reservation, tokens, money)
        elif reservation.id:
            self._shared.settle(reservation, tokens, money)
        else:
            self._local.settle(reservation, tokens, money)
            spent = reservation.amount.money if money is None else money
            self._shared.charge(reservation.subjects, spent)

"""What the gateways of one store find out about deployments, each for all.

Words are about a deployment and what it calls, by the revisions of its entry and its credential. So
a changed one starts afresh, and gateways with different configurations do not disturb each other.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from time import monotonic

from sluicegate.config import ReferencedCredential
from sluicegate.limits.bulletin import Bulletin
from sluicegate.pipeline.live import LiveStore
from sluicegate.providers.contract import Connector
from sluicegate.routing.hearsay import hear, read_word, word_of
from sluicegate.routing.snapshot import Target
from sluicegate.telemetry.logs import log

# Seconds by which who was told of an ejection probes later than who found out: time to hear of it.
_LEAST_GRACE = 0.1
_MORE_GRACE = 0.4


class SharedHealth:
    """Tells the other gateways what this one's attempts have shown, and hears what theirs have.

    `run` does the work and is to be kept running; `die` gives numbers in [0, 1). Raises ValueError
    for what is not a Redis URL.
    """

    def __init__(self, store: LiveStore, url: str, die: Callable[[], float]) -> None:
        self._store = store
        self._die = die
        self._bulletin = Bulletin(url, "health", self, told=_tell)
        store.states.told = self._changed

    async def run(self) -> None:
        """See Bulletin."""
        await self._bulletin.run()

    def write(self, subject: str) -> Mapping[str, str] | None:
        """See Desk."""
        target = self._target(subject)
        return None if target is None else word_of(target.state, monotonic()).fields()

    def read(self, subject: str, fields: Mapping[bytes, bytes], age: float) -> None:
        """See Desk."""
        target, word = self._target(subject), read_word(fields)
        if target is not None and word is not None:
            grace = _LEAST_GRACE + _MORE_GRACE * self._die()
            cooldown = target.deployment.cooldown
            hear(target.state, monotonic(), word, cooldown, age=age, grace=grace)

    def standing(self) -> Iterator[str]:
        """See Desk: those that are out of rotation."""
        for id_, target in self._store.current.snapshot.targets.items():
            if target.state.out:
                yield self._subject(id_, target)

    def _changed(self, id_: str) -> None:
        target = self._store.current.snapshot.targets.get(id_)
        if target is not None:
            self._bulletin.post(self._subject(id_, target))

    def _target(self, subject: str) -> Target[Connector] | None:
        """The deployment that a subject stands for, if it calls the same here."""
        id_ = subject.rpartition("@")[0]
        target = self._store.current.snapshot.targets.get(id_)
        return target if target is not None and self._subject(id_, target) == subject else None

    def _subject(self, id_: str, target: Target[Connector]) -> str:
        revisions = self._store.current.snapshot.config.revisions
        credential = target.deployment.credential
        subject = f"{id_}@{revisions[id_]}"
        if isinstance(credential, ReferencedCredential):
            subject += f"+{revisions[credential.entry]}"
        return subject


def _tell(problem: str | None) -> None:
    if problem is None:
        log(logging.INFO, "the health of deployments is shared with other gateways", {})
    else:
        log(logging.WARNING, "the health of deployments is not shared now", {"error": problem})

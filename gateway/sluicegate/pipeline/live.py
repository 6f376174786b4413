"""What serves now: one snapshot with its key index, replaced by one assignment."""

from __future__ import annotations

import logging
import time
from collections.abc import Generator, Mapping
from dataclasses import dataclass

from sluicegate.auth.authenticate import KeyIndex
from sluicegate.config import (
    ClientKey,
    Config,
    Credential,
    Deployment,
    changed_steps,
    config_revision_steps,
)
from sluicegate.pipeline import configured
from sluicegate.providers import PROVIDERS
from sluicegate.providers.contract import Connector
from sluicegate.routing.health import States
from sluicegate.routing.snapshot import Snapshot, Unavailable, build_steps, client_keys
from sluicegate.telemetry.logs import log
from sluicegate.transport import forget_heads


@dataclass(frozen=True, slots=True)
class Live:
    """A configuration that serves. `published_at` is in Unix seconds."""

    snapshot: Snapshot[Connector]
    keys: KeyIndex
    published_at: float


class LiveStore:
    """Holds the current Live. A request reads `current` once and ends on what it read.

    `states` outlive it: how the deployments are doing.
    """

    __slots__ = ("_environ", "current", "states")

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self.states = States()
        self.current = Live(
            snapshot=Snapshot[Connector].empty(),
            keys=KeyIndex(),
            published_at=0.0,
        )

    def publish_steps(
        self, config: Config, sequence: int | None = None, revision: str | None = None
    ) -> Generator[None, None, None]:
        """Build from `config` and swap. Yields wherever the event loop may run in between.

        `sequence` is the publisher's own count where it has one, `revision` that of `config` where
        it is known. The same content is not published again.
        """
        previous = self.current
        if revision is None:
            revision = yield from config_revision_steps(config)
        if sequence is None and revision == previous.snapshot.revision:
            return
        number = sequence if sequence is not None else previous.snapshot.sequence + 1
        snapshot = yield from build_steps(
            config, revision, number, self._connect, previous.snapshot, self.states
        )
        keys = previous.keys
        if (yield from _changes_keys(previous.snapshot.config, config)):
            keys = yield from KeyIndex.steps(client_keys(config), keys)
        self.current = Live(snapshot, keys, time.time())
        self.states.keep(config.entries)
        configured.forget()
        forget_heads()
        known = frozenset(previous.snapshot.problems)
        for problem in snapshot.problems:
            if problem not in known:
                log(logging.WARNING, "a deployment can't be called", {"reason": problem})

    def _connect(self, deployment: Deployment, credential: Credential) -> Connector:
        provider = PROVIDERS.get(type(deployment.upstream))
        if provider is None:
            raise Unavailable("its provider is not part of this gateway")
        return provider.connector(deployment, credential, self._environ)


def _changes_keys(before: Config, after: Config) -> Generator[None, None, bool]:
    changed = yield from changed_steps(before, after)
    return any(
        isinstance(entry, ClientKey)
        for id_ in changed
        for entry in (before.entries.get(id_), after.entries.get(id_))
    )

"""kopf: the second pair of eyes.

It runs in a thread and a loop of its own, because when it ends it cancels every task of its loop.
Its handlers only wake the control loop: kopf never tells of an object that was deleted while its
watch was broken, so what there is is read from our own reflectors. What kopf has seen and they have
not is how a reflector that has stalled is noticed.

No timers, daemons, indices or `on.create` handlers: they write finalizers and annotations to
users' objects, or cost a multiple of the time and memory.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, cast

import aiohttp
import kopf

from sluicegate.cluster import API_KEYS, MODEL_DEPLOYMENTS, Access, ResourceType
from sluicegate.resources import ResourceRef
from sluicegate.telemetry.logs import log

_JOIN = 10.0  # seconds
_PATIENCE = 0.5
_LOOK = 1.0
_GRACE = 5.0
_GOODBYE = 0.25  # for TLS, whose connections are closed later than kopf closes them
_START = 30.0  # what kopf may take until it watches
_LONGEST_RESTART = 300.0
_KINDS = (MODEL_DEPLOYMENTS, API_KEYS)
_WATCHER = "watcher for "  # what kopf calls the task that watches a kind


class Backoffs:
    """Waits between tries (seconds), without an end: no outage of the API server ends kopf."""

    def __iter__(self) -> Iterator[float]:
        yield from (1.0, 1.0, 2.0, 3.0, 5.0, 8.0, 13.0)
        while True:
            yield 20.0 + random.random() * 10.0  # noqa: S311 -- only spreads load


class _NoEssence(kopf.DiffBaseStorage):
    """No handler asks what has changed, so nothing is copied to be compared, and nothing kept."""

    def build(self, *, body: kopf.Body, extra_fields: object = None) -> kopf.BodyEssence:
        """Nothing, where kopf would copy the object three times for each event."""
        del body, extra_fields
        return kopf.BodyEssence()

    def fetch(self, *, body: kopf.Body) -> None:
        """Nothing was stored."""

    def store(self, *, body: kopf.Body, patch: kopf.Patch, essence: kopf.BodyEssence) -> None:
        """Nothing is."""


class _NoProgress(kopf.ProgressStorage):
    """No handler is tried again, so nothing is to be remembered."""

    def fetch(self, *, key: object, body: kopf.Body) -> None:
        """Nothing was stored."""

    def store(self, *, key: object, record: object, body: kopf.Body, patch: kopf.Patch) -> None:
        """Nothing is."""

    def purge(self, *, key: object, body: kopf.Body, patch: kopf.Patch) -> None:
        """There is nothing to take away."""

    def touch(self, *, body: kopf.Body, patch: kopf.Patch, value: str | None) -> None:
        """No object is written to."""

    def clear(self, *, essence: kopf.BodyEssence) -> kopf.BodyEssence:
        """The very essence, which holds nothing."""
        return essence


@dataclass(slots=True)
class Trigger:
    """kopf in its thread. `seen` is called there, with an object and its resource version.

    None for the version: it is gone, or on its way. `may_begin`: whether both kinds are there;
    kopf looks for them once, when it begins. When it ends it is begun anew after `restart` seconds,
    which double while it does not last.
    """

    access: Access
    namespaces: tuple[str, ...]
    seen: Callable[[ResourceRef, str | None], None]
    may_begin: Callable[[], bool]
    restart: float = 5.0
    watches: bool = False  # whether every watch of kopf goes on
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None
    _end: Callable[[], object] = lambda: None

    def start(self) -> None:
        """Begin. kopf is begun anew whenever it ends, as it does where a CRD is deleted."""
        self._thread = threading.Thread(target=self._run, name="kopf", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End it, and wait for that a little."""
        self._stop.set()
        with contextlib.suppress(RuntimeError):  # that loop has ended
            self._end()
        if self._thread is not None:
            self._thread.join(_JOIN)

    @property
    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread is not None and self._thread.is_alive()

    def _run(self) -> None:
        wait = self.restart
        while not self._stop.is_set():
            if not self.may_begin():
                self._stop.wait(_PATIENCE)
                continue
            begun = time.monotonic()
            try:
                asyncio.run(self._watch())
            # The thread's root: kopf's errors are of any kind, and it cancels what it finds.
            except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 -- see above
                log(logging.WARNING, f"kopf ended and is begun anew: {type(error).__name__}")
            if self._stop.wait(wait):
                return
            lasted = time.monotonic() - begun > _LONGEST_RESTART
            wait = self.restart if lasted else min(2 * wait, _LONGEST_RESTART)

    async def _watch(self) -> None:
        ending = asyncio.Event()
        self._end = partial(asyncio.get_running_loop().call_soon_threadsafe, ending.set)
        if self._stop.is_set():
            return
        looking = asyncio.create_task(self._look(ending))
        working = asyncio.create_task(
            kopf.operator(
                registry=self._registry(),
                settings=_settings(),
                standalone=True,
                clusterwide=not self.namespaces,
                namespaces=self.namespaces,
                stop_flag=ending,
            )
        )
        # kopf may wait for ever for a task of its own that has missed that it is to end. Who
        # leaves here has every task cancelled once more.
        await asyncio.wait((working, looking), return_when=asyncio.FIRST_COMPLETED)
        self.watches = False
        looking.cancel()
        await asyncio.wait((working,), timeout=_GRACE)
        if working.done() and not working.cancelled():
            working.result()
        await asyncio.sleep(_GOODBYE)

    async def _look(self, ending: asyncio.Event) -> None:
        """End kopf when one of its watches has ended.

        It would go on without: an object that is nested more deeply than its parser goes ends the
        watch of that kind, for good and with no more than a line in the log.
        """
        wanted = len(_KINDS) * max(1, len(self.namespaces))
        begun = time.monotonic()
        while not ending.is_set():
            watchers = sum(task.get_name().startswith(_WATCHER) for task in asyncio.all_tasks())
            slow = time.monotonic() - begun > _START
            if watchers < wanted and (self.watches or slow):
                log(logging.WARNING, "a watch of kopf has ended: kopf is begun anew")
                break
            self.watches = watchers >= wanted
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LOOK):
                    await ending.wait()
        ending.set()

    def _registry(self) -> kopf.OperatorRegistry:
        registry = kopf.OperatorRegistry()
        kopf.on.login(registry=registry)(self._login)
        for kind in _KINDS:
            kopf.on.event(kind.group, kind.version, kind.plural, registry=registry)(
                self._handler(kind)
            )
        return registry

    async def _login(self, **_: object) -> kopf.AiohttpSession:
        """Our own identity; kopf asks again when its token is refused."""
        bearer = await self.access.token.current(fresh=True)
        tls = self.access.tls
        session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ssl=tls if tls is not None else True),
            headers={"Authorization": f"Bearer {bearer}"} if bearer else {},
        )
        return kopf.AiohttpSession(
            server=self.access.server,
            default_namespace=self.access.namespace,
            aiohttp_session=session,
        )

    def _handler(self, kind: ResourceType) -> Callable[..., Any]:
        async def on_event(*, type: str | None, body: kopf.Body, **_: object) -> None:  # noqa: A002 -- kopf's name
            metadata = cast("Mapping[str, str]", body["metadata"])
            ref = ResourceRef(kind.kind, metadata.get("namespace", ""), metadata["name"])
            gone = type == "DELETED" or "deletionTimestamp" in metadata
            self.seen(ref, None if gone else metadata.get("resourceVersion", ""))

        return on_event


def _settings() -> kopf.OperatorSettings:
    settings = kopf.OperatorSettings()
    settings.networking.error_backoffs = Backoffs()
    settings.networking.request_timeout = 30
    settings.networking.connect_timeout = 5
    settings.watching.server_timeout = 300  # an integer: it is written into the query
    settings.watching.client_timeout = 330
    settings.queueing.worker_limit = 100  # no index is used with it: that would block for ever
    settings.scanning.disabled = True
    settings.peering.standalone = True
    settings.posting.enabled = False
    settings.persistence.diffbase_storage = _NoEssence()
    settings.persistence.progress_storage = _NoProgress()
    settings.persistence.finalizer = "sluicegate.dev/operator"  # never written: see above
    return settings

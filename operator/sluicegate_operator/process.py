"""One operator process: what it is made of, and its life."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

from aiohttp import web

from sluicegate.cluster import Access, ClusterClient, ClusterError
from sluicegate.compile import Settings
from sluicegate.limits.spent import SpentReader
from sluicegate.resources import ResourceRef
from sluicegate.telemetry.logs import log
from sluicegate_operator.control import ControlLoop
from sluicegate_operator.credentials import Credentials
from sluicegate_operator.events import Announcer, Happening
from sluicegate_operator.facts import rfc3339
from sluicegate_operator.lag import Lag
from sluicegate_operator.leader import Leader
from sluicegate_operator.measures import Measures
from sluicegate_operator.observe import Observation, Scope
from sluicegate_operator.permissions import check_permissions
from sluicegate_operator.ports import Health, application
from sluicegate_operator.publish import Publisher
from sluicegate_operator.spend import SpendReporter
from sluicegate_operator.status.agenda import Agenda
from sluicegate_operator.status.fleet import SILENCE, FleetWatch
from sluicegate_operator.statuses import StatusWriter
from sluicegate_operator.trigger import Trigger

_SILENCE = 150.0  # seconds without a word of the API server; bookmarks come once a minute
_LAG = 5.0  # seconds until a reflector that is behind lists anew
_LONGEST_LAG = 60.0
_PATROL = 2.0
_SWITCH = 0.0005


@dataclass(frozen=True, slots=True)
class OperatorSettings:
    """What an operator is told when it starts."""

    scope: Scope
    compile: Settings
    identity: str
    host: str = "127.0.0.1"
    port: int = 4002
    gateway_silence: float = SILENCE  # seconds
    spent: SpentReader | None = None  # None: gateways share no store of limits


class Operator:
    """The parts of one operator, put together."""

    def __init__(self, settings: OperatorSettings, access: Access, client: ClusterClient) -> None:
        scope = settings.scope
        self._settings = settings
        self._client = client
        self.measures = Measures()
        self._fleet = FleetWatch(settings.gateway_silence)
        self._announcer = Announcer(client, settings.identity)
        self._agenda = Agenda(
            scope.controller, lambda: rfc3339(time.time()), contest=self._contested
        )
        self._leader = Leader(client, scope.config_namespace, scope.leader_lease, settings.identity)
        self._statuses = StatusWriter(
            client,
            self._agenda,
            self._fleet,
            self._announcer,
            may_write=lambda: self._leader.leads and not self.control.passing,
            hears=lambda: self.control.observation.hears_gateways,
        )
        self._publisher = Publisher(client, scope.config_namespace, scope.config_name, time.time)
        self.control = ControlLoop(
            observation=lambda listener: Observation(client, scope, listener),
            credentials=lambda world, version_of: Credentials(
                client, world, version_of, scope.bundle
            ),
            publisher=self._publisher,
            leader=self._leader,
            agenda=self._agenda,
            fleet=self._fleet,
            statuses=self._statuses,
            announcer=self._announcer,
            settings=settings.compile,
            clock=time.time,
            measures=self.measures,
        )
        self._lag = Lag(self._held, selective=bool(scope.selector))
        self._trigger = Trigger(access, scope.namespaces, self._seen_by_kopf, self._knows_kinds)
        self._loop = asyncio.get_running_loop()
        self._gauges()

    def _gauges(self) -> None:
        gauge = self.measures.gauge
        sequence = "Sequence of the configuration that stands."
        gauge("sequence", sequence, lambda: self._publisher.sequence)
        gauge("objects", "ModelDeployments and ApiKeys.", lambda: len(self.control.world))
        gauge("statuses_waiting", "Statuses to be written.", lambda: self._agenda.waiting)
        gauge("statuses_written", "Statuses written.", lambda: self._statuses.count)
        gauge("watch_silence_seconds", "Since a kind was heard of.", lambda: self._silence)
        gauge("leads", "1 while this operator writes.", lambda: float(self._leader.leads))
        for voice in ("live", "unconfirmed", "silent"):
            gauge(
                f"gateways_{voice}",
                f"Gateways that are {voice}.",
                lambda voice=voice: sum(
                    one.voice == voice for one in self._fleet.at(time.monotonic()).gateways
                ),
            )

    @property
    def _silence(self) -> float:
        return self.control.observation.silence

    # --- the second pair of eyes ------------------------------------------------------------------

    def _held(self, ref: ResourceRef) -> str | None:
        observed = self.control.world.observed(ref)
        return observed.resource_version if observed is not None else None

    def _knows_kinds(self) -> bool:
        observation = self.control.observation
        return observation.synced and not observation.failures

    def _seen_by_kopf(self, ref: ResourceRef, version: str | None) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(self._seen, ref, version)

    def _seen(self, ref: ResourceRef, version: str | None) -> None:
        if version is None:
            self._lag.gone(ref)
        else:
            self._lag.seen(ref, version, time.monotonic())

    async def _patrol(self) -> None:
        while True:
            await asyncio.sleep(_PATROL)
            if self._lag.oldest(time.monotonic()) < _LAG:
                continue
            log(logging.WARNING, "kopf has seen what the reflectors have not: listing anew")
            try:
                await self.control.observation.confirm()
            except ClusterError as error:
                log(logging.WARNING, f"that failed: {error}")
            else:
                self._lag.forgive()

    def _contested(self, ref: ResourceRef, other: str) -> None:
        """Another operator has written an object's status: two releases overlap."""
        log(
            logging.WARNING,
            f"{ref} is also looked after by the operator of {other}: give the releases different "
            "--watch-namespace or --selector",
        )
        observed = self.control.world.observed(ref)
        if observed is not None:
            note = (
                f"The operators of {other} and of {self._settings.scope.controller} both look "
                "after this object: give them different namespaces or selectors."
            )
            self._announcer.tell(
                Happening(ref, observed.uid, "Warning", "ControllerOverlap", "Program", note)
            )

    # --- probes -----------------------------------------------------------------------------------

    def _live(self) -> Health:
        lag = self._lag.oldest(time.monotonic())
        # While the API server is away, a restart helps nobody.
        away = bool(self.control.observation.failures)
        stalled = not away and (self._silence > _SILENCE or lag > _LONGEST_LAG)
        facts: dict[str, object] = {
            "status": "stalled" if stalled else "ok",
            "watch_silence_seconds": round(self._silence, 1),
            "lag_seconds": round(lag, 1),
            "kopf": "watches" if self._trigger.watches else "does not watch",
        }
        return Health(not stalled and self._trigger.alive, facts)

    def _ready(self) -> Health:
        observation = self.control.observation
        facts: dict[str, object] = {
            "status": "ok" if observation.synced else "listing",
            "leads": self._leader.leads,
            "failures": list(observation.failures),
            "problem": self.measures.problem,
        }
        return Health(observation.synced, facts)

    # --- life -------------------------------------------------------------------------------------

    async def run(self, stopped: asyncio.Event) -> None:
        """Until stopped. Raises LeadershipLost, or Refused where a newer operator has written."""
        runner = web.AppRunner(application(self._live, self._ready, self.measures), access_log=None)
        await runner.setup()
        await web.TCPSite(runner, self._settings.host, self._settings.port).start()
        log(logging.INFO, "probes and metrics", {"address": str(runner.addresses[0])})
        self._trigger.start()
        try:
            await self._work(stopped)
        finally:
            # First, for whoever waits to lead: kopf may take its time.
            with contextlib.suppress(ClusterError):
                await self._leader.release()
            await asyncio.to_thread(self._trigger.stop)
            await runner.cleanup()

    async def _work(self, stopped: asyncio.Event) -> None:
        tasks = [
            asyncio.create_task(work)
            for work in (
                self.control.observation.run(),
                self._leader.run(),
                self.control.run(),
                self._statuses.run(),
                self._announcer.run(),
                self._patrol(),
                self._settle(),
                check_permissions(self._client, self._settings.scope),
                self._report_spend(),
            )
        ]
        ending = asyncio.create_task(stopped.wait())
        try:
            pending = {*tasks, ending}
            while ending in pending:
                done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()  # raises what ended it
        finally:
            for task in (*tasks, ending):
                task.cancel()
            await asyncio.wait((*tasks, ending))

    async def _report_spend(self) -> None:
        if self._settings.spent is not None:
            reporter = SpendReporter(
                self._client,
                self._settings.spent.read,
                keys=self.control.world.observed_keys,
                config=lambda: self.control.config,
                may_write=lambda: self._leader.leads,
                clock=time.time,
            )
            await reporter.run()

    async def _settle(self) -> None:
        """What the first lists have brought stays: later collections need not look at it."""
        await self.control.observation.wait_synced()
        gc.collect()
        gc.freeze()


async def run(
    settings: OperatorSettings,
    access: Access,
    connect: Callable[[Access], ClusterClient] = ClusterClient,
) -> None:
    """Run an operator until SIGTERM or SIGINT."""
    # kopf's thread is at work when the control loop has the most to do: it must not wait 5 ms each
    # time for the interpreter.
    sys.setswitchinterval(_SWITCH)
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    async with connect(access) as client:
        await Operator(settings, access, client).run(stopped)

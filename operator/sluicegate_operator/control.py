"""The control loop. One pass: gather → compile → publish → tell.

Level-triggered: whatever woke it, a pass makes the bundle what the objects say. A pass that fails
changes nothing that the next one would not do as well.
"""

from __future__ import annotations

import asyncio
import logging
import time
import traceback
from collections.abc import Callable, Generator, Iterable, Iterator

from msgspec.structs import replace

from sluicegate.bundle import Refused, TooLarge
from sluicegate.cluster import ClusterError, ObjectMeta
from sluicegate.compile import Compilation, Settings, compile_steps
from sluicegate.compile.compilation import entry_id
from sluicegate.config import Config
from sluicegate.resources import Inputs, ResourceRef, SecretRef
from sluicegate.telemetry.logs import log
from sluicegate_operator.credentials import Credentials
from sluicegate_operator.events import Announcer
from sluicegate_operator.facts import facts_of
from sluicegate_operator.holding import Holding
from sluicegate_operator.leader import Leader, LeadershipLost
from sluicegate_operator.measures import Measures
from sluicegate_operator.minting import Minting
from sluicegate_operator.objects import Observed
from sluicegate_operator.observe import Observation
from sluicegate_operator.publish import Publisher
from sluicegate_operator.rhythm import Rhythm
from sluicegate_operator.status.agenda import Agenda, Seen
from sluicegate_operator.status.fleet import FleetWatch, Report
from sluicegate_operator.statuses import StatusWriter
from sluicegate_operator.steps import drive
from sluicegate_operator.world import World

_MANY = 20  # entries; a pass that would drop more than half of more than these is confirmed
_BACKOFF, _MOST_BACKOFF = 0.5, 5.0
_RESYNC = 300.0  # seconds between looks at Secrets that are not watched
_OWED = "The key is yet to be rotated: if that takes long, see the operator's log."
_ROUNDS = 5  # compiles of one pass; each but the last found Secrets to fetch or to mint


class ControlLoop:
    """Makes one operator's objects one bundle. Is told of changes, see `Listener`."""

    def __init__(
        self,
        *,
        observation: Callable[[ControlLoop], Observation],
        credentials: Callable[[World, Callable[[SecretRef], ObjectMeta | None]], Credentials],
        publisher: Publisher,
        leader: Leader,
        agenda: Agenda,
        fleet: FleetWatch,
        statuses: StatusWriter,
        announcer: Announcer,
        settings: Settings,
        clock: Callable[[], float],
        measures: Measures,
    ) -> None:
        self.world = World()
        self.observation = observation(self)
        self._credentials = credentials(self.world, self.observation.secret)
        self._publisher = publisher
        self._leader = leader
        self._agenda = agenda
        self._fleet = fleet
        self._statuses = statuses
        self._settings = settings
        self._clock = clock
        self._measures = measures
        self._rhythm = Rhythm()
        # The bundle is being written: no status is that could hold it up, or foresee its answer.
        self.passing = False
        self._woken = asyncio.Event()
        self._compilation: Compilation | None = None
        self._holding: Holding | None = None
        self._minting = Minting(self.world, self._credentials, announcer, clock)
        self._resync_at = time.monotonic() + _RESYNC

    # --- what others tell -------------------------------------------------------------------------

    def wake(self, *, urgent: bool = False) -> None:
        """Have a pass made. `urgent`: at once."""
        self._rhythm.changed(time.monotonic(), urgent=urgent)
        self._woken.set()

    def object_changed(self, ref: ResourceRef, observed: Observed | None) -> None:
        """See Listener. What the operator itself has written to the status wakes nobody."""
        before = self.world.observed(ref)
        if self.world.see(ref, observed):
            if observed is None or (before is not None and before.uid != observed.uid):
                self._credentials.distrust(self._minting.secret_of(ref))
            held = self.config is not None and entry_id(ref) in self.config.entries
            self.wake(urgent=held and _revokes(ref, before, observed))
        if observed is None:
            self._agenda.forget(ref)
        else:
            seen = Seen(observed.uid, observed.resource_version, observed.status)
            self._agenda.see(ref, seen, time.monotonic())
        self._statuses.wake()

    def secret_changed(self, ref: SecretRef) -> None:
        """See Listener."""
        if self._credentials.changed(ref):
            self.wake(urgent=self.observation.secret(ref) is None)

    def gateway_heard(self, name: str, report: Report | None, *, first_list: bool) -> None:
        """See Listener."""
        if report is None:
            self._fleet.gone(name)
        else:
            self._fleet.hear(report, time.monotonic(), first_list=first_list)
        serving = self._fleet.at(time.monotonic()).serving
        if serving:
            self._measures.acknowledged(min(gateway.sequence for gateway in serving))
        if not self.passing and self._fleet.highest_sequence > self._publisher.sequence:
            self.wake()  # it has what was lost: that has to be overtaken
        self._statuses.wake()

    def replicas_changed(self, replicas: int | None) -> None:
        """See Listener."""
        self._fleet.replicas = replicas
        self._statuses.wake()

    def bundle_changed(self, name: str, meta: ObjectMeta | None) -> None:
        """See Listener. Our own writes come back here as well."""
        if not self._publisher.is_own(name, meta):
            log(logging.WARNING, f"Secret {name} of the bundle was changed by somebody else")
            self._publisher.distrust()
            self.wake()

    @property
    def config(self) -> Config | None:
        """What the objects were last compiled to; None before the first pass."""
        return self._compilation.config if self._compilation is not None else None

    # --- the loop ---------------------------------------------------------------------------------

    async def run(self) -> None:
        """Make passes for ever. Raises LeadershipLost, or Refused where a newer operator writes."""
        await self.observation.wait_synced()
        await self._leader.wait()
        self.wake(urgent=True)
        failures = 0
        while True:
            await self._wait()
            self._rhythm.begin(time.monotonic())
            try:
                await self._pass()
            except (LeadershipLost, Refused):
                raise
            except Exception as error:  # noqa: BLE001 -- the task's root: no object may end it
                failures += 1
                self._failed(error, failures)
                await asyncio.sleep(min(_BACKOFF * 2.0 ** min(failures - 1, 8), _MOST_BACKOFF))
                self.wake(urgent=True)
            else:
                failures = 0

    def _failed(self, error: Exception, failures: int) -> None:
        self._publisher.distrust()
        told = isinstance(error, (ClusterError, TooLarge))
        self._measures.failed(str(error) if told else type(error).__name__)
        if not told:  # no values: an object's content may stand in the message
            log(logging.ERROR, f"a pass failed: {type(error).__name__}", _place(error))
        elif failures == 1:
            log(logging.WARNING, f"nothing could be published: {error}")

    async def _wait(self) -> None:
        """Until it is time for a pass."""
        while True:
            self._woken.clear()
            now = time.monotonic()
            due = self._rhythm.due()
            if due is not None and due <= now:
                return
            timers = [due, self._timer(now), self._resync_at, self._publisher.tidy_at]
            until = min(time for time in timers if time is not None)
            try:
                async with asyncio.timeout(max(0.0, until - now)):
                    await self._woken.wait()
            except TimeoutError:
                await self._timed(time.monotonic())

    def _timer(self, now: float) -> float | None:
        """When time alone makes a pass due."""
        due = self._compilation.next_due if self._compilation is not None else None
        by_clock = None if due is None else now + max(0.0, due - self._clock())
        dues = (by_clock, self._minting.due)
        return min((time for time in dues if time is not None), default=None)

    async def _timed(self, now: float) -> None:
        timer = self._timer(now)
        if timer is not None and timer <= now:
            self.wake()
        if now >= self._resync_at:
            self._resync_at = now + _RESYNC
            if self._credentials.distrust_absent():
                self.wake()
        tidy_at = self._publisher.tidy_at
        if tidy_at is not None and tidy_at <= now:
            await self._tidy()

    async def _tidy(self) -> None:
        self.passing = True
        try:
            await self._leader.confirm()
            await self._publisher.tidy(self._fleet.highest_sequence)
            self._note_what_stands()
        except (ClusterError, TooLarge) as error:
            self._publisher.distrust()
            log(logging.WARNING, f"superseded contents could not be taken away: {error}")
            self.wake()
        finally:
            self.passing = False
            self._statuses.wake()

    def _note_what_stands(self) -> None:
        self._fleet.epoch, self._fleet.sequence = self._publisher.epoch, self._publisher.sequence

    # --- one pass ---------------------------------------------------------------------------------

    async def _pass(self) -> None:
        self.passing = True
        try:
            await self._publish()
        finally:
            self.passing = False
            self._statuses.wake()

    async def _publish(self) -> None:
        started = time.perf_counter()
        await self._leader.confirm()
        await self._publisher.read_back()
        holding = self._holding
        if holding is None:
            holding = self._holding = Holding(self._publisher.sequence)
        compilation, inputs = await self._compile()
        if _drops_many(self._before(), compilation.config):
            log(logging.WARNING, "more than half of all entries would go: listing anew")
            await self.observation.confirm()
            compilation, inputs = await self._compile()
        affected = self._affected(inputs, compilation)
        holding.changed(compilation.changed)
        holding.changed(self._mended(affected, compilation))
        self.world.accept(inputs)
        self._compilation = compilation
        hindrance = ""
        try:
            written = await self._publisher.publish(
                compilation.config, self._fleet.highest_sequence
            )
            if self._publisher.overtaken:
                # Somebody else has published in between, who knows what: a gateway serves what we
                # have when it has acknowledged this sequence.
                holding.begin_anew(self._publisher.sequence)
                affected.update(inputs.resources)
            news = holding.published(self._publisher.sequence, compilation.config.entries.keys())
            affected.update(ref for entry_id in news if (ref := _ref(entry_id)) is not None)
        except TooLarge:
            hindrance = "The configuration is too large to be published: see the operator's log."
            raise
        finally:
            self._note_what_stands()
            await drive(self._tell(affected, compilation, holding, hindrance))
        if inputs.changed:
            self._credentials.forget(compilation.users_of)
        if written:
            self._measures.published(time.perf_counter() - started, self._publisher.sequence)
        if self.world.touched or self._credentials.outdated:  # by the pass itself
            self.wake()

    def _before(self) -> Config:
        compilation = self._compilation
        return compilation.config if compilation is not None else self._publisher.standing.config

    async def _compile(self) -> tuple[Compilation, Inputs]:
        """Compile what there is, with the Secrets that this turns out to need."""
        rounds = 0
        while True:
            rounds += 1
            inputs = self.world.snapshot()
            compilation = await drive(
                compile_steps(
                    inputs,
                    self._compilation or self._publisher.standing.config,
                    self._settings,
                    self._clock(),
                )
            )
            self._minting.note(inputs)
            looked_up = {use for ref in inputs.changed for use in compilation.secrets_of(ref)}
            fetched = await self._credentials.fetch(looked_up)
            minted = await self._minting.run(compilation, inputs)
            if not (fetched or minted) or rounds == _ROUNDS:
                return compilation, inputs

    # --- what the statuses have to know -----------------------------------------------------------

    def _affected(self, inputs: Inputs, after: Compilation) -> set[ResourceRef]:
        """The objects about which there may be something new to say."""
        affected = set(inputs.changed)
        for secret in inputs.changed_secrets:
            affected.update(after.users_of(secret))
        affected.update(ref for one in after.changed if (ref := _ref(one)) is not None)
        if self._compilation is not None:
            before = self._compilation.findings
            affected.update(
                ref
                for ref in before.keys() | after.findings.keys()
                if before.get(ref) is not after.findings.get(ref)
            )
        return affected

    def _mended(self, affected: Iterable[ResourceRef], after: Compilation) -> Iterator[str]:
        """The entries of objects that nothing speaks against any more.

        They may be as they were, and what they lacked be another's: a key that a deployment refers
        to, a fallback, a name. A gateway serves them when it has that.
        """
        before = self._compilation
        if before is not None:
            for ref in affected:
                if not _is_fine(before, ref) and _is_fine(after, ref):
                    yield entry_id(ref)

    def _tell(
        self,
        affected: Iterable[ResourceRef],
        compilation: Compilation,
        holding: Holding,
        hindrance: str,
    ) -> Generator[None, None, None]:
        for ref in affected:
            observed = self.world.observed(ref)
            # Of what has changed meanwhile this pass has nothing to say: it would praise the new
            # generation for what the one before came to. The next pass will.
            uses = compilation.secrets_of(ref)
            if observed is not None and not self.world.is_newer(ref, uses):
                since = holding.since(entry_id(ref))
                facts = facts_of(
                    observed,
                    compilation,
                    since,
                    self._credentials.held,
                    inherited=holding.inherited(entry_id(ref)),
                )
                if self._minting.owes(ref):
                    facts = replace(facts, held_since=None, hindrance=_OWED)
                elif since is None and hindrance:
                    facts = replace(facts, hindrance=hindrance)
                self._agenda.know(ref, facts)
            yield


def _ref(entry_id: str) -> ResourceRef | None:
    """The object that an entry is of; None for a pool."""
    kind, namespace, name = entry_id.split("/", 2)
    match kind:
        case "md":
            return ResourceRef("ModelDeployment", namespace, name)
        case "ak":
            return ResourceRef("ApiKey", namespace, name)
        case _:
            return None


def _is_fine(compilation: Compilation, ref: ResourceRef) -> bool:
    return all(condition.status == "True" for condition in compilation.conditions(ref))


def _revokes(ref: ResourceRef, before: Observed | None, after: Observed | None) -> bool:
    """Whether a change takes a client key away."""
    if ref.kind != "ApiKey" or before is None:
        return False
    revoked = b'"revoked":true'
    return after is None or (revoked in after.manifest and revoked not in before.manifest)


def _place(error: Exception) -> dict[str, object]:
    """Where in the code it happened."""
    frames = traceback.extract_tb(error.__traceback__)
    return {"place": [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames[-5:]]}


def _drops_many(before: Config, after: Config) -> bool:
    count = len(before.entries)
    if count <= _MANY:
        return False
    dropped = len(before.entries.keys() - after.entries.keys())
    return 2 * dropped > count

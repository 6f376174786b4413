"""The config bundle of a cluster, served as it is published (design: "The config bundle").

The index Secret is watched by its name; the shards that it names are got when they are not held.
What is not whole, or older than what serves, or not understood, is told and never served: the last
good bundle is, for as long as it takes. A copy of it lies on this machine, for a start while the
API server is away.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Generator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import msgspec

from sluicegate.bundle import (
    Bundle,
    Refused,
    assemble_steps,
    check_newer,
    missing,
    read_index,
    secret_name,
)
from sluicegate.cluster import (
    SECRETS,
    Access,
    ClusterClient,
    ClusterError,
    ClusterSecret,
    ClusterUnreachable,
    NotFound,
    ObjectKey,
    Reflector,
    Timing,
)
from sluicegate.config import Config
from sluicegate.source.cluster_copy import BundleCopy, CopyUnusable
from sluicegate.source.cluster_lease import ClusterPlace, GatewayLease, LeaseTiming
from sluicegate.source.cluster_status import ClusterBoard, ClusterStatus, Topic
from sluicegate.source.report import defect
from sluicegate.source.slices import FIRST_LOAD, Pace, drive


@dataclass(frozen=True, slots=True)
class ClusterTiming:
    """Seconds throughout.

    `first_answer` is what a start waits for an API server before it takes the copy; a request later
    has `answer`. What failed is tried again after `retry`, which doubles up to `most_retry`.
    `look_again` lies between two looks that are asked for, and `look` is what one may take.
    """

    first_answer: float = 3.0
    answer: float = 10.0
    retry: float = 0.05
    most_retry: float = 5.0
    look_again: float = 1.0
    look: float = 2.0
    watch: Timing = field(default_factory=Timing)
    lease: LeaseTiming = field(default_factory=LeaseTiming)


# A set may be torn for a moment while it is replaced, and a request may fail; that is told when it
# has happened as often as this.
_UNTOLD = 4
# Shards are not watched: another look may find them mended.
_PASSING = frozenset({"Torn", "Corrupt"})
# Quicker than a folder is followed: a change among 2,000 objects is 1.5 ms of work
# (measured), and 75 ms are there for the whole way from the apply to the first request.
_WHILE_SERVING = Pace(budget=0.001, rest=0.001)
_TIMING = ClusterTiming()
_decode_secret = msgspec.json.Decoder(ClusterSecret).decode


class ClusterSource:
    """Loads a bundle and follows it.

    `publish` answers the steps that make a Config of this sequence and revision serve, of which the
    last one swaps; they are run in slices as all work is. `refused` answers which deployments of
    what serves can't be called here, and why.
    """

    def __init__(
        self,
        access: Access,
        place: ClusterPlace,
        *,
        state_dir: Path,
        publish: Callable[[Config, int, str], Generator[None, None, None]],
        refused: Callable[[], Mapping[str, str]] = dict,
        timing: ClusterTiming = _TIMING,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._access = access
        self._place = place
        self._key = ObjectKey(place.namespace, place.config_name)
        self._publish = publish
        self._refused = refused
        self._timing = timing
        self._board = ClusterBoard(place, clock)
        self._drive = partial(drive, held=self._board.held)
        tell = self._board.tell
        self._copy = BundleCopy(
            state_dir, place.namespace, place.config_name, partial(tell, "copy")
        )
        self._lease = GatewayLease(place, partial(tell, "lease"), timing.lease)
        self._reflector: Reflector[ClusterSecret] | None = None
        self._held: Bundle | None = None  # what serves
        self._news = asyncio.Event()
        self._settled = asyncio.Event()  # all news are dealt with
        self._look: asyncio.Task[None] | None = None
        self._looked_at = 0.0  # when the last look began, on the monotonic clock
        self._failures = 0

    @property
    def status(self) -> ClusterStatus:
        """How it is doing at this moment."""
        return self._board.status

    async def load(self) -> ClusterStatus:
        """Serve what is published, else the copy. What is wrong is in the status."""
        kept = await self._kept()
        failure: Exception | None = None
        try:
            async with ClusterClient(self._access, timeout=self._timing.first_answer) as client:
                newest = await self._obtain(client, await self._index(client), kept)
            if newest is not None:
                await self._serve(newest, keep=True)
        except Exception as error:  # noqa: BLE001 -- whatever is published, the copy serves
            failure = error
        if self._held is None and kept is not None:
            await self._serve(kept, keep=False)
        if failure is not None:
            self._refuse(failure)
        self._board.begin_serving()
        return self.status

    async def run(self) -> None:
        """Follow the bundle until cancelled, then give up the Lease."""
        async with ClusterClient(self._access, timeout=self._timing.answer) as client:
            self._reflector = self._board.link = Reflector(
                client,
                SECRETS,
                _decode_secret,
                on_change=self._noticed,
                namespace=self._place.namespace,
                field_selector=f"metadata.name={self._place.config_name}",
                timing=self._timing.watch,
            )
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._reflector.run())
                tasks.create_task(self._lasting("copy", self._copy.keep))
                tasks.create_task(self._lasting("lease", partial(self._lease.keep, client)))
                await self._follow(client, self._reflector)

    async def look_again(self) -> bool:
        """Look at once whether something newer is published; answers whether it serves now.

        For a credential that an upstream has just refused. It takes as long as `look` at most, and
        looks are spaced: in between, the last one's answer holds.
        """
        reflector, before = self._reflector, self._held
        if reflector is None:
            return False
        now = time.monotonic()
        if self._look is None or (
            self._look.done() and now - self._looked_at >= self._timing.look_again
        ):
            self._looked_at = now
            self._look = asyncio.create_task(self._look_once(reflector))
        await asyncio.wait((self._look,))
        return self._held is not before

    async def _look_once(self, reflector: Reflector[ClusterSecret]) -> None:
        with contextlib.suppress(ClusterError, TimeoutError):
            async with asyncio.timeout(self._timing.look):
                await reflector.relist()
                await self._settled.wait()

    def _noticed(self, _: frozenset[ObjectKey]) -> None:
        self._settled.clear()
        self._news.set()

    async def _follow(self, client: ClusterClient, reflector: Reflector[ClusterSecret]) -> None:
        """Take over what is published, for ever. A task root: no bundle ends it."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._retry_in()):
                    await self._news.wait()
            self._news.clear()
            try:
                await self._take_over(client, reflector)
            except Exception as error:  # noqa: BLE001 -- whatever is published, the last good serves
                passing = not isinstance(error, Refused) or error.reason in _PASSING
                self._failures = self._failures + 1 if passing else 0
                if not passing or self._failures >= _UNTOLD:
                    self._refuse(error)
            if not self._news.is_set():
                self._settled.set()

    async def _lasting(self, topic: Topic, work: Callable[[], Awaitable[None]]) -> None:
        """A task root: what is done beside serving does not end it."""
        while True:
            try:
                await work()
            except Exception as error:  # noqa: BLE001 -- a defect here must not end the gateway
                self._board.tell(topic, defect(error))
            await asyncio.sleep(self._timing.most_retry)

    def _retry_in(self) -> float | None:
        """Seconds until another try; None: there is nothing to try before there is news."""
        if self._failures == 0:
            return None
        return min(self._timing.retry * 2.0 ** min(self._failures - 1, 16), self._timing.most_retry)

    async def _take_over(self, client: ClusterClient, reflector: Reflector[ClusterSecret]) -> None:
        """Raises Refused, ClusterError."""
        if self._key in reflector.undecodable:
            raise Refused("Corrupt", "it is not what a Secret is made of")
        bundle = await self._obtain(client, reflector.objects.get(self._key), self._held)
        if bundle is not None:
            await self._serve(bundle, keep=True)
        self._failures = 0
        self._board.tell("bundle", None)
        self._note("")

    def _refuse(self, error: Exception) -> None:
        """Tell why what is published does not serve."""
        serves = self._board.serves
        then = f"sequence {serves.sequence} still serves" if serves else "nothing serves yet"
        self._board.tell("bundle", f"{self._place}: {_words(error)}; {then}")
        match error:
            case Refused(reason="NoIndex") | ClusterUnreachable():
                pass  # the operator sees the one by itself, and can't be told the other
            case Refused():
                self._note(f"{error.reason}: {error}")
            case _:
                self._note(f"Unreadable: {_words(error)}")

    def _note(self, error: str) -> None:
        """Have the operator told; `error`: why what is published does not serve."""
        self._lease.note(self._board.serves, error, self._refused())

    async def _kept(self) -> Bundle | None:
        """The bundle of the copy, if there is one that can be used."""
        try:
            data = await self._copy.read()
            if data is None:
                return None
            return await self._drive(assemble_steps(read_index(data), data, None), FIRST_LOAD)
        except Exception as error:  # noqa: BLE001 -- no file keeps a gateway from starting
            self._board.tell("copy", f"the copy of {self._place} can't be used: {_words(error)}")
            return None

    async def _obtain(
        self, client: ClusterClient, secret: ClusterSecret | None, held: Bundle | None
    ) -> Bundle | None:
        """The bundle that is published; None: it is the one that is held.

        Raises Refused, ClusterError.
        """
        if secret is None:
            raise Refused("NoIndex", "there is no such Secret")
        index = read_index(secret.data)
        if not check_newer(index, held.index if held is not None else None):
            return None
        contents = dict(secret.data)
        numbers = missing(index, contents, held)
        for data in await asyncio.gather(*(self._shard(client, number) for number in numbers)):
            contents.update(data)
        return await self._drive(assemble_steps(index, contents, held), self._pace)

    async def _serve(self, bundle: Bundle, *, keep: bool) -> None:
        index = bundle.index
        await self._drive(self._publish(bundle.config, index.sequence, index.revision), self._pace)
        self._held = bundle
        self._board.served(bundle.index)
        self._note("")
        if keep:
            self._copy.note(bundle)

    @property
    def _pace(self) -> Pace:
        return FIRST_LOAD if self._board.serves is None else _WHILE_SERVING

    async def _index(self, client: ClusterClient) -> ClusterSecret | None:
        return await self._secret(client, self._place.config_name)

    async def _shard(self, client: ClusterClient, number: int) -> Mapping[str, bytes]:
        secret = await self._secret(client, secret_name(self._place.config_name, number))
        return secret.data if secret is not None else {}

    async def _secret(self, client: ClusterClient, name: str) -> ClusterSecret | None:
        with contextlib.suppress(NotFound):
            return await client.get(SECRETS, name, ClusterSecret, namespace=self._place.namespace)
        return None


def _words(error: Exception) -> str:
    """What may be told of an error: of a defect only where it is."""
    known = isinstance(error, (ClusterError, Refused, CopyUnusable))
    return str(error) if known else defect(error)

"""The life of a gateway process: start, serve, drain, end."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import gc
import logging
import random
import signal
import socket
import sys
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, TypeAlias

from sluicegate.ledger import Ledger, LedgerSettings, LedgerState
from sluicegate.limits import Limiter, MemoryStore, OnFailure
from sluicegate.limits.shared import SharedStore
from sluicegate.pipeline.account import Books
from sluicegate.pipeline.earlier_spend import count_earlier_spend
from sluicegate.pipeline.gateway import END_USER_HEADER, Gateway
from sluicegate.pipeline.live import LiveStore
from sluicegate.pipeline.shared_health import SharedHealth
from sluicegate.pricing import load as load_prices
from sluicegate.server.admin import AdminPort
from sluicegate.server.exchange import ExchangeLimits
from sluicegate.server.health import Health, LoadState
from sluicegate.server.protocol import Handler, HttpServer
from sluicegate.server.public import PublicPort
from sluicegate.server.tls import Certificate
from sluicegate.sinks import Records, SinkSettings, make_sinks
from sluicegate.telemetry.logs import log
from sluicegate.telemetry.metrics import ConfigState, Registry, Tally, registry
from sluicegate.transport import Transport, TransportSettings

_BACKLOG = 1024
# A thread that looks at files gives the interpreter back after this long when the event loop wants
# it. The default of 5 ms would be most of a request's p99 while manifests change (measured).
_SWITCH_SECONDS = 0.0005
_LAST_WORDS = 0.2  # seconds for a request that is cut off to tell its client
_LIMITS_WAIT = 1.0  # seconds for the shared store of limits, before requests are taken
_SPEND_WAIT = 3.0  # seconds for the ledger to say what was spent, before requests are taken
_LAST_ROWS = 5.0  # seconds for the ledger's database, once nothing is served any more
_TLS_HANDSHAKE = 10.0  # seconds
# Everything that is alive after start lives for long: the collector need not look at it again. And
# requests make little that only it could free, so it looks at young objects less often than by
# default (measured).
_GC_THRESHOLDS = (10_000, 20, 50)


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """Where and how to listen. Times are in seconds; port 0 takes any free one."""

    host: str = "127.0.0.1"
    port: int = 4000
    admin_host: str = "127.0.0.1"
    admin_port: int = 4001
    tls: tuple[Path, Path] | None = None  # certificate chain, key
    drain_seconds: float = 30.0
    idle_seconds: float = 75.0
    limits: ExchangeLimits = field(default_factory=ExchangeLimits)
    allow_anonymous: bool = False
    ledger: LedgerSettings | None = None  # None: no ledger is kept
    end_user_key: bytes | None = field(default=None, repr=False)
    end_user_header: str = END_USER_HEADER
    cost_in_streams: bool = False
    sinks: SinkSettings | None = None  # None: no records are made, no traces
    limits_url: str | None = field(default=None, repr=False)  # it may hold a password
    limits_on_failure: OnFailure = OnFailure.LOCAL


class CannotListen(Exception):
    """A port that can't be opened. `public` is False for the admin port; `cause` is why."""

    def __init__(self, cause: OSError | UnicodeError, *, public: bool) -> None:
        super().__init__(str(cause))
        self.cause = cause
        self.public = public


class Source(Protocol):
    """Where configurations come from. It publishes to the LiveStore it was made with."""

    @property
    def status(self) -> LoadState:
        """How it is doing at this moment."""
        ...

    async def load(self) -> object:
        """Load and publish once. What is wrong is in `status`, not raised."""
        ...

    async def run(self) -> None:
        """Follow changes until cancelled."""
        ...

    async def look_again(self) -> bool:
        """Look at once whether there is something newer; answers whether it serves now.

        For a credential that an upstream has just refused. It must not take long.
        """
        ...


MakeSource: TypeAlias = Callable[[LiveStore], Source]


class Stop:
    """Asks a gateway to end: the first time to drain, the second time to end at once."""

    __slots__ = ("asked", "insisted")

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.insisted = asyncio.Event()

    def ask(self) -> None:
        """Ask, or insist."""
        (self.insisted if self.asked.is_set() else self.asked).set()


async def run(
    settings: ServerSettings,
    transport_settings: TransportSettings,
    environ: Mapping[str, str],
    make_source: MakeSource,
    started: Callable[[int, int], None],
    stop: Stop | None = None,
) -> None:
    """Serve until asked to stop, then drain: no new connections, what is under way may finish.

    `started` is told the two ports once both listen. Without `stop`, SIGTERM and SIGINT ask. Raises
    CannotListen, PairRefused, or OSError for a file that can't be read.
    """
    sys.setswitchinterval(_SWITCH_SECONDS)
    stop = stop or _stop_on_signals()
    store = LiveStore(environ)
    source = make_source(store)
    tally = Tally()
    transport = Transport(settings=transport_settings)
    limits = _limiter(settings)
    ledger = Ledger(settings.ledger) if settings.ledger is not None else None
    records = (
        None if settings.sinks is None else Records(settings.sinks, make_sinks(settings.sinks))
    )
    books = Books(ledger, settings.end_user_key, settings.cost_in_streams, records)
    gateway = Gateway(
        *(store, transport, tally, settings.allow_anonymous),
        clock=time.time,
        die=random.random,
        limits=limits,
        books=books,
        look_again=source.look_again,
        end_user_header=settings.end_user_header,
    )
    health = Health(store, lambda: source.status, lambda: _away(limits, ledger))
    public = PublicPort(gateway, health)
    admin = AdminPort(store, health, _metrics(tally, store, health, limits, books))
    certificate = Certificate(*settings.tls) if settings.tls is not None else None
    async with contextlib.AsyncExitStack() as stack:
        await _keep(stack, books)
        stack.push_async_callback(transport.close)
        await _background(stack, limits.run())
        # Also after the ports are closed: what was cut off is settled too.
        stack.push_async_callback(limits.finish, _LAST_WORDS)
        # Probes are answered while the first load is still going on.
        admin_port = await stack.enter_async_context(
            _listening(admin.handle, settings, None, public=False)
        )
        # What the first load makes lives as long as the process: looking for garbage among it would
        # only hold the event loop, and probes are answered meanwhile.
        gc.disable()
        load_prices()
        await source.load()
        gc.collect()
        gc.freeze()
        gc.set_threshold(*_GC_THRESHOLDS)
        gc.enable()
        _trim_heap()
        if settings.limits_url is not None:
            shared = SharedHealth(store, settings.limits_url, random.random)
            await _background(stack, shared.run())
        await _find_counts(stack, gateway)
        port = await stack.enter_async_context(
            _listening(public.handle, settings, certificate, public=True)
        )
        await _background(stack, source.run())
        if certificate is not None:
            await _background(stack, certificate.follow())
        health.listening = True
        started(port.number, admin_port.number)
        await stop.asked.wait()
        health.draining = True
        log(logging.INFO, "draining", {"requests_in_flight": port.server.busy})
        port.close()
        await _drained(port.server, settings.drain_seconds, stop.insisted)
        cut_off = port.server.busy
        # Answers that are still being read fail now, which their clients are told.
        gateway.closing.begin()
        await transport.close()
    log(logging.INFO, "stopped", {"requests_cut_off": cut_off})


async def _keep(stack: contextlib.AsyncExitStack, books: Books) -> None:
    """Start the ledger and the log sinks; they are the last to stop."""
    if books.ledger is not None:
        await asyncio.to_thread(books.ledger.start, asyncio.get_running_loop())
        stack.push_async_callback(asyncio.to_thread, books.ledger.stop, _LAST_ROWS)
    if books.records is not None:
        books.records.start()
        stack.push_async_callback(asyncio.to_thread, books.records.stop)


async def _find_counts(stack: contextlib.AsyncExitStack, gateway: Gateway) -> None:
    """What has been counted before: in the shared store or, for memory, in the ledger."""
    ledger, limits = gateway.books.ledger, gateway.limits
    await limits.found(_LIMITS_WAIT)
    if ledger is None or limits.shared:
        return
    counted = asyncio.Event()
    work = count_earlier_spend(ledger, limits, gateway.store, gateway.clock, counted)
    await _background(stack, work)
    try:
        await asyncio.wait_for(counted.wait(), _SPEND_WAIT)
    except TimeoutError:
        log(logging.WARNING, "what was spent before is not known yet: budgets count from zero", {})


def _metrics(
    tally: Tally, store: LiveStore, health: Health, limits: Limiter, books: Books
) -> Registry:
    return registry(
        tally,
        lambda: _config_state(store, health),
        lambda: _state_of(books.ledger),
        limits,
        lambda: books.records.counts if books.records is not None else (),
    )


def _state_of(ledger: Ledger | None) -> LedgerState | None:
    return ledger.state if ledger is not None else None


def _away(limits: Limiter, ledger: Ledger | None) -> tuple[str, ...]:
    """What the gateway has to do without now, or in part."""
    away = ("limits",) if limits.degraded else ()
    return (*away, "ledger") if ledger is not None and ledger.state.problems else away


def _limiter(settings: ServerSettings) -> Limiter:
    """Raises ValueError for what is no URL of a store, or if its client is not installed."""
    local = MemoryStore(time.time)
    if settings.limits_url is None:
        return Limiter(local)
    shared = SharedStore(settings.limits_url, told=_tell_of_limits)
    return Limiter(local, shared, settings.limits_on_failure)


def _tell_of_limits(problem: str | None) -> None:
    if problem is None:
        log(logging.INFO, "limits are counted in the shared store", {})
    else:
        log(logging.WARNING, "the shared store of limits is away", {"error": problem})


def _trim_heap() -> None:
    """Give back to the system what the first load has freed, where the C library can (glibc)."""
    try:
        trim = ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError):
        return
    trim(0)


def _stop_on_signals() -> Stop:
    stop = Stop()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.ask)
    return stop


@dataclass(slots=True)
class _Port:
    number: int
    listener: asyncio.Server
    server: HttpServer

    def close(self) -> None:
        """Take no new connections, and end those that nobody waits on."""
        self.listener.close()
        self.server.retire()


@contextlib.asynccontextmanager
async def _listening(
    handler: Handler, settings: ServerSettings, certificate: Certificate | None, *, public: bool
) -> AsyncGenerator[_Port]:
    server = HttpServer(handler, settings.limits, idle_seconds=settings.idle_seconds)
    try:
        listener = await asyncio.get_running_loop().create_server(
            server,
            settings.host if public else settings.admin_host,
            settings.port if public else settings.admin_port,
            ssl=certificate.context if certificate is not None else None,
            ssl_handshake_timeout=(
                min(_TLS_HANDSHAKE, settings.idle_seconds) if certificate is not None else None
            ),
            backlog=_BACKLOG,
            reuse_address=True,
            family=socket.AF_UNSPEC,
        )
    except (OSError, UnicodeError) as error:  # UnicodeError: of a name that no DNS can hold
        raise CannotListen(error, public=public) from error
    try:
        yield _Port(listener.sockets[0].getsockname()[1], listener, server)
    finally:
        listener.close()
        await server.shutdown(_LAST_WORDS)


async def _background(stack: contextlib.AsyncExitStack, work: Awaitable[None]) -> None:
    """Run until the stack ends.

    A task that dies ends the process, because it would go stale in silence.
    """
    task = asyncio.ensure_future(work)

    def ended(done: asyncio.Future[None]) -> None:
        if not done.cancelled() and done.exception() is not None:
            log(logging.CRITICAL, "a background task died", {"error": repr(done.exception())})
            signal.raise_signal(signal.SIGTERM)

    task.add_done_callback(ended)

    async def cancel() -> None:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError, Exception):
            await task

    stack.push_async_callback(cancel)


async def _drained(server: HttpServer, seconds: float, now: asyncio.Event) -> None:
    """Wait until nothing is under way, the time is over, or the second signal has come."""
    deadline = time.monotonic() + seconds
    while server.busy and not now.is_set() and time.monotonic() < deadline:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(now.wait(), 0.05)


def _config_state(store: LiveStore, health: Health) -> ConfigState:
    live = store.current
    return ConfigState(
        sequence=live.snapshot.sequence,
        ok=health.load_state().ok,
        loaded_at=live.published_at,
        models=len(live.snapshot.routes),
        deployments=len(live.snapshot.targets),
        keys=len(live.keys),
        longest_slice=health.load_state().longest_slice,
        origin=health.load_state().origin,
    )

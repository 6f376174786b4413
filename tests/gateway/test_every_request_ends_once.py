"""Whatever pools say and upstreams do: a bounded number of attempts, and one answer."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import cast

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from responses_wire import answer_body
from running_gateway import config_of, openai_entry
from sluicegate.config import Cooldown, Deployment, Entry, Fallback, OpenAIUpstream, Pool, Retry
from sluicegate.pipeline.exchange import Header
from sluicegate.pipeline.gateway import Gateway
from sluicegate.pipeline.live import LiveStore
from sluicegate.pipeline.serve import serve
from sluicegate.routing.attempts import MOST_ATTEMPTS
from sluicegate.telemetry.metrics import Tally
from sluicegate.transport import Transport, UpstreamRequest
from sluicegate.transport.errors import ConnectFailed, ConnectionLost, TimedOut

CONTEXT = b'{"error":{"message":"long","code":"context_length_exceeded"}}'
TROUBLES: dict[str, tuple[int, bytes] | Exception] = {
    "500": (500, b"{}"),
    "429": (429, b"{}"),
    "401": (401, b"{}"),
    "404": (404, b'{"error":{"message":"no","code":"model_not_found"}}'),
    "400": (400, b"{}"),
    "too long": (400, CONTEXT),
    "not JSON": (200, b"<html>"),
    "connect": ConnectFailed("nobody is there", "upstream.test:443"),
    "lost": ConnectionLost("first_byte", "it broke", None, reused=False, bytes_received=False),
    "timeout": TimedOut("first_byte", "nothing came", sent=True),
    "sound": (200, answer_body("sound")),
}


@dataclass
class _Answer:
    status: int
    body: bytes
    headers: tuple[tuple[bytes, bytes], ...] = ()

    async def read_all(self, limit: int) -> bytes:
        assert len(self.body) <= limit
        return self.body


@dataclass
class _Upstreams:
    """In place of the transport: each request meets the next trouble."""

    troubles: Iterator[str]
    asked: list[str] = field(default_factory=list[str])

    async def send(self, request: UpstreamRequest, timeouts: object) -> _Answer:
        del timeouts
        self.asked.append(request.origin.host)
        trouble = TROUBLES[next(self.troubles, "500")]
        if isinstance(trouble, Exception):
            raise trouble
        return _Answer(*trouble)


@dataclass
class _Client:
    """In place of the client's connection."""

    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    answers: list[tuple[int, dict[bytes, bytes]]] = field(
        default_factory=list[tuple[int, dict[bytes, bytes]]]
    )

    async def read_body(self) -> bytes:
        return self.body

    def send(self, status: int, headers: Iterable[Header], body: bytes) -> None:
        assert body
        self.answers.append((status, dict(headers)))

    def begin(self, headers: Iterable[Header]) -> None:
        raise AssertionError(headers)

    def write(self, data: bytes) -> None:
        raise AssertionError(data)

    async def drain(self) -> None:
        raise AssertionError

    def end(self, data: bytes) -> None:
        raise AssertionError(data)


MODELS = ("m0", "m1", "m2")
MEMBERS = st.lists(
    st.tuples(st.integers(1, 6), st.integers(0, 1), st.integers(1, 4)), min_size=1, max_size=4
)
POOLS = st.tuples(*(st.tuples(MEMBERS, st.lists(st.sampled_from(MODELS), max_size=3)),) * 3)
STRATEGIES = st.sampled_from(("Weighted", "LeastBusy", "LowestLatency", "LowestCost"))


@given(
    POOLS,
    STRATEGIES,
    st.lists(st.lists(st.sampled_from(sorted(TROUBLES)), max_size=20), min_size=1, max_size=6),
)
def test_every_request_ends_once_and_within_its_bounds(
    pools: tuple[tuple[list[tuple[int, int, int]], list[str]], ...],
    strategy: str,
    requests: list[list[str]],
) -> None:
    entries: list[Entry] = []
    retries: dict[str, int] = {}
    for model, (members, fallbacks) in zip(MODELS, pools, strict=True):
        names = [f"{model}-{index}" for index in range(len(members))]
        for name, (attempts, priority, failures) in zip(names, members, strict=True):
            host = f"{name}.test"
            entry = openai_entry(
                "",
                name=name,
                model=model,
                priority=priority,
                retry=Retry(attempts=attempts, backoff=0.0),
                upstream=OpenAIUpstream(model="x", base_url=f"http://{host}/v1"),
            )
            entries.append(_cooling(entry, failures))
            retries[host] = attempts
        entries.append(
            Pool(
                namespace="default",
                model=model,
                members=tuple(names),
                strategy=strategy,  # pyright: ignore[reportArgumentType] -- one of the literals
                fallbacks=tuple(Fallback(each) for each in fallbacks),
            )
        )
    store = LiveStore({})
    for _ in store.publish_steps(config_of(*entries)):
        pass
    asyncio.run(_serve_all(store, requests, retries))
    for target in store.current.snapshot.targets.values():
        assert target.state.in_flight == 0
        assert target.state.whole.waiting == 0


def _cooling(entry: Deployment, failures: int) -> Deployment:

    return msgspec.structs.replace(entry, cooldown=Cooldown(failures=failures, duration=60.0))


async def _serve_all(
    store: LiveStore, requests: list[list[str]], retries: Mapping[str, int]
) -> None:
    for troubles in requests:
        upstreams = _Upstreams(iter(troubles))
        tally = Tally()
        transport = cast("Transport", upstreams)
        gateway = Gateway(store, transport, tally, True, clock=time.time, die=lambda: 0.5)
        client = _Client(b'{"model":"m0","input":"hi"}')
        await serve(gateway, client)
        ((status, headers),) = client.answers
        assert 1 <= len(upstreams.asked) <= MOST_ATTEMPTS
        for host, count in Counter(upstreams.asked).items():
            assert count <= retries[host]
        told = headers[b"x-sluicegate-attempts"].decode().split(";")
        told = [each for each in told if "=cooldown" not in each and "skipped=" not in each]
        assert len(told) == len(upstreams.asked)
        if status == 200:
            assert told[-1].endswith("=ok")
        assert ("sound" in troubles[: len(upstreams.asked)]) == (status == 200)
        assert tally.in_flight == 0
